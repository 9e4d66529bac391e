// SPDX-License-Identifier: Apache-2.0
// What a fused expression ends in. A record arrives as `T&&` when the expression made it (it may be taken),
// as `const T&` when it belongs to the batch that came in; then it may be taken only if `may_move` was set
// for that batch.
#pragma once

#include <penstock/detail/dealing.h>
#include <penstock/detail/op.h>
#include <penstock/detail/steps.h>
#include <penstock/format.h>
#include <penstock/key.h>
#include <penstock/sink.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock::detail {

/// What most terminals do not need.
struct plain_terminal {
  static constexpr bool partitions = false;
  bool may_move = false;
  result<> open(services&, std::uint32_t /*node*/) { return {}; }
  void connect(op&) {}
  result<> end_of_batch() { return {}; }
  void on_watermark(watermark) {}
  void on_barrier(std::uint64_t epoch, services& lane) { lane.acknowledge(epoch, epoch + 1); }
  bool blocked() const { return false; }
};

/// Into a stream<T>: values and timestamps in batches.
template <typename T>
struct batch_terminal : plain_terminal {
  static constexpr const char* name = "stream";
  output<batch<T>> out;

  // Copied before it is connected, once a lane.
  batch_terminal() = default;
  batch_terminal(const batch_terminal& other) : plain_terminal(other) {}
  batch_terminal(batch_terminal&&) noexcept = default;

  void connect(op& consumer) { out.connect(consumer); }
  template <typename At>
  void put(T&& value, std::int64_t ts, At) {
    out.add(std::move(value), ts);
  }
  template <typename At>
  void put(const T& value, std::int64_t ts, At) {
    if (may_move) {
      out.add(take(value), ts);
    } else {
      out.add(value, ts);
    }
  }
  result<> end_of_batch() {
    out.flush();
    return {};
  }
};

/// Into batches of this type: over the lanes, or straight on when there is one.
template <typename Records>
struct exchange_terminal : plain_terminal {
  static constexpr bool partitions = true;
  struct target {
    exchange_sender* to;
    std::unique_ptr<Records> filling;
  };
  output<Records> out;
  std::vector<target> targets;  // none with one lane
  std::size_t here = 0;         // which of them comes back

  // Copied before it is connected, once a lane.
  exchange_terminal() = default;
  exchange_terminal(const exchange_terminal& other) : plain_terminal(other) {}
  exchange_terminal(exchange_terminal&&) noexcept = default;

  void connect(op& consumer) { out.connect(consumer); }
  void connect_exchange(const std::vector<exchange_sender*>& to) {
    for (exchange_sender* s : to) {
      if (s->comes_back()) here = targets.size();
      targets.push_back({s, nullptr});
    }
  }
  void leave_out_unread(const reading& read) { out.pending().leave_out_unread(read); }
  result<> end_of_batch() {
    out.flush();
    for (target& t : targets) send(t);
    return {};
  }
  void on_watermark(watermark w) {
    for (target& t : targets) t.to->send(w);
  }
  void on_barrier(std::uint64_t epoch, services& lane) {
    for (target& t : targets) t.to->send_barrier(epoch);
    lane.acknowledge(epoch, epoch + 1);
  }
  bool blocked() const {
    for (const target& t : targets) {
      if (t.to->blocked()) return true;
    }
    return false;
  }

 protected:
  void provide(target& t) {
    if (t.filling != nullptr) return;
    if (std::unique_ptr<any_batch> used = t.to->recycled(); used != nullptr) {
      t.filling.reset(static_cast<Records*>(used.release()));
      return;
    }
    t.filling = std::make_unique<Records>();
    t.filling->leave_out_unread(out.pending().read());
  }
  template <typename... Args>
  [[gnu::always_inline]] void add_to(target& t, Args&&... record) {
    provide(t);
    t.filling->add(std::forward<Args>(record)...);
    if (t.filling->size() == batch_capacity) send(t);
  }
  static void send(target& t) {
    if (t.filling != nullptr && t.filling->size() != 0) t.to->send(std::move(t.filling));
  }
  /// add(filling, first, n) for the records from `first` to `end`, by as many as there is room for.
  template <typename Add>
  void fill(target& t, std::size_t first, std::size_t end, Add&& add) {
    while (first < end) {
      provide(t);
      const std::size_t some = std::min(end - first, batch_capacity - t.filling->size());
      add(*t.filling, first, some);
      if (t.filling->size() == batch_capacity) send(t);
      first += some;
    }
  }
};

