// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <penstock/detail/dealing.h>
#include <penstock/detail/few.h>
#include <penstock/detail/state_columns.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace penstock::detail {
namespace {

TEST(timer_set, behaves_as_a_set_in_order_of_time) {
  std::mt19937_64 random(3);
  timer_set timers;
  std::set<std::pair<std::int64_t, row_id>> model;
  for (int i = 0; i < 20'000; ++i) {
    const auto at = static_cast<std::int64_t>(random() % 200);
    const auto row = static_cast<row_id>(random() % 5);
    switch (random() % 4) {
      case 0:
      case 1: EXPECT_EQ(timers.add(at, row), model.emplace(at, row).second); break;
      case 2: EXPECT_EQ(timers.remove(at, row), model.erase({at, row}) == 1); break;
      default: {
        timer_id taken{};
        const auto limit = static_cast<std::int64_t>(random() % 20);
        const bool due = !model.empty() && model.begin()->first <= limit;
        ASSERT_EQ(timers.take(limit, taken), due);
        if (!due) break;
        EXPECT_EQ(*model.begin(), std::pair(taken.at, taken.row));
        model.erase(model.begin());
      }
    }
    ASSERT_EQ(timers.size(), model.size());
  }
}

TEST(timer_set, takes_times_far_apart_in_order) {
  std::mt19937_64 random(4);
  timer_set timers;
  std::set<std::pair<std::int64_t, row_id>> model;
  std::int64_t now = -3'000'000;
  for (int i = 0; i < 60'000; ++i) {
    // Mostly a little ahead, now and then long ahead, or behind what has been reached.
    const std::int64_t reach = random() % 8 == 0 ? 5'000'000 : 3000;
    const std::int64_t at =
        now + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(reach)) - 20;
    const auto row = static_cast<row_id>(random() % 50);
    EXPECT_EQ(timers.add(at, row), model.emplace(at, row).second);
    if (random() % 4 == 0) {
      EXPECT_EQ(timers.remove(at, row), model.erase({at, row}) == 1);
    }
    if (i % 16 != 0) continue;
    now += static_cast<std::int64_t>(random() % (random() % 100 == 0 ? 3'000'000 : 500));
    for (timer_id taken{}; timers.take(now, taken);) {
      ASSERT_FALSE(model.empty());
      ASSERT_EQ(*model.begin(), std::pair(taken.at, taken.row));
      model.erase(model.begin());
    }
    ASSERT_TRUE(model.empty() || model.begin()->first > now);
    ASSERT_LE(timers.next(), model.empty() ? max_watermark : model.begin()->first);
    ASSERT_GT(timers.next(), now - 3'100'000);
  }
  for (const std::int64_t at : {min_watermark, max_watermark - 1, max_watermark}) timers.add(at, 1);
  timer_id taken{};
  ASSERT_TRUE(timers.take(max_watermark, taken));
  EXPECT_EQ(taken.at, min_watermark);
}

TEST(row_timers, come_once_however_often_they_are_moved) {
  std::mt19937_64 random(8);
  row_timers timers;
  std::vector<std::int64_t> armed(40, row_timers::none);
  const auto armed_of = [&](row_id row) -> std::int64_t& { return armed[row]; };
  std::int64_t now = 0;
  for (int i = 0; i < 100'000; ++i) {
    const auto row = static_cast<row_id>(random() % armed.size());
    const bool none = random() % 8 == 0;
    timers.arm(row, armed[row], none ? row_timers::none : now + static_cast<std::int64_t>(random() % 5000),
               armed_of);
    if (i % 64 != 0) continue;
    now += static_cast<std::int64_t>(random() % 500);
    std::int64_t last = 0;
    for (;;) {
      const auto due = std::min_element(armed.begin(), armed.end());
      const std::int64_t first = *due;
      timer_id taken{};
      ASSERT_EQ(timers.take(now, taken, armed_of), first <= now);
      if (first > now) break;
      ASSERT_EQ(taken.at, first);
      ASSERT_EQ(taken.row, due - armed.begin());
      ASSERT_GE(taken.at, last);
      ASSERT_EQ(armed[taken.row], row_timers::none);
      last = taken.at;
    }
  }
}

TEST(timer_set, does_not_keep_what_was_removed) {
  timer_set timers;
  timers.add(0, 0);
  EXPECT_LE(timers.next(), 0);
  for (std::int64_t i = 1; i < 10'000; ++i) {
    timers.add(i, 1);
    timers.remove(i, 1);
  }
  timer_id taken{};
  EXPECT_TRUE(timers.take(max_watermark, taken));
  EXPECT_FALSE(timers.take(max_watermark, taken));
  EXPECT_EQ(timers.next(), max_watermark);
}

