// SPDX-License-Identifier: Apache-2.0
// The command line over CLI11, which only arguments.cc includes: it costs seconds of compile time wherever it
// goes.
#pragma once

#include <penstock/result.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace penstock::tools {

/// What the command line asked for. main runs it, prints its error as one sentence and exits with 1.
using action = std::function<result<>()>;

/// For `option::between`: no upper bound.
constexpr std::int64_t any_amount = std::numeric_limits<std::int64_t>::max();

/// An option that a command has; says what may be given. Cheap to copy.
class option {
 public:
  option required();
  option shows_default();
  option between(std::int64_t low, std::int64_t high);
  option one_of(std::vector<std::string> names);
  /// `complaint` answers why a value is wrong, or nothing when it is fine.
  option check(std::function<std::string(const std::string&)> complaint);
  /// Not together with that one.
  option excludes(option other);

 private:
  friend class command;
  explicit option(CLI::Option* o) noexcept : option_(o) {}
  CLI::Option* option_;
};

/// A command, or one below another. What an option is read into must live until the action has run.
class command {
 public:
  /// A command below this one, of which one must then be given.
  command add(const std::string& name, const std::string& text);
  /// What it does: set when this command is the one asked for, after its options have been read.
  void run(action f);

  /// At least one of these must be given; `text` says so.
  void needs_one_of(std::vector<option> options, std::string text);

  /// `names` as in "--topic,-t"; a name without dashes is an argument by its place.
  option value(const std::string& names, std::string& into, const std::string& text);
  option value(const std::string& names, std::int16_t& into, const std::string& text);
  option value(const std::string& names, std::int32_t& into, const std::string& text);
  option value(const std::string& names, std::int64_t& into, const std::string& text);
  option value(const std::string& names, std::optional<std::int32_t>& into, const std::string& text);
  option value(const std::string& names, std::optional<std::int64_t>& into, const std::string& text);
  /// May be given several times, or, as an argument by its place, several at once.
  option values(const std::string& names, std::vector<std::string>& into, const std::string& text);
  option flag(const std::string& names, bool& into, const std::string& text);

 private:
  friend class command_line;
  command(CLI::App* app, action* chosen) noexcept : app_(app), chosen_(chosen) {}
  CLI::App* app_;
  action* chosen_;
};

/// The whole of it.
class command_line {
 public:
  command_line(const std::string& name, const std::string& text, const std::string& version);
  ~command_line();
  command root() noexcept { return command(app_.get(), &chosen_); }

  /// Nothing when there is something to run; else the exit status, and the user has been told (help, or what
  /// is wrong).
  std::optional<int> parse(int argc, char** argv);
  result<> run() const { return chosen_(); }

 private:
  std::unique_ptr<CLI::App> app_;
  action chosen_;
};

/// A check for options that take KEY=VALUE.
std::string complain_unless_pair(const std::string& text);

}  // namespace penstock::tools
