// SPDX-License-Identifier: Apache-2.0
#include "testing/memory_transactions.h"

#include <algorithm>

namespace penstock::testing {

class memory_transactions::lane_part final : public lane_transactions {
 public:
  explicit lane_part(memory_transactions& owner) : owner_(owner) {
    for (std::size_t i = 0; i < owner.operators_.size(); ++i) logs_.emplace_back(owner, i);
  }
  result<> restore(std::size_t op, const take_row& take, const tell_progress& tell) override {
    const std::lock_guard lock(owner_.kept_->mutex);
    const auto& rows = owner_.kept_->operators[owner_.operators_[op]];
    restore_progress p{0, 0, rows.size()};
    for (const bool shared : {true, false}) {
      for (const auto& [name, value] : rows) {
        if ((name.first == detail::shared_rows) != shared) continue;
        if (!take(name.first, name.second, value))
          return fail(errc::corrupt, "a row of its state cannot be read");
        ++p.rows;
        p.bytes += name.second.size() + value.size();
      }
    }
    tell(p);
    return {};
  }
  detail::state_log& log(std::size_t op) override { return logs_[op]; }
  bool ready() const override { return true; }
  void flush(std::function<void(result<>)> done) override { done({}); }

 private:
  class op_log final : public detail::state_log {
   public:
    op_log(memory_transactions& owner, std::size_t op) : owner_(owner), op_(op) {}
    void put(std::uint32_t partition, std::string_view row, std::string_view value) override {
      const std::lock_guard lock(owner_.mutex_);
      owner_.changes_.push_back({op_, partition, std::string(row), std::string(value)});
    }
    void erase(std::uint32_t partition, std::string_view row) override {
      const std::lock_guard lock(owner_.mutex_);
      owner_.changes_.push_back({op_, partition, std::string(row), std::nullopt});
    }

   private:
    memory_transactions& owner_;
    std::size_t op_;
  };
  memory_transactions& owner_;
  std::deque<op_log> logs_;
};

void memory_transactions::knows(const std::shared_ptr<topic::state>& t) {
  const std::lock_guard lock(mutex_);
  if (std::find(topics_.begin(), topics_.end(), t) == topics_.end()) topics_.push_back(t);
}

result<> memory_transactions::prepare(const std::vector<std::string>& operators) {
  operators_ = operators;
  return {};
}

result<std::unique_ptr<lane_transactions>> memory_transactions::open_lane(const lane_context&) {
  return std::make_unique<lane_part>(*this);
}

void memory_transactions::commit(std::uint64_t, std::vector<epoch_position> positions,
                                 std::function<void(result<>)> done) {
  {
    const std::lock_guard lock(mutex_);
    const std::lock_guard kept_lock(kept_->mutex);
    for (change& c : changes_) {
      auto& rows = kept_->operators[operators_[c.op]];
      std::pair name(c.partition, std::move(c.row));
      if (c.value) {
        rows[std::move(name)] = std::move(*c.value);
      } else {
        rows.erase(name);
      }
    }
    changes_.clear();
    for (const auto& t : topics_) {
      const std::lock_guard topic_lock(t->mutex);
      for (auto& p : t->partitions) {
        for (auto& s : p.records) {
          if (s.unflushed_by != 0 && s.epoch < t->sealed[s.unflushed_by]) s.unflushed_by = 0;
        }
      }
      for (epoch_position& p : positions) {
        if (p.topic != t->name) continue;
        auto& to = t->partitions[static_cast<std::size_t>(p.partition)];
        to.committed = p.position;
        to.metadata = std::move(p.metadata);
      }
    }
  }
  done({});
}

}  // namespace penstock::testing
