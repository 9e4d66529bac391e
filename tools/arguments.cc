// SPDX-License-Identifier: Apache-2.0
#include "arguments.h"

#include <CLI/CLI.hpp>
#include <utility>

namespace penstock::tools {
namespace {

constexpr int wrong_usage = 2;

}  // namespace

option option::required() {
  option_->required();
  return *this;
}

option option::shows_default() {
  option_->capture_default_str();
  return *this;
}

option option::between(std::int64_t low, std::int64_t high) {
  CLI::Validator range = CLI::Range(low, high);
  range.description(high == any_amount ? "at least " + std::to_string(low)
                                       : std::to_string(low) + " to " + std::to_string(high));
  option_->check(range);
  return *this;
}

option option::one_of(std::vector<std::string> names) {
  option_->check(CLI::IsMember(std::move(names)));
  return *this;
}

option option::check(std::function<std::string(const std::string&)> complaint) {
  option_->check(std::move(complaint));
  return *this;
}

option option::excludes(option other) {
  option_->excludes(other.option_);
  return *this;
}

command command::add(const std::string& name, const std::string& text) {
  app_->require_subcommand(1);
  return command(app_->add_subcommand(name, text), chosen_);
}

void command::run(action f) {
  app_->callback([chosen = chosen_, f = std::move(f)] { *chosen = f; });
}

void command::needs_one_of(std::vector<option> options, std::string text) {
  app_->parse_complete_callback([options = std::move(options), text = std::move(text)] {
    for (const auto& o : options)
      if (o.option_->count() > 0) return;
    throw CLI::RequiredError(text);
  });
}

option command::value(const std::string& names, std::string& into, const std::string& text) {
  return option(app_->add_option(names, into, text));
}
option command::value(const std::string& names, std::int16_t& into, const std::string& text) {
  return option(app_->add_option(names, into, text));
}
option command::value(const std::string& names, std::int32_t& into, const std::string& text) {
  return option(app_->add_option(names, into, text));
}
option command::value(const std::string& names, std::int64_t& into, const std::string& text) {
  return option(app_->add_option(names, into, text));
}
option command::value(const std::string& names, std::optional<std::int32_t>& into, const std::string& text) {
  return option(app_->add_option(names, into, text));
}
option command::value(const std::string& names, std::optional<std::int64_t>& into, const std::string& text) {
  return option(app_->add_option(names, into, text));
}

option command::values(const std::string& names, std::vector<std::string>& into, const std::string& text) {
  auto* o = app_->add_option(names, into, text);
  // An option takes one value a time, so that an argument may follow it.
  if (!o->get_positional()) o->allow_extra_args(false);
  return option(o);
}

option command::flag(const std::string& names, bool& into, const std::string& text) {
  return option(app_->add_flag(names, into, text));
}

command_line::command_line(const std::string& name, const std::string& text, const std::string& version)
    : app_(std::make_unique<CLI::App>(text, name)) {
  app_->set_version_flag("--version", version);
}

command_line::~command_line() = default;

std::optional<int> command_line::parse(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app_->exit(e) == 0 ? 0 : wrong_usage;
  }
  return std::nullopt;
}

std::string complain_unless_pair(const std::string& text) {
  const auto equals = text.find('=');
  return equals == 0 || equals == text.npos ? "\"" + text + "\" is not NAME=VALUE" : std::string();
}

}  // namespace penstock::tools
