// SPDX-License-Identifier: Apache-2.0
// The seam between operators with state and where that state outlives the process.
#pragma once

#include <penstock/detail/state_codec.h>
#include <penstock/key.h>
#include <penstock/result.h>
#include <penstock/watermarks.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::detail {

/// Keys fall into this many partitions, as Kafka's partitioner has it, and those to lanes: so that state
/// finds its lane again when there are more lanes, or fewer.
inline constexpr std::uint32_t key_partitions = 128;
inline std::uint32_t partition_of_hash(std::uint32_t partition_hash) noexcept {
  return partition_hash % key_partitions;
}
/// The lane that owns a key, among `lanes`.
inline std::size_t lane_of_key(std::uint32_t partition_hash, std::size_t lanes) noexcept {
  return partition_of_hash(partition_hash) * static_cast<std::uint32_t>(lanes) / key_partitions;
}
/// Rows that belong to no key: every lane is given all of them.
inline constexpr std::uint32_t shared_rows = key_partitions;

/// Takes the changes of an epoch: rows of bytes, each known by its partition and name. What is put replaces
/// what was there (E11: absolute values). Borrowed for the call.
class state_log {
 public:
  virtual void put(std::uint32_t partition, std::string_view row, std::string_view value) = 0;
  virtual void erase(std::uint32_t partition, std::string_view row) = 0;

 protected:
  ~state_log() = default;
};

/// An operator's state as the engine sees it; what op::durable() answers. Called on the operator's lane.
///
/// Order of calls: note_changes and restore (each row that there is once, in any order), restored, before the
/// first record and the first watermark; then save_changes at each barrier. None of them is called in a job
/// that runs at least once.
class durable_state {
 public:
  /// From now on it must be known what changes.
  virtual void note_changes() = 0;
  /// Writes every row that has changed since the last call, and erases those that are gone.
  virtual void save_changes(state_log& to) = 0;
  /// A row as it was saved last. False: these are not bytes that save_changes ever wrote.
  virtual bool restore(std::uint32_t partition, std::string_view row, std::string_view value) = 0;
  /// All rows are there: timers are set, what follows from several rows is worked out.
  virtual void restored() = 0;

 protected:
  ~durable_state() = default;
};

/// Writes rows of one key type: finds the partition, keeps scratch memory.
template <typename K>
class row_writer {
 public:
  explicit row_writer(state_log& to) : to_(to) {}
  /// The row of `key` below `prefix`; write(out) appends the value.
  template <typename Write>
  void put(std::string_view prefix, const K& key, Write write) {
    name(prefix, key);
    value_.clear();
    write(value_);
    to_.put(partition_, row_, value_);
  }
  void erase(std::string_view prefix, const K& key) {
    name(prefix, key);
    to_.erase(partition_, row_);
  }
  /// A row of a part of `key`, such as an entry of its map.
  void put_part(std::string_view prefix, const K& key, std::string_view part, std::string_view value) {
    name(prefix, key);
    row_ += part;
    to_.put(partition_, row_, value);
  }
  void erase_part(std::string_view prefix, const K& key, std::string_view part) {
    name(prefix, key);
    row_ += part;
    to_.erase(partition_, row_);
  }

 private:
  void name(std::string_view prefix, const K& key) {
    row_.assign(prefix);
    encode_state(key, row_);
    partition_ = partition_of_hash(hash_for_partition(key, scratch_));
  }
  state_log& to_;
  std::uint32_t partition_ = 0;
  std::string row_, value_, scratch_;
};

/// Rows that are on their way to the log before the barrier: those of state that is no longer there by then.
class pending_rows final : public state_log {
 public:
  void put(std::uint32_t partition, std::string_view row, std::string_view value) override {
    add(partition, row, value, true);
  }
  void erase(std::uint32_t partition, std::string_view row) override { add(partition, row, {}, false); }
  void move_to(state_log& to) {
    std::string_view rest = bytes_;
    const auto take = [&](std::size_t n) {
      const std::string_view part = rest.substr(0, n);
      rest.remove_prefix(n);
      return part;
    };
    while (!rest.empty()) {
      std::uint64_t partition = 0, row_size = 0, value_size = 0;
      if (!take_varint(rest, partition) || !take_varint(rest, row_size) || !take_varint(rest, value_size))
        break;
      const std::string_view row = take(row_size);
      if (value_size == 0) {
        to.erase(static_cast<std::uint32_t>(partition), row);
      } else {
        to.put(static_cast<std::uint32_t>(partition), row, take(value_size - 1));
      }
    }
    bytes_.clear();
  }

 private:
  void add(std::uint32_t partition, std::string_view row, std::string_view value, bool there) {
    put_varint(partition, bytes_);
    put_varint(row.size(), bytes_);
    put_varint(there ? value.size() + 1 : 0, bytes_);
    bytes_.append(row).append(value);
  }
  std::string bytes_;
};

/// An operator's event time: what has fired must not fire again after a restart. A shared row a lane; the
/// latest of all counts.
class kept_watermark {
 public:
  /// `layout` stands for what the rows depend on beside their types, such as the size of windows.
  void save(state_log& to, unsigned lane, std::int64_t watermark, std::uint64_t layout = 0) {
    if (watermark == saved_ || watermark == min_watermark || watermark == max_watermark) return;
    saved_ = watermark;
    std::string row(mark), value;
    put_varint(lane, row);
    encode_number(watermark, value);
    put_varint(layout, value);
    to.put(shared_rows, row, value);
  }
  /// Whether a shared row is one of these; `good` is false for bytes that are none of ours.
  bool is_mine(std::string_view row) const noexcept { return row.starts_with(mark); }
  bool restore(std::string_view value, std::uint64_t layout = 0) {
    std::int64_t at = 0;
    std::uint64_t saved_layout = 0;
    if (!decode_number(value, at) || !take_varint(value, saved_layout) || saved_layout != layout)
      return false;
    restored_ = std::max(restored_, at);
    return true;
  }
  std::int64_t restored() const noexcept { return restored_; }

 private:
  static constexpr std::string_view mark = "watermark/";
  std::int64_t saved_ = min_watermark;
  std::int64_t restored_ = min_watermark;
};

}  // namespace penstock::detail
