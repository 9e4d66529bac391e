// SPDX-License-Identifier: Apache-2.0
// The Kafka connector: sources and sinks for topologies.
#pragma once

#include <penstock/kafka/sink.h>
#include <penstock/kafka/source.h>