TEST(state_rows, behave_as_a_map_of_what_is_set) {
  std::mt19937_64 random(5);
  keyed_rows<std::string> rows;
  auto& numbers = rows.add_column("n", std::make_unique<value_column<int>>(rows, state_options{}), false);
  auto& lists = rows.add_column("l", std::make_unique<list_column<int>>(rows, state_options{}), false);
  std::map<std::string, std::pair<std::optional<int>, std::vector<int>>> model;
  for (int i = 0; i < 50'000; ++i) {
    const std::string key = "key-" + std::to_string(random() % 3000);
    rows.select(key, key_traits<std::string>::hash(key));
    auto& expected = model[key];
    ASSERT_EQ(numbers.get() != nullptr, expected.first.has_value());
    if (expected.first) {
      ASSERT_EQ(*numbers.get(), *expected.first);
    }
    ASSERT_EQ(lists.get(), expected.second);
    switch (random() % 5) {
      case 0:
        numbers.set(i);
        expected.first = i;
        break;
      case 1:
        lists.add(i);
        expected.second.push_back(i);
        break;
      case 2:
        numbers.clear();
        expected.first.reset();
        break;
      case 3:
        lists.clear();
        expected.second.clear();
        break;
      default: break;
    }
    rows.done();
    if (!expected.first && expected.second.empty()) model.erase(key);
    ASSERT_EQ(rows.size(), model.size());
  }
}

/// What a log was given, and what it holds.
struct log_in_memory final : state_log {
  using name = std::pair<std::uint32_t, std::string>;
  void put(std::uint32_t partition, std::string_view row, std::string_view value) override {
    ++writes;
    bytes += value.size();
    rows[name(partition, row)] = value;
  }
  void erase(std::uint32_t partition, std::string_view row) override {
    ++writes;
    rows.erase(name(partition, row));
  }
  std::map<name, std::string> rows;
  std::size_t writes = 0, bytes = 0;
};

constexpr auto nothing_more = [](row_id, auto&&...) { return true; };

struct map_function {
  keyed_rows<std::string> rows;
  map_column<int, std::string>& map;
  map_function()
      : map(rows.add_column("map", std::make_unique<map_column<int, std::string>>(rows, state_options{}),
                            false)) {
    rows.note_changes();
  }
  template <typename F>
  void with(const std::string& key, F f) {
    rows.select(key, key_traits<std::string>::hash(key));
    f();
    rows.done();
  }
  void save(log_in_memory& to) {
    rows.save_shared(to, true);
    rows.save_changes(to, nothing_more);
  }
  /// In the order given, those of all keys first.
  void restore(const std::vector<std::pair<log_in_memory::name, std::string>>& all) {
    for (const auto& [name, value] : all) {
      const auto& [partition, row] = name;
      ASSERT_TRUE(partition == shared_rows ? rows.restore_shared(row, value)
                                           : rows.restore(row, value, nothing_more));
    }
  }
};

