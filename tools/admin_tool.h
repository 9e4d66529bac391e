// SPDX-License-Identifier: Apache-2.0
// What the commands that change a cluster share.
#pragma once

#include <penstock/kafka/admin.h>

#include <memory>
#include <utility>

#include "command.h"

namespace penstock::tools {

inline result<kafka::admin> connect_admin(const cluster_options& o) {
  kafka::admin_settings settings{.bootstrap_servers = {}, .connection = patience()};
  if (const auto applied = o.apply(settings); !applied) return fail(applied.error());
  return kafka::admin::create(std::move(settings));
}

/// Adds a command that runs `work` with an admin client; `o` is what its options are read into and has a
/// `cluster`.
template <typename Options>
command add_admin_command(command root, const char* name, const char* text, std::shared_ptr<Options> o,
                          result<> (*work)(kafka::admin&, const Options&)) {
  auto c = root.add(name, text);
  add_cluster_options(c, o->cluster);
  c.run([o, work]() -> result<> {
    auto admin = connect_admin(o->cluster);
    if (!admin) return fail(admin.error());
    return work(*admin, *o);
  });
  return c;
}

}  // namespace penstock::tools
