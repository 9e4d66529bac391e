// SPDX-License-Identifier: Apache-2.0
#include "log/transaction_index.h"

#include "base/bytes.h"

namespace penstock::log {

void append_to(std::string& out, const aborted_transaction& t) {
  char entry[aborted_transaction_bytes];
  base::store_be<std::int16_t>(entry, 0);
  base::store_be(entry + 2, t.producer_id);
  base::store_be(entry + 10, t.first_offset);
  base::store_be(entry + 18, t.last_offset);
  base::store_be(entry + 26, t.last_stable_offset);
  out.append(entry, sizeof entry);
}

result<std::vector<aborted_transaction>> decode_transaction_index(std::string_view bytes) {
  if (bytes.size() % aborted_transaction_bytes != 0)
    return fail(errc::corrupt, "a transaction index does not end with a whole entry");
  std::vector<aborted_transaction> entries;
  entries.reserve(bytes.size() / aborted_transaction_bytes);
  for (; !bytes.empty(); bytes.remove_prefix(aborted_transaction_bytes)) {
    const char* p = bytes.data();
    const aborted_transaction t{.producer_id = base::load_be<std::int64_t>(p + 2),
                                .first_offset = base::load_be<std::int64_t>(p + 10),
                                .last_offset = base::load_be<std::int64_t>(p + 18),
                                .last_stable_offset = base::load_be<std::int64_t>(p + 26)};
    if (base::load_be<std::int16_t>(p) != 0 || t.first_offset > t.last_offset ||
        (!entries.empty() && t.last_offset <= entries.back().last_offset))
      return fail(errc::corrupt, "a transaction index is damaged");
    entries.push_back(t);
  }
  return entries;
}

}  // namespace penstock::log
