// SPDX-License-Identifier: Apache-2.0
/// Everything a stream job needs but its tests (<penstock/testing.h>) and the Kafka client on its own
/// (<penstock/kafka/producer.h>, consumer.h, admin.h).
#pragma once

#include <penstock/job.h>
#include <penstock/json.h>
#include <penstock/kafka.h>
#include <penstock/run.h>
#include <penstock/statistics.h>
#include <penstock/topology.h>
