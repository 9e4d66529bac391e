// SPDX-License-Identifier: Apache-2.0
#include "broker/topics.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/broker_log.h"
#include "wire/topic_name.h"

namespace penstock::broker {

std::string partition::name() const { return fmt::format("{}-{}", owner->name(), index); }

result<> check_topic_name(std::string_view name) {
  const auto bad = [&](std::string_view why) {
    return fail(errc::invalid_argument,
                fmt::format("Topic name is invalid: '{}' {}", name.substr(0, 260), why));
  };
  if (name.empty()) return fail(errc::invalid_argument, "Topic name is invalid: it is empty");
  if (name.size() > wire::longest_topic_name)
    return bad(fmt::format("is longer than {} characters", wire::longest_topic_name));
  if (name == "." || name == "..") return bad("cannot be '.' or '..'");
  if (!std::all_of(name.begin(), name.end(), wire::legal_in_topic_name))
    return bad("contains characters other than ASCII letters, digits, '.', '_' and '-'");
  return {};
}

topic_catalog::topic_catalog(const server_options& options, const environment& env, broker_metadata& metadata,
                             const configs& settings)
    : options_(options), env_(env), metadata_(metadata), configs_(settings) {}

std::string topic_catalog::directory_of(const partition& p) const {
  return options_.directory + "/" + p.name();
}

topic& topic_catalog::make(const topic_record& record) {
  auto t = std::make_unique<topic>();
  t->record = record;
  t->settings = configs_.settings(record.configs);
  t->internal = is_internal_topic(record.name);
  for (std::int32_t i = 0; i < record.partitions; ++i) {
    auto p = std::make_unique<partition>();
    p->owner = t.get();
    p->index = i;
    t->partitions.push_back(std::move(p));
  }
  by_id_[record.id] = t.get();
  return *(topics_[record.name] = std::move(t));
}

result<> topic_catalog::open_all(bool clean) {
  clean_ = clean;
  while (!metadata_.deleted.empty()) {
    const topic_record gone = metadata_.deleted.front();
    if (auto r = remove_directories(*env_.files, options_.directory, gone); !r) return r;
    finish_removal(gone);
  }
  for (const auto& [name, record] : metadata_.topics) {
    topic& t = make(record);
    for (auto& p : t.partitions) {
      if (!env_.files->exists(directory_of(*p))) continue;
      if (auto opened = open_log(*p); !opened) return fail(opened.error());
    }
  }
  clean_ = true;  // what is opened from now on is new
  return {};
}

result<log::partition_log*> topic_catalog::open_log(partition& p) {
  if (p.log != nullptr) return p.log.get();
  log::open_options o;
  o.files = env_.files;
  o.clock = env_.time;
  o.directory = directory_of(p);
  o.topic_id = p.owner->record.id.to_string();
  o.config = p.owner->settings.log;
  o.clean_shutdown = clean_;
  o.accept_data_loss = options_.accept_data_loss;
  auto opened = log::partition_log::open(std::move(o));
  if (!opened) return fail(opened.error().with_context("partition " + p.name()));
  for (const auto& remark : (*opened)->recovery().remarks)
    broker_log().warn("partition {}: {}", p.name(), remark);
  p.log = std::move(*opened);
  return p.log.get();
}

topic* topic_catalog::find(std::string_view name) {
  const auto it = topics_.find(name);
  return it == topics_.end() ? nullptr : it->second.get();
}

topic* topic_catalog::find(const wire::uuid& id) {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : it->second;
}

result<> topic_catalog::save() { return write_metadata(*env_.files, options_.directory, metadata_); }

result<> topic_catalog::create(const std::vector<new_topic>& wanted) {
  for (const auto& t : wanted) {
    const auto id = wire::uuid::from_random(env_.random->next(), env_.random->next());
    metadata_.topics[t.name] = {t.name, id, t.partitions, t.configs};
  }
  if (auto saved = save(); !saved) {
    for (const auto& t : wanted) metadata_.topics.erase(t.name);
    return fail(saved.error().with_context(fmt::format("topic {} cannot be made", wanted.front().name)));
  }
  for (const auto& t : wanted) make(metadata_.topics[t.name]);
  return {};
}

result<> topic_catalog::add_partitions(topic& t, std::int32_t total) {
  auto& record = metadata_.topics[t.name()];
  const std::int32_t before = std::exchange(record.partitions, total);
  if (auto saved = save(); !saved) {
    record.partitions = before;
    return fail(saved.error().with_context(fmt::format("topic {} cannot grow", t.name())));
  }
  t.record.partitions = total;
  for (std::int32_t i = before; i < total; ++i) {
    auto p = std::make_unique<partition>();
    p->owner = &t;
    p->index = i;
    t.partitions.push_back(std::move(p));
  }
  return {};
}

result<> topic_catalog::set_configs(topic& t, config_map topic_configs) {
  auto& record = metadata_.topics[t.name()];
  auto before = std::exchange(record.configs, topic_configs);
  if (auto saved = save(); !saved) {
    record.configs = std::move(before);
    return fail(saved.error().with_context(fmt::format("topic {} cannot be changed", t.name())));
  }
  t.record.configs = std::move(topic_configs);
  apply_settings();
  return {};
}

void topic_catalog::apply_settings() {
  for (auto& [name, t] : topics_) {
    t->settings = configs_.settings(t->record.configs);
    for (auto& p : t->partitions)
      if (p->log != nullptr) p->log->set_config(t->settings.log);
  }
}

result<std::unique_ptr<topic>> topic_catalog::remove(topic& t) {
  const topic_record record = t.record;
  metadata_.topics.erase(record.name);
  metadata_.deleted.push_back(record);
  if (auto saved = save(); !saved) {
    metadata_.topics[record.name] = record;
    metadata_.deleted.pop_back();
    return fail(saved.error().with_context(fmt::format("topic {} cannot be deleted", record.name)));
  }
  by_id_.erase(record.id);
  return std::move(topics_.extract(record.name).mapped());
}

result<> topic_catalog::remove_directories(io::file_system& fs, const std::string& data,
                                           const topic_record& t) {
  for (std::int32_t i = 0; i < t.partitions; ++i) {
    const std::string path = fmt::format("{}/{}-{}", data, t.name, i);
    if (!fs.exists(path)) continue;
    if (auto removed = fs.remove_all(path); !removed) return removed;
  }
  return fs.sync_directory(data);
}

void topic_catalog::finish_removal(const topic_record& t) {
  std::erase_if(metadata_.deleted, [&](const topic_record& d) { return d.id == t.id; });
}

bool topic_catalog::being_removed(std::string_view name) const {
  return std::any_of(metadata_.deleted.begin(), metadata_.deleted.end(),
                     [&](const topic_record& d) { return d.name == name; });
}

std::vector<std::shared_ptr<log::partition_log>> topic_catalog::open_logs() const {
  std::vector<std::shared_ptr<log::partition_log>> logs;
  for (const auto& [name, t] : topics_)
    for (const auto& p : t->partitions)
      if (p->log != nullptr) logs.push_back(p->log);
  return logs;
}

}  // namespace penstock::broker
