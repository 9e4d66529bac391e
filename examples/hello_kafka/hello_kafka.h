// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/penstock.h>

/// ("hello", 1), ("world", 2) through a Kafka sink to the topic `hello`.
penstock::topology say_hello();
/// From the topic `hello` through a Kafka source to standard output; ends with what is there.
penstock::topology hear_hello();