/// What lanes_of_numbers and pick_by_lane know how to hash.
template <typename K>
inline constexpr bool is_number = (std::is_integral_v<K> || std::is_enum_v<K>)&&sizeof(K) == 8;

/// Into keyed<K, T>.
template <typename K, typename T, typename F>
struct key_terminal : exchange_terminal<keyed_batch<K, T>> {
  static constexpr const char* name = "key_by";
  using base = exchange_terminal<keyed_batch<K, T>>;
  /// Records that are cheap to copy are first collected as if there were one lane, and then dealt to the
  /// lanes by the block: one by one, each would wait for its key's hash to know where it goes.
  static constexpr bool in_blocks =
      std::is_trivially_copyable_v<K> && std::is_trivially_copyable_v<T> && sizeof(T) <= 64;
  F key_of;
  std::string scratch;
  std::array<std::uint16_t, in_blocks ? batch_capacity : 0> lanes;  // by record
  std::array<std::uint16_t, in_blocks ? batch_capacity + sort_by_lane_slack : 0> order;
  std::vector<std::uint16_t> ends;  // by lane
  // What pick_by_lane gives the lanes: of each batch_capacity + pick_slack keys; this lane's stay in the
  // block.
  std::vector<std::conditional_t<is_number<K>, K, char>> picked;
  std::array<void*, most_pick_lanes> picked_of{};
  std::array<std::uint16_t, most_pick_lanes> picked_count{};

  explicit key_terminal(F f) : key_of(std::move(f)) {}

  result<> end_of_batch() {
    if constexpr (in_blocks) {
      if (!this->targets.empty()) deal();
    }
    return base::end_of_batch();
  }

  template <typename V, typename At>
  [[gnu::always_inline]] void put(V&& value, std::int64_t ts, At at) {
    K key = at([&]() -> K { return std::invoke(key_of, std::as_const(value)); });
    if constexpr (std::is_lvalue_reference_v<V>) {
      if (this->may_move) {
        add(std::move(key), take(value), ts);
      } else {
        add(std::move(key), value, ts);
      }
    } else {
      add(std::move(key), std::move(value), ts);
    }
  }

 private:
  template <typename V>
  [[gnu::always_inline]] void add(K&& key, V&& value, std::int64_t ts) {
    if (this->targets.empty()) {
      this->out.add(std::move(key), std::forward<V>(value), ts);
      return;
    }
    if constexpr (in_blocks) {
      auto& block = this->out.pending();
      block.add(std::move(key), std::forward<V>(value), ts);
      if (block.size() == batch_capacity) deal();
      return;
    }
    auto& t = this->targets[lane_of_key(hash_for_partition(key, scratch), this->targets.size())];
    base::add_to(t, std::move(key), std::forward<V>(value), ts);
  }
  [[gnu::noinline]] void sort(const K* keys, std::size_t n) {
    const std::size_t count = this->targets.size();
    if constexpr (is_number<K>) {
      lanes_of_numbers(keys, n, static_cast<std::uint32_t>(count), lanes.data());
    } else {
      for (std::size_t i = 0; i < n; ++i)
        lanes[i] = static_cast<std::uint16_t>(lane_of_key(hash_for_partition(keys[i], scratch), count));
    }
    ends.resize(count);
    sort_by_lane(lanes.data(), n, count, order.data(), ends.data());
  }
  void deal() {
    auto& block = this->out.pending();
    if (block.size() == 0) return;
    block.join_times();
    if (!deal_keys(block)) deal_records(block);
    // Left in the block: what stays on this lane, which need not be copied to be delivered.
    auto& mine = this->targets[this->here];
    if (block.size() != 0 && (mine.filling != nullptr || !mine.to->deliver(block))) {
      std::iota(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(block.size()), std::uint16_t{0});
      base::fill(mine, 0, block.size(), [&](auto& filling, std::size_t first, std::size_t n) {
        filling.add_some(block, order.data() + first, n);
      });
    }
    block.clear();
  }
  void deal_records(keyed_batch<K, T>& block) {
    sort(block.keys.data(), block.size());
    std::size_t at = 0;
    std::size_t mine = 0;
    for (std::size_t lane = 0; lane < ends.size(); at = ends[lane++]) {
      if (lane == this->here) {
        mine = at;
        continue;
      }
      base::fill(this->targets[lane], at, ends[lane], [&](auto& filling, std::size_t first, std::size_t n) {
        filling.add_some(block, order.data() + first, n);
      });
    }
    block.keep_some(order.data() + mine, ends[this->here] - mine);
  }
  /// Where there are keys only, and the processor can: hashed, dealt and copied in one pass. False: not.
  bool deal_keys(keyed_batch<K, T>& block) {
    if constexpr (is_number<K>) {
      const std::size_t lanes = this->targets.size();
      if (!block.keys_alone() || lanes > most_pick_lanes) return false;
      constexpr std::size_t room = batch_capacity + pick_slack;
      if (picked.empty()) {
        picked.resize(lanes * room);
        for (std::size_t lane = 0; lane < lanes; ++lane) picked_of[lane] = picked.data() + lane * room;
        picked_of[this->here] = block.keys.data();
      }
      if (!pick_by_lane(block.keys.data(), block.size(), lanes, picked_of.data(), picked_count.data()))
        return false;
      for (std::size_t lane = 0; lane < lanes; ++lane) {
        if (lane == this->here) continue;
        base::fill(this->targets[lane], 0, picked_count[lane],
                   [&](auto& filling, std::size_t first, std::size_t n) {
                     filling.add_keys(block, static_cast<const K*>(picked_of[lane]) + first, n);
                   });
      }
      block.keep_first(picked_count[this->here]);
      return true;
    }
    return false;
  }
};

