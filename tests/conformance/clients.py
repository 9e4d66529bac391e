#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kcat (librdkafka) and the command line read each other's records, share groups and survive restarts, through the
embedded broker or, with --against VERSION, through a real Apache Kafka.

  tests/conformance/clients.py [--penstock build/dev/penstock] [--section records] [--only NAME] [--against 4.1.0]
"""

import sys

import cases_client  # noqa: F401 (each declares its cases)
import cases_groups  # noqa: F401
import cases_records  # noqa: F401
import cases_topics  # noqa: F401
import cases_transactions  # noqa: F401
from harness import main

if __name__ == "__main__":
    sys.exit(main(__doc__, "kcat"))
