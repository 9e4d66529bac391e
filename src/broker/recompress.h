// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/compression.h>
#include <penstock/result.h>

#include <span>

#include "wire/batch_validation.h"
#include "wire/scratch_buffer.h"

namespace penstock::broker {

/// A batch with another codec (a topic's compression.type); everything else as it was. `scratch` is for the
/// records, `out` holds the result.
result<std::span<char>> recompress(const wire::batch_summary& summary, std::string_view batch,
                                   compression codec, int level, wire::scratch_buffer& scratch,
                                   wire::scratch_buffer& out);

}  // namespace penstock::broker
