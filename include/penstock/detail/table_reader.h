// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/detail/op.h>
#include <penstock/detail/table_data.h>
#include <penstock/format.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <utility>

namespace penstock::detail {

/// Rows whose key is the record's key. A tombstone takes the row away.
template <typename KeyFormat, typename ValueFormat>
struct rows_by_record_key {
  using key = typename KeyFormat::value_type;
  using value = typename ValueFormat::value_type;
  KeyFormat key_format;
  ValueFormat value_format;

  result<> apply(const raw& record, table_data<key, value>& rows) const {
    if (!record.has_key()) return fail(errc::user, "the record has no key");
    key k{};
    if (auto r = decode_with(key_format, record_of(record.key), k); !r) return r;
    if (record.is_tombstone()) {
      rows.erase(k);
      return {};
    }
    value v{};
    if (auto r = decode_with(value_format, record, v); !r) return r;
    rows.put(std::move(k), std::move(v));
    return {};
  }
};

/// Rows whose key is a part of their value. Tombstones are passed over: they do not say which row.
template <typename Format, typename KeyOf>
struct rows_by_field {
  using value = typename Format::value_type;
  using key = std::decay_t<std::invoke_result_t<const KeyOf&, const value&>>;
  Format format;
  KeyOf key_of;

  result<> apply(const raw& record, table_data<key, value>& rows) const {
    if (record.is_tombstone()) return {};
    value v{};
    if (auto r = decode_with(format, record, v); !r) return r;
    key k = std::invoke(key_of, std::as_const(v));
    rows.put(std::move(k), std::move(v));
    return {};
  }
};

template <typename Rows>
class table_reader_op final : public table_op {
 public:
  explicit table_reader_op(Rows rows) : rows_(std::move(rows)) {}
  result<> open(services& lane) override {
    services_ = &lane;
    auto reader = lane.open_reader(node_);
    if (!reader) return fail(std::move(reader.error()));
    reader_ = std::move(*reader);
    return {};
  }
  void connect(std::uint32_t, op&) override {}
  result<> assign(std::uint32_t number, const split& s) override { return reader_->assign(number, s); }
  result<source_op::step> poll() override {
    auto answer = reader_->poll(std::span<raw>(records_.get(), capacity));
    if (!answer) return fail(std::move(answer.error()));
    for (std::size_t i = 0; i < answer->count; ++i) {
      const raw& r = records_[i];
      try {
        if (result<> put = rows_.apply(r, data_); !put) throw decode_failure{std::move(put.error())};
      } catch (...) {
        if (!record_failed("global table", {r.from, r.offset})) break;
      }
    }
    op_counters::add(counters_.in, answer->count);
    return source_op::step{answer->count, answer->split, answer->next, answer->finished, no_timestamp};
  }
  void* data() noexcept override { return &data_; }

 private:
  static constexpr std::size_t capacity = 256;
  Rows rows_;
  table_data<typename Rows::key, typename Rows::value> data_;
  std::unique_ptr<source_reader> reader_;
  std::unique_ptr<raw[]> records_ = std::make_unique<raw[]>(capacity);
};

}  // namespace penstock::detail
