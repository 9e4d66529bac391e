// SPDX-License-Identifier: Apache-2.0
/// Everything a stream job needs but its formats beyond text (<penstock/json.h>) and its tests
/// (<penstock/testing.h>).
#pragma once

#include <penstock/job.h>
#include <penstock/topology.h>