TEST(map_state, an_entry_is_written_alone) {
  map_function f;
  log_in_memory log;
  f.with("k", [&] {
    for (int i = 0; i < 10'000; ++i) f.map.put(i, std::string(20, 'x'));
  });
  f.save(log);
  EXPECT_EQ(log.rows.size(), 10'001u);  // and the columns' names
  log.writes = log.bytes = 0;
  f.with("k", [&] {
    f.map.put(77, "y");
    f.map.put(77, "z");
    f.map.erase(78);
  });
  f.save(log);
  EXPECT_EQ(log.writes, 2u);
  EXPECT_LT(log.bytes, 10u);
  EXPECT_EQ(log.rows.size(), 10'000u);
}

TEST(map_state, comes_back_as_it_was_saved) {
  std::mt19937_64 random(11);
  log_in_memory log;
  std::map<std::string, std::map<int, std::string>> model;
  for (int run = 0; run < 6; ++run) {
    map_function f;
    std::vector<std::pair<log_in_memory::name, std::string>> rows;
    for (const auto& r : log.rows) {
      if (r.first.first == shared_rows)
        rows.insert(rows.begin(), r);
      else
        rows.push_back(r);
    }
    f.restore(rows);
    ASSERT_EQ(f.rows.size(), model.size());
    for (int epoch = 0; epoch < 20; ++epoch) {
      for (int i = 0; i < 50; ++i) {
        const std::string key(1, static_cast<char>('a' + random() % 5));
        const int entry = static_cast<int>(random() % 6);
        f.with(key, [&] {
          auto& expected = model[key];
          ASSERT_EQ(f.map.get(entry) != nullptr, expected.contains(entry));
          switch (random() % 8) {
            case 0:
              f.map.clear();
              expected.clear();
              break;
            case 1:
            case 2:
            case 3: ASSERT_EQ(f.map.erase(entry), expected.erase(entry) == 1); break;
            default: f.map.put(entry, std::to_string(i)); expected[entry] = std::to_string(i);
          }
          if (expected.empty()) model.erase(key);
        });
      }
      f.save(log);
      std::size_t entries = 0;
      for (const auto& [key, all] : model) entries += all.size();
      ASSERT_EQ(log.rows.size(), entries + 1);
    }
  }
}

TEST(kept_columns, have_their_numbers_for_ever) {
  using ints = value_column<int>;
  const auto add = [](keyed_rows<std::string>& rows, const char* name) {
    return &rows.add_column(name, std::make_unique<ints>(rows, state_options{}), false);
  };
  const auto restore = [](keyed_rows<std::string>& rows, const log_in_memory& log) {
    rows.note_changes();
    for (const bool shared : {true, false})
      for (const auto& [name, value] : log.rows)
        if ((name.first == shared_rows) == shared) {
          ASSERT_TRUE(shared ? rows.restore_shared(name.second, value)
                             : rows.restore(name.second, value, nothing_more));
        }
  };
  const auto select = [](keyed_rows<std::string>& rows, const std::string& key) {
    rows.select(key, key_traits<std::string>::hash(key));
  };
  const std::string old_key = "old", new_key = "new";
  log_in_memory log;
  {
    keyed_rows<std::string> rows;
    ints* a = add(rows, "a");
    ints* b = add(rows, "b");
    rows.note_changes();
    select(rows, old_key);
    a->set(1);
    b->set(2);
    rows.done();
    rows.save_shared(log, true);
    rows.save_changes(log, nothing_more);
  }
  {  // one state is gone, one is new; the old row is not written again
    keyed_rows<std::string> rows;
    ints* c = add(rows, "c");
    ints* b = add(rows, "b");
    restore(rows, log);
    select(rows, new_key);
    b->set(20);
    c->set(30);
    rows.done();
    rows.save_shared(log, true);
    rows.save_changes(log, nothing_more);
  }
  keyed_rows<std::string> rows;
  ints* b = add(rows, "b");
  ints* c = add(rows, "c");
  restore(rows, log);
  select(rows, old_key);
  ASSERT_NE(b->get(), nullptr);
  EXPECT_EQ(*b->get(), 2);
  EXPECT_EQ(c->get(), nullptr);
  rows.done();
  select(rows, new_key);
  ASSERT_NE(b->get(), nullptr);
  EXPECT_EQ(*b->get(), 20);
  ASSERT_NE(c->get(), nullptr);
  EXPECT_EQ(*c->get(), 30);
  rows.done();
}

/// So large that a table has many parts soon.
struct large {
  std::int64_t number = 0;
  std::array<char, 500> filling{};
};

TEST(state_rows, are_found_when_there_are_many) {
  keyed_rows<std::int64_t> rows;
  auto& numbers =
      rows.add_column("n", std::make_unique<value_column<std::int64_t>>(rows, state_options{}), false);
  const auto with = [&](std::int64_t key, auto work) {
    rows.select(key, key_traits<std::int64_t>::hash(key));
    work();
    rows.done();
  };
  constexpr std::int64_t many = 300'000;
  for (std::int64_t i = 0; i < many; ++i) with(i, [&] { numbers.set(i * 7); });
  for (std::int64_t i = 0; i < many; i += 3) with(i, [&] { numbers.clear(); });
  ASSERT_EQ(rows.size(), static_cast<std::size_t>(many / 3 * 2));
  for (std::int64_t i = many; i < many + 1000; ++i) with(i, [&] { numbers.set(i * 7); });  // free rows again
  for (std::int64_t i = 0; i < many + 1000; ++i) {
    with(i, [&] {
      const std::int64_t* n = numbers.get();
      ASSERT_EQ(n != nullptr, i >= many || i % 3 != 0) << i;
      if (n != nullptr) {
        ASSERT_EQ(*n, i * 7);
      }
    });
  }
}

TEST(flat_table, keeps_all_entries_when_it_is_cut_into_parts) {
  std::mt19937_64 random(10);
  flat_table<std::int64_t, large> table;
  std::map<std::int64_t, std::int64_t> model;
  const auto hash = [](std::int64_t key) { return key_traits<std::int64_t>::hash(key); };
  for (std::int64_t i = 0; i < 60'000; ++i) {
    const std::int64_t key = i / 2 * static_cast<std::int64_t>(1 + random() % 2);
    table.prefetch(hash(key));
    table.at(hash(key), key, [] { return large{}; }).number = i;
    model[key] = i;
    if (i == 40'000) table.note_changes();
    if (i % 3 != 0) continue;
    const auto gone = static_cast<std::int64_t>(random() % 60'000);
    ASSERT_EQ(table.erase(hash(gone), gone), model.erase(gone) == 1);
  }
  ASSERT_EQ(table.size(), model.size());
  std::size_t seen = 0, changed = 0;
  table.for_each([&](std::int64_t key, const large& value) {
    ++seen;
    ASSERT_EQ(model.at(key), value.number);
  });
  EXPECT_EQ(seen, model.size());
  for (const auto& [key, number] : model) ASSERT_EQ(table.find(hash(key), key)->number, number);
  table.take_changes([&](std::int64_t key, const large& value) {
    ++changed;
    ASSERT_GT(value.number, 40'000) << key;
  });
  EXPECT_EQ(changed, static_cast<std::size_t>(std::count_if(
                         model.begin(), model.end(), [](const auto& e) { return e.second > 40'000; })));
  table.clear();
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(table.find(hash(1), 1), nullptr);
}

TEST(partition_hash, is_the_same_for_numbers_as_for_their_bytes) {
  std::mt19937_64 random(13);
  std::string scratch;
  for (int i = 0; i < 1000; ++i) {
    const auto n = static_cast<std::int64_t>(random());
    std::string text;
    key_traits<std::int64_t>::append(n, text);
    EXPECT_EQ(hash_for_partition(n, scratch), partition_hash(text));
    const auto m = static_cast<std::int16_t>(n);
    text.clear();
    key_traits<std::int16_t>::append(m, text);
    EXPECT_EQ(hash_for_partition(m, scratch), partition_hash(text));
  }
}

TEST(sort_by_lane, puts_lane_after_lane_and_keeps_the_order_within) {
  std::mt19937 random(1);
  for (const std::size_t count : {1u, 2u, 3u, 4u, 5u, 16u, 17u, 128u}) {
    for (const std::size_t n : {0u, 1u, 15u, 16u, 17u, 31u, 32u, 500u, 511u, 512u}) {
      std::vector<std::uint16_t> lanes(n), order, ends(count), wanted(n);
      for (auto& l : lanes) l = static_cast<std::uint16_t>(random() % count);
      std::iota(wanted.begin(), wanted.end(), std::uint16_t{0});
      std::stable_sort(wanted.begin(), wanted.end(), [&](auto a, auto b) { return lanes[a] < lanes[b]; });
      for (const auto sort : {sort_by_lane, sort_by_lane_plainly}) {
        order.assign(n + sort_by_lane_slack, 0xffff);
        sort(lanes.data(), n, count, order.data(), ends.data());
        order.resize(n);
        EXPECT_EQ(order, wanted) << count << " lanes, " << n << " records";
        for (std::size_t lane = 0; lane < count; ++lane)
          EXPECT_EQ(ends[lane], std::count_if(lanes.begin(), lanes.end(), [&](auto l) { return l <= lane; }));
      }
    }
  }
}

TEST(all_within, is_what_it_says_for_any_number_of_times) {
  constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  for (const auto& [start, length] : {std::pair<std::int64_t, std::int64_t>{0, 1},
                                      {-1000, 2000},
                                      {7, most},
                                      {least, 10},
                                      {most - 5, 100}}) {
    const std::int64_t last = start > most - (length - 1) ? most : start + (length - 1);
    std::vector<std::int64_t> outside;
    if (start != least) outside = {start - 1, least};
    if (last != most) outside.insert(outside.end(), {last + 1, most});
    for (std::size_t n = 0; n < 40; ++n) {
      std::vector<std::int64_t> times(n, start);
      for (std::size_t i = 0; i < n; i += 3) times[i] = last;
      EXPECT_TRUE(all_within(times.data(), n, start, length)) << start << " + " << length << ", " << n;
      for (std::size_t i = 0; i < n; ++i) {
        for (const std::int64_t t : outside) {
          const std::int64_t inside = std::exchange(times[i], t);
          EXPECT_FALSE(all_within(times.data(), n, start, length)) << start << " + " << length << ": " << t;
          times[i] = inside;
        }
      }
    }
  }
}

TEST(lanes_of_numbers, are_those_of_each_by_itself) {
  std::mt19937_64 random(14);
  std::string scratch;
  std::vector<std::int64_t> keys(100);
  std::vector<std::uint16_t> lanes(keys.size());
  for (const std::uint32_t count : {2u, 3u, 128u, 1024u}) {
    for (auto& key : keys) key = static_cast<std::int64_t>(random() >> random() % 64);
    lanes_of_numbers(keys.data(), keys.size(), count, lanes.data());
    for (std::size_t i = 0; i < keys.size(); ++i)
      EXPECT_EQ(lanes[i], lane_of_key(hash_for_partition(keys[i], scratch), count)) << keys[i];
  }
}

TEST(pick_by_lane, deals_each_number_to_its_lane_in_order) {
  std::mt19937_64 random(15);
  std::string scratch;
  for (std::size_t count = 1; count <= most_pick_lanes; ++count) {
    for (std::size_t n = 0; n < 70; ++n) {
      std::vector<std::int64_t> keys(n);
      std::vector<std::vector<std::int64_t>> wanted(count);
      std::vector<std::vector<std::int64_t>> dealt(count, std::vector<std::int64_t>(n + pick_slack));
      for (auto& key : keys) {
        key = static_cast<std::int64_t>(random() >> random() % 64);
        wanted[lane_of_key(hash_for_partition(key, scratch), count)].push_back(key);
      }
      std::vector<void*> into;
      for (auto& of_lane : dealt) into.push_back(of_lane.data());
      const std::size_t in_place = random() % (count + 1);  // or none
      if (in_place < count) into[in_place] = keys.data();
      std::vector<std::uint16_t> counts(count);
      if (!pick_by_lane(keys.data(), n, count, into.data(), counts.data()))
        GTEST_SKIP() << "this processor has no AVX-512";
      for (std::size_t lane = 0; lane < count; ++lane) {
        auto& of_lane = lane == in_place ? keys : dealt[lane];
        ASSERT_EQ(counts[lane], wanted[lane].size());
        of_lane.resize(counts[lane]);
        EXPECT_EQ(of_lane, wanted[lane]) << n << " keys, lane " << lane << " of " << count;
      }
    }
  }
}

TEST(few, behaves_as_a_vector) {
  std::mt19937_64 random(12);
  few<std::string> some;
  std::vector<std::string> model;
  for (int i = 0; i < 5'000; ++i) {
    const std::size_t at = random() % (model.size() + 1);
    if (random() % 2 == 0 && model.size() < 12) {
      some.insert(some.begin() + at, "a text that is too long to be kept in place " + std::to_string(i));
      model.insert(model.begin() + static_cast<std::ptrdiff_t>(at),
                   "a text that is too long to be kept in place " + std::to_string(i));
    } else if (at < model.size()) {
      some.erase(some.begin() + at);
      model.erase(model.begin() + static_cast<std::ptrdiff_t>(at));
    }
    if (i % 100 == 0) {
      few<std::string> other(std::move(some));
      EXPECT_TRUE(some.empty());
      some = std::move(other);
    }
    ASSERT_TRUE(std::equal(some.begin(), some.end(), model.begin(), model.end()));
  }
  erase_if(some, [](const std::string& s) { return s.back() % 2 == 0; });
  std::erase_if(model, [](const std::string& s) { return s.back() % 2 == 0; });
  EXPECT_TRUE(std::equal(some.begin(), some.end(), model.begin(), model.end()));
}

TEST(flat_table, behaves_as_a_map_when_entries_go) {
  std::mt19937_64 random(9);
  flat_table<std::int64_t, int> table;
  std::map<std::int64_t, int> model;
  for (int i = 0; i < 100'000; ++i) {
    // Few keys that differ in low bits: long runs, and many moves.
    const auto key = static_cast<std::int64_t>(random() % 64);
    const auto hash = key_traits<std::int64_t>::hash(key);
    if (random() % 2 == 0) {
      table.at(hash, key, [] { return 0; }) = i;
      model[key] = i;
    } else {
      ASSERT_EQ(table.erase(hash, key), model.erase(key) == 1);
    }
    const auto other = static_cast<std::int64_t>(random() % 64);
    const int* found = table.find(key_traits<std::int64_t>::hash(other), other);
    const auto at = model.find(other);
    ASSERT_EQ(found != nullptr, at != model.end());
    if (found != nullptr) {
      ASSERT_EQ(*found, at->second);
    }
    ASSERT_EQ(table.size(), model.size());
  }
}

}  // namespace
}  // namespace penstock::detail
