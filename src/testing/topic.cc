// SPDX-License-Identifier: Apache-2.0
#include <penstock/testing.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "base/hash.h"
#include "base/varint.h"
#include "testing/memory_transactions.h"

namespace penstock::testing {

namespace {

using shared_state = std::shared_ptr<topic::state>;

std::string_view view_of(const std::optional<std::string>& s) {
  return s ? std::string_view(*s) : std::string_view();
}

/// As a record in Kafka's format has them.
std::string bytes_of(const std::vector<std::pair<std::string, std::string>>& headers) {
  std::string bytes;
  char size[base::max_varint64_bytes];
  for (const auto& [key, value] : headers) {
    for (const std::string& part : {key, value}) {
      bytes.append(size, base::write_varint(size, static_cast<std::int64_t>(part.size())));
      bytes.append(part);
    }
  }
  return bytes;
}

class topic_reader final : public source_reader {
 public:
  topic_reader(shared_state from, std::size_t poll_size) : from_(std::move(from)), poll_size_(poll_size) {}

  result<> assign(std::uint32_t number, const split& s) override {
    splits_.push_back({number, &s, s.start, false, false});
    return {};
  }
  result<polled> poll(std::span<raw> into) override {
    const std::lock_guard lock(from_->mutex);
    headers_.clear();
    for (std::size_t i = 0; i < splits_.size(); ++i) {
      reading& r = splits_[(turn_ + i) % splits_.size()];
      if (r.finished || r.paused) continue;
      polled p = read(r, into.first(std::min(into.size(), poll_size_)));
      if (p.count == 0 && !p.finished) continue;
      turn_ = (turn_ + i + 1) % splits_.size();
      return p;
    }
    return polled{};
  }
  bool set_paused(std::uint32_t number, bool paused) override {
    for (reading& r : splits_) {
      if (r.number == number) r.paused = paused;
    }
    return true;
  }
  void commit(std::vector<split_commit> positions, std::function<void(result<>)> done) override {
    {
      const std::lock_guard lock(from_->mutex);
      for (split_commit& c : positions) {
        for (const reading& r : splits_) {
          if (r.number != c.split) continue;
          auto& p = from_->partitions[static_cast<std::size_t>(r.from->partition)];
          p.committed = c.position;
          p.metadata = std::move(c.metadata);
        }
      }
    }
    done({});
  }

 private:
  struct reading {
    std::uint32_t number;
    const split* from;
    std::int64_t position;
    bool finished;
    bool paused;
  };
  polled read(reading& r, std::span<raw> into) {
    const auto& records = from_->partitions[static_cast<std::size_t>(r.from->partition)].records;
    const auto end = std::min<std::int64_t>(static_cast<std::int64_t>(records.size()),
                                            r.from->stop.value_or(static_cast<std::int64_t>(records.size())));
    polled p;
    while (p.count < into.size() && r.position < end) {
      const record& stored = records[static_cast<std::size_t>(r.position)].record;
      raw& out = into[p.count++];
      out.offset = r.position++;
      out.timestamp_ms = stored.timestamp_ms;
      out.key = view_of(stored.key);
      out.value = view_of(stored.value);
      out.headers = {};
      if (!stored.headers.empty())
        out.headers = {headers_.emplace_back(bytes_of(stored.headers)),
                       static_cast<std::int32_t>(stored.headers.size())};
      out.from = r.from;
    }
    p.split = r.number;
    p.next = r.position;
    p.finished = r.finished = r.from->stop && r.position >= *r.from->stop;
    return p;
  }

  shared_state from_;
  std::size_t poll_size_;
  std::vector<reading> splits_;
  std::deque<std::string> headers_;  // what records of the last poll borrow from
  std::size_t turn_ = 0;
};

class topic_reading final : public source_connector {
 public:
  explicit topic_reading(topic_source options) : options_(std::move(options)) {}
  std::string describe() const override { return "topic " + options_.from->name + " in memory"; }
  void validate(std::vector<std::string>& problems) const override {
    if (options_.poll_size == 0) problems.push_back("poll_size must be at least 1");
  }
  bool bounded() const override { return options_.bounded; }
  watermark_options watermarks() const override { return options_.watermarks; }
  result<std::vector<split>> discover(const job_info&, read_purpose purpose) override {
    const topic::state& t = *options_.from;
    const std::lock_guard lock(t.mutex);
    std::vector<split> found;
    for (std::size_t i = 0; i < t.partitions.size(); ++i) {
      const auto& p = t.partitions[i];
      split s;
      s.topic = t.name;
      s.partition = static_cast<std::int32_t>(i);
      s.end = static_cast<std::int64_t>(p.records.size());
      if (options_.bounded) s.stop = s.end;
      if (purpose == read_purpose::stream) {
        s.committed = p.committed.has_value();
        s.start = p.committed.value_or(0);
        s.metadata = p.metadata;
      }
      found.push_back(std::move(s));
    }
    return found;
  }
  std::string transaction_domain(const job_info&) const override { return "memory"; }
  result<std::unique_ptr<epoch_transactions>> make_transactions(const job_info&) const override {
    return std::make_unique<memory_transactions>(options_.from);
  }
  result<std::unique_ptr<source_reader>> open_reader(const lane_context& lane) override {
    if (lane.transactions != nullptr)
      dynamic_cast<memory_transactions&>(*lane.transactions).knows(options_.from);
    return std::make_unique<topic_reader>(options_.from, options_.poll_size);
  }

