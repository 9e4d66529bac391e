// SPDX-License-Identifier: Apache-2.0
// Operators with several inputs: one small op (a port) an input, which merges event time (S6, S7) and aligns
// barriers.
#pragma once

#include <penstock/detail/op.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace penstock::detail {

/// An operator whose node has several inputs. Its ports are made by the constructor of the derived class, in
/// the order of the node's inputs.
///
/// A port that has let a barrier in takes nothing more until the others have it; and none takes records
/// before every input has announced a time, since a restored watermark decides what is late. Both show as
/// `blocked`, so what drives the port waits. That cannot lock up: a driver is held back only by a port that
/// has had the barrier (or the first time) from all that feed it, and those are let in whatever is blocked.
class joint_op : public op {
 public:
  class port_op : public op {
   public:
    port_op(joint_op& owner, std::size_t index) : owner_(owner), index_(index) { add_downstream(owner); }
    void connect(std::uint32_t, op&) override {}
    void on_watermark(watermark w) override { owner_.port_time(index_, w); }
    void on_barrier(std::uint64_t epoch) override { owner_.port_barrier(index_, epoch); }
    bool blocked() const override { return owner_.port_blocked(index_); }

   protected:
    joint_op& owner_;
    std::size_t index_;
  };

  op& port(std::size_t index) override { return *inlets_[index].port; }

 protected:
  void add_port(std::unique_ptr<port_op> p) { inlets_.push_back({std::move(p), {}, false, false}); }
  std::size_t ports() const noexcept { return inlets_.size(); }

 private:
  struct inlet {
    std::unique_ptr<port_op> port;
    watermark time;
    bool spoken;
    bool at_barrier;
  };
  void port_time(std::size_t index, watermark w);
  void port_barrier(std::size_t index, std::uint64_t epoch);
  bool port_blocked(std::size_t index) const noexcept {
    const inlet& in = inlets_[index];
    return in.at_barrier || (silent() && in.spoken);
  }
  bool silent() const noexcept { return spoken_ != inlets_.size(); }

  std::vector<inlet> inlets_;
  std::size_t spoken_ = 0;
  std::size_t at_barrier_ = 0;
  watermark current_{};
  bool announced_ = false;
};

/// A port that hands what comes in to `Owner::take<I>(records, may_move)`.
template <typename Owner, typename B, std::size_t I>
class typed_port final : public joint_op::port_op, public input<B> {
 public:
  explicit typed_port(Owner& owner) : port_op(owner, I), to_(owner) {}
  void push(B& records, bool may_move) override {
    to_.take(std::integral_constant<std::size_t, I>{}, records, may_move);
  }

 private:
  Owner& to_;
};

/// All its inputs in one stream, in the order in which they come. Batches pass through untouched.
template <typename B>
class union_op final : public joint_op {
 public:
  explicit union_op(std::size_t inputs) {
    for (std::size_t i = 0; i < inputs; ++i) add_port(std::make_unique<through>(*this, i));
  }
  void connect(std::uint32_t, op& consumer) override {
    to_.push_back(&dynamic_cast<input<B>&>(consumer));
    add_downstream(consumer);
  }

 private:
  class through final : public port_op, public input<B> {
   public:
    through(union_op& owner, std::size_t index) : port_op(owner, index), to_(owner) {}
    void push(B& records, bool may_move) override { to_.take(records, may_move); }

   private:
    union_op& to_;
  };
  void take(B& records, bool may_move) {
    op_counters::add(counters_.in, records.size());
    op_counters::add(counters_.out, records.size());
    for (std::size_t i = 0; i < to_.size(); ++i) to_[i]->push(records, may_move && i + 1 == to_.size());
  }
  std::vector<input<B>*> to_;
};

}  // namespace penstock::detail