/// Which lane a record goes to, of n. Each is copied to every lane before the first record.
struct in_turn {
  static constexpr const char* name = "rebalance";
  std::size_t next = 0;
  template <typename T>
  std::size_t operator()(const T&, std::size_t lanes) noexcept {
    return next++ % lanes;
  }
};
struct drawn {
  static constexpr const char* name = "shuffle";
  std::uint64_t state = 0x9e3779b97f4a7c15;
  template <typename T>
  std::size_t operator()(const T&, std::size_t lanes) noexcept {
    state = mix_hash(state, 0xa0761d6478bd642f);
    return state % lanes;
  }
};
template <typename F>
struct chosen {
  static constexpr const char* name = "partition_by";
  F f;
  template <typename T>
  std::size_t operator()(const T& value, std::size_t lanes) {
    return static_cast<std::size_t>(std::invoke(f, value, lanes)) % lanes;
  }
};
struct to_all {
  static constexpr const char* name = "broadcast";
};

/// rebalance, shuffle, partition_by, broadcast: over the lanes without a key.
template <typename T, typename Route>
struct route_terminal : exchange_terminal<batch<T>> {
  static constexpr const char* name = Route::name;
  using base = exchange_terminal<batch<T>>;
  Route route;

  explicit route_terminal(Route r) : route(std::move(r)) {}

  template <typename V, typename At>
  void put(V&& value, std::int64_t ts, At at) {
    if (this->targets.empty()) {
      this->out.add(std::forward<V>(value), ts);
    } else if constexpr (std::is_same_v<Route, to_all>) {
      for (auto& t : this->targets) base::add_to(t, std::as_const(value), ts);
    } else {
      auto& t = this->targets[at([&] { return route(std::as_const(value), this->targets.size()); })];
      base::add_to(t, std::forward<V>(value), ts);
    }
  }
};

/// for_each: user code at the end of the loop. If the function object has flush(), that is called after every
/// batch.
template <typename T, typename F>
struct each_terminal : plain_terminal {
  static constexpr const char* name = "for_each";
  F f;
  explicit each_terminal(F user) : f(std::move(user)) {}
  template <typename V, typename At>
  [[gnu::always_inline]] void put(V&& value, std::int64_t ts, At at) {
    at([&] {
      if constexpr (std::is_invocable_v<F&, const T&, std::int64_t>) {
        std::invoke(f, std::as_const(value), ts);
      } else {
        std::invoke(f, std::as_const(value));
      }
    });
  }
  result<> end_of_batch() {
    if constexpr (requires { f.flush(); }) f.flush();
    return {};
  }
};

/// What the loop works on: the terminal itself, or, for a function object that is plain data, a copy, which
/// the compiler can keep in registers; `leave` brings it back.
template <typename Terminal>
Terminal& enter(Terminal& t) {
  return t;
}
template <typename Terminal>
void leave(Terminal&, const Terminal&) {}
template <typename T, typename F>
requires std::is_trivially_copyable_v<F> each_terminal<T, F> enter(each_terminal<T, F>& t) { return t; }
template <typename T, typename F>
requires std::is_trivially_copyable_v<F>
void leave(each_terminal<T, F>& t, const each_terminal<T, F>& copy) { std::construct_at(&t.f, copy.f); }

/// What every write has: the sink's writer, and the records that it is handed after each batch.
struct writing_terminal : plain_terminal {
  static constexpr const char* name = "write";
  std::vector<std::size_t> headers_end;  // by record, where any has headers
  std::vector<record_header> header_views;
  std::vector<outgoing> records;
  std::unique_ptr<sink_writer> writer;
  result<> failure{};