 private:
  topic_source options_;
};

class topic_writer final : public sink_writer {
 public:
  topic_writer(shared_state to, bool accept, epoch_transactions* transactions)
      : to_(std::move(to)), accept_(accept), in_transactions_(transactions != nullptr) {
    if (in_transactions_) dynamic_cast<memory_transactions&>(*transactions).knows(to_);
    const std::lock_guard lock(to_->mutex);
    id_ = ++to_->writers;
  }
  ~topic_writer() override {  // what was not flushed is lost
    const std::lock_guard lock(to_->mutex);
    for (auto& p : to_->partitions)
      std::erase_if(p.records, [this](const topic::state::stored& s) { return s.unflushed_by == id_; });
  }
  result<> write(std::span<const outgoing> records) override {
    const std::lock_guard lock(to_->mutex);
    for (const outgoing& r : records) {
      record copy;
      if (r.key.data() != nullptr) copy.key = std::string(r.key);
      if (r.value.data() != nullptr) copy.value = std::string(r.value);
      copy.timestamp_ms = r.timestamp_ms;
      for (const record_header& h : r.headers) copy.headers.emplace_back(h.key, h.value);
      const auto n = static_cast<std::int32_t>(to_->partitions.size());
      const auto to = copy.key ? base::partition_for_key(*copy.key, n) : 0;
      to_->partitions[static_cast<std::size_t>(to)].records.push_back({std::move(copy), id_, epoch_});
    }
    return {};
  }
  bool ready() const override { return true; }
  void flush(std::function<void(result<>)> done) override {
    if (!accept_) return;
    if (in_transactions_) {
      const std::lock_guard lock(to_->mutex);
      to_->sealed[id_] = ++epoch_;  // what has been written is committed with the epoch
    } else {
      const std::lock_guard lock(to_->mutex);
      for (auto& p : to_->partitions) {
        for (auto& s : p.records) {
          if (s.unflushed_by == id_) s.unflushed_by = 0;
        }
      }
    }
    done({});
  }

 private:
  shared_state to_;
  bool accept_;
  bool in_transactions_;
  std::uint64_t id_ = 0;
  std::uint64_t epoch_ = 0;
};

class topic_writing final : public sink_connector {
 public:
  explicit topic_writing(topic_sink options) : options_(std::move(options)) {}
  std::string describe() const override { return "topic " + options_.to->name + " in memory"; }
  void validate(std::vector<std::string>&) const override {}
  result<> prepare(const job_info&) override { return {}; }
  std::string transaction_domain(const job_info&) const override { return "memory"; }
  result<std::unique_ptr<sink_writer>> open_writer(const lane_context& lane) override {
    return std::make_unique<topic_writer>(options_.to, options_.accept, lane.transactions);
  }

 private:
  topic_sink options_;
};

}  // namespace

topic::topic(std::string name, std::uint32_t partitions) : state_(std::make_shared<state>()) {
  state_->name = std::move(name);
  state_->partitions.resize(std::max(1u, partitions));
}

const std::string& topic::name() const noexcept { return state_->name; }

topic& topic::append(record r, std::uint32_t partition) {
  const std::lock_guard lock(state_->mutex);
  state_->partitions.at(partition).records.push_back({std::move(r), 0, 0});
  return *this;
}

topic& topic::append_values(const std::vector<std::string>& values, std::uint32_t partition) {
  for (std::size_t i = 0; i < values.size(); ++i)
    append({.value = values[i], .timestamp_ms = static_cast<std::int64_t>(i)}, partition);
  return *this;
}

std::vector<record> topic::records() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<record> all;
  for (const auto& p : state_->partitions) {
    for (const auto& s : p.records) all.push_back(s.record);
  }
  return all;
}

std::vector<std::string> topic::values() const {
  std::vector<std::string> all;
  for (record& r : records()) all.push_back(r.value ? std::move(*r.value) : std::string());
  return all;
}

std::optional<std::int64_t> topic::committed(std::uint32_t partition) const {
  const std::lock_guard lock(state_->mutex);
  return state_->partitions.at(partition).committed;
}

std::string topic::committed_metadata(std::uint32_t partition) const {
  const std::lock_guard lock(state_->mutex);
  return state_->partitions.at(partition).metadata;
}

topic_source topic::source() const { return topic_source{.from = state_}; }
topic_source topic::source(watermark_options watermarks) const {
  return topic_source{.from = state_, .watermarks = watermarks};
}
topic_sink topic::sink() const { return topic_sink{.to = state_}; }

std::unique_ptr<source_connector> topic_source::make_source() const {
  return std::make_unique<topic_reading>(*this);
}
std::unique_ptr<sink_connector> topic_sink::make_sink() const {
  return std::make_unique<topic_writing>(*this);
}

}  // namespace penstock::testing
