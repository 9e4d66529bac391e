// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/penstock.h>

#include <string>
#include <vector>

/// The topology, so that the test runs the same one: prints (word, running count) for every word of the
/// lines.
penstock::topology word_count(std::vector<std::string> lines);