  // Copied before it is opened, once a lane.
  writing_terminal() = default;
  writing_terminal(const writing_terminal& other) : plain_terminal(other) {}
  writing_terminal(writing_terminal&&) noexcept = default;

  result<> open(services& lane, std::uint32_t node) {
    auto opened = lane.open_writer(node);
    if (!opened) return fail(std::move(opened.error()));
    writer = std::move(*opened);
    return {};
  }
  void on_barrier(std::uint64_t epoch, services& lane) {
    writer->flush([epoch, &lane](result<> r) {
      if (!r) return lane.fail(std::move(r.error()));
      lane.acknowledge(epoch, epoch + 1);
    });
  }
  bool blocked() const { return !writer->ready(); }

 protected:
  result<> hand_over_records() {
    if (!header_views.empty()) {
      for (std::size_t i = 0, first = 0; i < records.size(); first = headers_end[i++])
        records[i].headers = std::span(header_views).subspan(first, headers_end[i] - first);
    }
    result<> r = writer->write(records);
    records.clear();
    header_views.clear();
    headers_end.clear();
    return r;
  }
};

/// write: encodes into one buffer and hands a batch of views to the sink's writer.
template <typename T, typename Format>
struct write_terminal : writing_terminal {
  struct extent {
    std::size_t key_end;
    std::size_t value_end;
    std::int64_t timestamp;
    bool has_key;
    bool tombstone;
  };
  Format format;
  header_writer headers;  // of formats that write some
  std::string bytes;
  std::vector<extent> extents;

  explicit write_terminal(Format f) : format(std::move(f)) {}
  write_terminal(const write_terminal& other) : writing_terminal(other), format(other.format) {}
  write_terminal(write_terminal&&) noexcept = default;

  template <typename V, typename At>
  void put(V&& value, std::int64_t ts, At at) {
    const std::size_t before = bytes.size();
    bool has_key = false;
    bool tombstone = false;
    std::size_t key_end = before;
    try {
      at([&] {
        if constexpr (encodes_key<Format, T>) has_key = format.encode_key(std::as_const(value), bytes);
        key_end = bytes.size();
        format.encode(std::as_const(value), bytes);
        if constexpr (requires { format.is_tombstone(value); }) tombstone = format.is_tombstone(value);
        if constexpr (encodes_headers<Format, T>) {
          format.encode_headers(std::as_const(value), headers);
          headers_end.push_back(headers.size());
        }
      });
    } catch (...) {
      bytes.resize(before);
      throw;
    }
    extents.push_back({key_end, bytes.size(), ts, has_key, tombstone});
    if (extents.size() == batch_capacity && failure) failure = hand_over();
  }
  result<> end_of_batch() {
    if (!failure) return failure;
    return hand_over();
  }

 private:
  result<> hand_over() {
    if (extents.empty()) return {};
    std::size_t at = 0;
    if constexpr (encodes_headers<Format, T>) {
      for (std::size_t i = 0; i < headers.size(); ++i) header_views.push_back(headers[i]);
    }
    for (const extent& e : extents) {
      outgoing& r = records.emplace_back();
      if (e.has_key) r.key = {bytes.data() + at, e.key_end - at};
      if (!e.tombstone) r.value = {bytes.data() + e.key_end, e.value_end - e.key_end};
      r.timestamp_ms = e.timestamp == no_timestamp ? -1 : e.timestamp;
      at = e.value_end;
    }
    result<> r = hand_over_records();
    extents.clear();
    bytes.clear();
    headers.clear();
    return r;
  }
};

/// Records as they were read: their bytes lie in the source's buffers until its next poll, so nothing is
/// copied.
template <>
struct write_terminal<raw, unchanged_format> : writing_terminal {
  explicit write_terminal(unchanged_format) {}
  template <typename At>
  [[gnu::always_inline]] void put(const raw& record, std::int64_t ts, At) {
    outgoing& r = records.emplace_back();
    r.key = record.key;
    r.value = record.value;
    r.timestamp_ms = ts == no_timestamp ? -1 : ts;
    if (!record.headers.empty()) [[unlikely]]
      header_views.insert(header_views.end(), record.headers.begin(), record.headers.end());
    headers_end.push_back(header_views.size());
    if (records.size() == batch_capacity && failure) failure = hand_over_records();
  }
  result<> end_of_batch() {
    if (!failure || records.empty()) return failure;
    return hand_over_records();
  }
};

}  // namespace penstock::detail
