// SPDX-License-Identifier: Apache-2.0
// How values become bytes and back. A format is any type with some of these members, found at compile time:
//
//     using value_type = T;                                          needed to read with it
//     result<> decode(const raw& record, T& into) const;             the whole record; `into` may hold an
//     earlier value result<T> decode(std::string_view value) const;                or, shorter: its value
//     alone void encode(const T& value, std::string& out) const;           appends; needed to write with it
//     bool encode_key(const T& value, std::string& out) const;       optional: the record's key; false means
//     no key
//     bool is_tombstone(const T& value) const;                       optional: true writes no value at all
//     void encode_headers(const T& value, header_writer& out) const;  optional: out.add(name, value)
//
// A format is copied to every lane and called on that lane's thread alone.
#pragma once

#include <penstock/result.h>
#include <penstock/source.h>

#include <charconv>
#include <concepts>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock {

/// Takes the headers of a record that is being encoded.
class header_writer {
 public:
  /// Copies both.
  void add(std::string_view name, std::string_view value) {
    extents_.push_back({bytes_.size(), name.size(), value.size()});
    bytes_.append(name).append(value);
  }
  std::size_t size() const noexcept { return extents_.size(); }
  /// Valid until the next add.
  record_header operator[](std::size_t i) const noexcept {
    const extent& e = extents_[i];
    return {std::string_view(bytes_).substr(e.at, e.name),
            std::string_view(bytes_).substr(e.at + e.name, e.value)};
  }
  void clear() noexcept {
    bytes_.clear();
    extents_.clear();
  }

 private:
  struct extent {
    std::size_t at, name, value;
  };
  std::string bytes_;
  std::vector<extent> extents_;
};

namespace detail {

template <typename F, typename T>
concept decodes_record = requires(const F& f, const raw& r, T& into) {
  { f.decode(r, into) } -> std::convertible_to<result<>>;
};
template <typename F, typename T>
concept decodes_value = requires(const F& f, std::string_view bytes) {
  { f.decode(bytes) } -> std::convertible_to<result<T>>;
};
template <typename F, typename T>
concept encodes = requires(const F& f, const T& value, std::string& out) {
  f.encode(value, out);
};
template <typename F, typename T>
concept encodes_key = requires(const F& f, const T& value, std::string& out) {
  { f.encode_key(value, out) } -> std::convertible_to<bool>;
};

template <typename F, typename T>
concept encodes_headers = requires(const F& f, const T& value, header_writer& out) {
  f.encode_headers(value, out);
};

/// A record that has only a value: to decode keys with a format for values.
inline raw record_of(std::string_view value) {
  raw r;
  r.value = value;
  return r;
}

}  // namespace detail

/// A format that values of type T can be read with.
template <typename F>
concept readable_format = requires {
  typename F::value_type;
}
&&(detail::decodes_record<F, typename F::value_type> || detail::decodes_value<F, typename F::value_type>);

/// A format that values of type T can be written with.
template <typename F, typename T>
concept writable_format = detail::encodes<F, T>;

/// Decodes with whichever form the format has.
template <readable_format F>
result<> decode_with(const F& format, const raw& record, typename F::value_type& into) {
  if constexpr (detail::decodes_record<F, typename F::value_type>) {
    return format.decode(record, into);
  } else {
    auto value = format.decode(record.value);
    if (!value) return fail(std::move(value.error()));
    into = std::move(*value);
    return {};
  }
}

/// The bytes as they are, as text. A tombstone reads as an error.
struct text_format {
  using value_type = std::string;
  result<> decode(const raw& record, std::string& into) const {
    if (record.is_tombstone()) return fail(errc::user, "the record has no value");
    into.assign(record.value);
    return {};
  }
  void encode(std::string_view value, std::string& out) const { out.append(value); }
};
inline constexpr text_format text{};

/// Records as they were read: key, value, headers. For expressions that map nothing, or only filter:
///
///     topo.read("in", source).write("out", sink, unchanged)
struct unchanged_format {
  bool encode_key(const raw& record, std::string& out) const {
    out.append(record.key);
    return record.has_key();
  }
  void encode(const raw& record, std::string& out) const { out.append(record.value); }
  bool is_tombstone(const raw& record) const { return record.is_tombstone(); }
  void encode_headers(const raw& record, header_writer& out) const {
    for (const record_header& h : record.headers) out.add(h.key, h.value);
  }
};
inline constexpr unchanged_format unchanged{};

/// Integers as decimal text.
template <std::integral T>
struct decimal_format {
  using value_type = T;
  result<T> decode(std::string_view bytes) const {
    T v{};
    const char* end = bytes.data() + bytes.size();
    const auto r = std::from_chars(bytes.data(), end, v);
    if (bytes.empty() || r.ec != std::errc{} || r.ptr != end)
      return fail(errc::user, "the value is not an integer in decimal: " + std::string(bytes.substr(0, 32)));
    return v;
  }
  void encode(T value, std::string& out) const {
    char digits[24];
    const auto r = std::to_chars(digits, digits + sizeof digits, value);
    out.append(digits, r.ptr);
  }
};
template <std::integral T>
inline constexpr decimal_format<T> decimal{};

/// A pair in the record's key and value, each with its own format.
template <typename Key, typename Value>
struct key_value_format {
  using value_type = std::pair<typename Key::value_type, typename Value::value_type>;
  Key key;
  Value value;
  result<> decode(const raw& record, value_type& into) const {
    if (!record.has_key()) return fail(errc::user, "the record has no key");
    if (auto k = decode_with(key, detail::record_of(record.key), into.first); !k) return k;
    return decode_with(value, record, into.second);
  }
  template <typename Pair>
  void encode(const Pair& p, std::string& out) const {
    value.encode(p.second, out);
  }
  template <typename Pair>
  bool encode_key(const Pair& p, std::string& out) const {
    key.encode(p.first, out);
    return true;
  }
};
/// `key_value(text, decimal<int>)`: pairs of a string and an int.
template <typename Key, typename Value>
constexpr key_value_format<Key, Value> key_value(Key key, Value value) {
  return {std::move(key), std::move(value)};
}

/// Writes what `Format` writes, with a key taken from the value by `f` (a member pointer or a function) and
/// written as `Key` writes it. Without a key format, strings are written as text.
template <typename F, typename Format, typename Key>
struct keyed_format {
  F f;
  Format format;
  Key key;
  template <typename T>
  void encode(const T& value, std::string& out) const {
    format.encode(value, out);
  }
  template <typename T>
  bool encode_key(const T& value, std::string& out) const {
    key.encode(std::invoke(f, value), out);
    return true;
  }
};
template <typename F, typename Format, typename Key = text_format>
constexpr keyed_format<F, Format, Key> with_key(F f, Format format, Key key = {}) {
  return {std::move(f), std::move(format), std::move(key)};
}

}  // namespace penstock
