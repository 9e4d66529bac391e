// SPDX-License-Identifier: Apache-2.0
// penstock dlq list | show | redrive
#include <fmt/format.h>
#include <penstock/kafka/producer.h>

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "command.h"
#include "dead_letters.h"
#include "output.h"

namespace penstock::tools {
namespace {

using namespace std::chrono_literals;
constexpr auto patient = 60s;
/// Letters of one transaction: each of them is either redriven and marked, or neither.
constexpr std::size_t most_of_one = 5'000;

struct options {
  cluster_options cluster;
  std::string topic;
  std::vector<std::string> letters;
  std::string to;
  bool all = false;
  bool open_only = false;
};

result<kafka::consumer> reader(const options& o) {
  kafka::consumer_settings settings{.connection = patience()};
  if (const auto applied = o.cluster.apply(settings); !applied) return fail(applied.error());
  settings.group_id.clear();
  settings.enable_auto_commit = false;
  settings.isolation_level = kafka::isolation_level::read_committed;
  settings.auto_offset_reset = kafka::offset_reset::none;
  return kafka::consumer::create(std::move(settings));
}

/// The letters that the command names; all if it names none.
result<std::set<letter_place>> wanted(const options& o) {
  std::set<letter_place> places;
  for (const std::string& text : o.letters) {
    const auto at = parse_place(text);
    if (!at)
      return fail(errc::invalid_argument,
                  fmt::format("\"{}\" names no letter: PARTITION:OFFSET, as dlq list prints it", text));
    places.insert(*at);
  }
  return places;
}

/// What is in the topic of dead letters: its records, and which of them were redriven.
class letters {
 public:
  static result<letters> open(kafka::consumer& from, const options& o) {
    auto scan = topic_scan::open(from, o.topic);
    if (!scan) return fail(scan.error());
    auto which = wanted(o);
    if (!which) return fail(which.error());
    letters all(std::move(*scan), std::move(*which));
    auto missing = all.wanted_;
    const auto looked = all.scan_.each([&](const kafka::record& r) -> result<bool> {
      if (const auto mark = origin_of(r).redriven) {
        all.redriven_.insert(*mark);
      } else {
        missing.erase({r.partition, r.offset});
      }
      return true;
    });
    if (!looked) return fail(looked.error());
    if (!missing.empty())
      return fail(errc::not_found,
                  fmt::format("topic '{}' has no letter {}", o.topic, to_string(*missing.begin())));
    return all;
  }

  /// Calls f(record, origin, redriven) for each that is wanted.
  template <typename F>
  result<> each(F f) {
    return scan_.each([&](const kafka::record& r) -> result<bool> {
      const letter_origin from = origin_of(r);
      const letter_place at{r.partition, r.offset};
      if (from.redriven || (!wanted_.empty() && !wanted_.contains(at))) return true;
      return f(r, from, redriven_.contains(at));
    });
  }

 private:
  letters(topic_scan scan, std::set<letter_place> which)
      : scan_(std::move(scan)), wanted_(std::move(which)) {}
  topic_scan scan_;
  std::set<letter_place> wanted_;
  std::set<letter_place> redriven_;
};

result<> print_letters(const options& o, bool whole) {
  auto consumer = reader(o);
  if (!consumer) return fail(consumer.error());
  auto all = letters::open(*consumer, o);
  if (!all) return fail(all.error());
  output out;
  const auto done =
      all->each([&](const kafka::record& r, const letter_origin& from, bool redriven) -> result<bool> {
        if (!redriven || !o.open_only) out.text() += to_json(r, from, redriven, whole);
        return out.flush_if_large();
      });
  out.flush();
  return done;
}

class redriving {
 public:
  redriving(const options& o, kafka::producer& producer, kafka::consumer& sources)
      : options_(o), producer_(producer), sources_(sources) {}

  result<> begin() { return producer_.begin_transaction(); }
  result<bool> take(const kafka::record& letter, const letter_origin& from, bool redriven) {
    if (redriven) {
      ++passed_over_;
      return true;
    }
    if (auto r = write(letter, from); !r)
      return fail(r.error().with_context(fmt::format("letter {}:{}", letter.partition, letter.offset)));
    ++redriven_;
    if (++open_ < most_of_one) return true;
    if (auto r = commit(); !r) return fail(r.error());
    if (auto r = begin(); !r) return fail(r.error());
    return true;
  }
  result<> commit() {
    open_ = 0;
    return producer_.commit_transaction(patient);
  }
  std::string line() const {
    return fmt::format("{{\"redriven\":{},\"redriven_before\":{}}}\n", redriven_, passed_over_);
  }

