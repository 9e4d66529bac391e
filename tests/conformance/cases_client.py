# SPDX-License-Identifier: Apache-2.0
"""Cases: what only a program in C++ can ask of the client. Each test of these GoogleTest programs is a case; its name
is the feature. They find the broker in KAFKA_BOOTSTRAP and its version in KAFKA_VERSION."""

import os
import re
import subprocess
from pathlib import Path

from harness import CASES, ROOT, Case, Failed, NotThere, Penstock, Stage, expect, numbers

# What older Kafkas do not have, by a part of the test's name.
SINCE = {
    "with_every_codec": "2.1",
    "headers": "0.11",
    "transaction": "0.11",
    "idempotent": "0.11",
    "says_when_an_offset_does_not_exist": "0.11",  # deletes records (KIP-107)
    "tells_of_the_cluster": "3.3",  # a cluster with ZooKeeper has no features
    "administers_groups": "1.1",  # deletes one (KIP-229)
    "administers_topics": "2.3",  # changes single configs (KIP-339)
    "static_member": "2.3",
    "assigned_by_the_broker": "4.0",
    "that_the_broker_assigns": "4.0",
    "lets_the_broker_match": "4.0",
}
NOT_OURS = ("assigned_by_the_broker", "that_the_broker_assigns", "lets_the_broker_match")
ONLY_OURS = ("long_absence", "shares_nothing_out", "back_pressure")  # of the embedded broker: each starts its own


def programs() -> list[Path]:
    """PENSTOCK_CLIENT_TESTS: paths with colons between; otherwise those of build/dev."""
    given = os.environ.get("PENSTOCK_CLIENT_TESTS") or str(ROOT / "build/dev/tests/integration/client_broker_test")
    return [Path(path) for path in given.split(":") if os.access(path, os.X_OK)]


def tests_of(program: Path) -> list[str]:
    listing = subprocess.run([program, "--gtest_list_tests"], capture_output=True, text=True, check=True, timeout=60).stdout
    names, suite = [], ""
    for line in listing.splitlines():
        if re.match(r"\S+\.", line):
            suite = line.split()[0]
        elif line.startswith("  "):
            names.append(suite + line.split()[0])
    return names


def declare(program: Path, test: str) -> None:
    def run(t: Stage) -> str:
        if isinstance(t.broker, Penstock) and any(part in name for part in NOT_OURS):
            raise NotThere("the embedded broker shares no partitions out")
        env = dict(os.environ, KAFKA_VERSION=t.broker.version)
        if not only_on:  # else the test has a broker of its own
            env["KAFKA_BOOTSTRAP"] = t.address
        done = t.run([program, f"--gtest_filter={test}"], env=env, seconds=180, status=None)
        if done.status != 0:
            said = re.search(r"Failure\n(.*?)\n\[", done.text, re.S)
            raise Failed(said[1] if said else f"it ended with status {done.status}")
        if skipped := re.search(r"Skipped\n(.*)", done.text):
            raise NotThere(skipped[1])
        expect("[  PASSED  ] 1 test" in done.text, "the test ran")
        return ""
    suite, name = test.split(".", 1)
    run.__name__ = name
    run.__doc__ = f"{suite} {name}".replace("_", " ").capitalize()
    since = max((version for part, version in SINCE.items() if part in name), key=numbers, default="")
    only_on = "penstock" if any(part in name for part in ONLY_OURS) else ""
    CASES.append(Case("client", run, (), only_on, since))


for each_program in programs():
    for each_test in tests_of(each_program):
        declare(each_program, each_test)
