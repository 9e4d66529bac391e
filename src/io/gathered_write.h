// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "io/stream.h"

namespace penstock::io::detail {

/// The pieces of one write on their way into a socket: memory gathered by sendmsg(2), file ranges by
/// sendfile(2). Never blocks on the socket; knows nothing of the loop.
class gathered_write {
 public:
  enum class progress {
    finished,  ///< all pieces are with the kernel
    blocked,   ///< the socket takes no more now, or enough was moved for one turn of the loop
  };

  void begin(std::vector<write_piece> pieces) noexcept;
  /// Moves what the socket takes. `peer` is for messages.
  result<progress> push(int socket, const std::string& peer);
  /// Lets go of the pieces and what keeps them.
  void drop() noexcept;

 private:
  result<std::size_t> push_memory(int socket, const std::string& peer);
  result<std::size_t> push_file(int socket, const std::string& peer, std::size_t most);
  result<std::size_t> push_copied(int socket, const std::string& peer);
  void advance(std::size_t n) noexcept;

  std::vector<write_piece> pieces_;
  std::size_t at_ = 0;        // the piece under way
  std::uint64_t offset_ = 0;  // bytes of it that are sent
  std::string copied_;        // of a file without a descriptor: the part read last
  std::size_t copied_sent_ = 0;
};

}  // namespace penstock::io::detail
