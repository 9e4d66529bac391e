// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/json.h>
#include <penstock/result.h>

#include <atomic>
#include <cstdint>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>

namespace nexmark {

/// Takes the rows of a query, `.for_each("rows", out)`: counts them, and writes them to a file as lines of
/// JSON if there is one. Copies are the same rows, and lanes have one each.
class rows {
 public:
  /// `path`: empty for none.
  static penstock::result<rows> to(const std::string& path);

  template <typename Row>
  void operator()(const Row& row) {
    ++seen_;
    if (shared_->to_file) {
      penstock::as_json.encode(row, lines_);
      lines_.push_back('\n');
    } else {
      asm volatile("" : : "r"(&row) : "memory");  // made, as if somebody looked at it
    }
  }
  /// Called after each batch.
  void flush();

  std::uint64_t count() const noexcept { return shared_->count; }
  /// Closes the file; an error if not all of it could be written.
  penstock::result<> close();

 private:
  struct shared {
    std::string path;
    bool to_file = false;
    std::atomic<std::uint64_t> count{0};
    std::mutex mutex;
    std::ofstream file;
  };
  std::shared_ptr<shared> shared_ = std::make_shared<shared>();
  std::uint64_t seen_ = 0;
  std::string lines_;
};

}  // namespace nexmark