 private:
  result<> write(const kafka::record& letter, const letter_origin& from) {
    const std::string& to = options_.to.empty() ? from.topic : options_.to;
    if (to.empty())
      return fail(errc::invalid_argument, "it does not say which topic its record is from: give --to TOPIC");
    if (!from.has_record) {
      if (from.topic.empty() || from.at.offset < 0)
        return fail(errc::not_found,
                    "it has no record and does not say where that is, so it cannot be redriven");
      auto original = topic_scan::one(sources_, from.topic, from.at);
      if (!original) return fail(original.error());
      if (auto r = send(*original, 0, to, from); !r) return r;
    } else if (auto r = send(letter, from.own_headers, to, from); !r) {
      return r;
    }
    const std::string place = to_string(letter_place{letter.partition, letter.offset});
    const record_header mark{redriven_header, place};
    return producer_.send({.topic = letter.topic, .partition = letter.partition, .headers = {&mark, 1}});
  }

  result<> send(const kafka::record& r, std::size_t first_header, const std::string& to,
                const letter_origin& from) {
    std::vector<record_header> headers;
    for (std::size_t i = first_header; i < r.headers.size(); ++i)
      headers.push_back({r.headers[i].first,
                         r.headers[i].second ? std::string_view(*r.headers[i].second) : std::string_view()});
    kafka::record_to_send out{.topic = to, .timestamp_ms = r.timestamp_ms, .headers = headers};
    if (r.key) out.key = *r.key;
    if (r.value) out.value = *r.value;
    // Back to where its neighbours are, if that is where it goes.
    if (to == from.topic) out.partition = from.at.partition;
    return producer_.send(out);
  }

  const options& options_;
  kafka::producer& producer_;
  kafka::consumer& sources_;
  std::size_t open_ = 0;
  std::uint64_t redriven_ = 0;
  std::uint64_t passed_over_ = 0;
};

result<> redrive(const options& o) {
  if (o.letters.empty() != o.all)
    return fail(errc::invalid_argument, "say which letters: PARTITION:OFFSET ..., or --all");
  kafka::producer_settings settings{.allow_auto_create_topics = false, .connection = patience()};
  if (const auto applied = o.cluster.apply(settings); !applied) return fail(applied.error());
  settings.transactional_id = "penstock-dlq-" + o.topic;
  auto consumer = reader(o), sources = reader(o);
  if (!consumer) return fail(consumer.error());
  if (!sources) return fail(sources.error());
  auto producer = kafka::producer::create(std::move(settings));
  if (!producer) return fail(producer.error());
  // First of all: it ends what another redrive of this topic has open, so that its marks can be read.
  if (auto r = producer->init_transactions(patient); !r) return r;
  auto all = letters::open(*consumer, o);
  if (!all) return fail(all.error());
  redriving work(o, *producer, *sources);
  if (auto r = work.begin(); !r) return r;
  auto done = all->each([&](const auto&... letter) { return work.take(letter...); });
  if (done) done = work.commit();
  if (!done) {
    static_cast<void>(producer->abort_transaction(5s));
    return done;
  }
  return print(work.line());
}

command add(command dlq, const char* name, const char* text, const std::shared_ptr<options>& o,
            std::function<result<>(const options&)> work) {
  auto c = dlq.add(name, text);
  add_cluster_options(c, o->cluster);
  c.value("--topic,-t", o->topic, "of the dead letters").required();
  c.run([o, work = std::move(work)] { return work(*o); });
  return c;
}

}  // namespace

void add_dlq(command root) {
  auto o = std::make_shared<options>();
  auto dlq = root.add("dlq", "Look at the dead letters of a job, and give their records another try");
  auto c = add(dlq, "list", "One line of JSON for each letter: where its record is from, and what was wrong",
               o, [](const options& given) { return print_letters(given, false); });
  c.flag("--open", o->open_only, "only letters that were not redriven");
  c = add(dlq, "show", "Letters with the key, the value and the headers of their records, as JSON", o,
          [](const options& given) { return print_letters(given, true); });
  c.values("LETTER", o->letters, "PARTITION:OFFSET, as dlq list prints it").required();
  c = add(dlq, "redrive",
          "Write the records of letters to the topic that they are from, with key, headers and timestamp. In "
          "transactions that also mark the letters: none is redriven twice",
          o, redrive);
  c.values("LETTER", o->letters, "PARTITION:OFFSET, as dlq list prints it");
  c.flag("--all", o->all, "all that were not redriven");
  c.value("--to", o->to, "another topic to write them to");
}

}  // namespace penstock::tools
