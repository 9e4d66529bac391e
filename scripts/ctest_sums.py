#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints "PASSED FAILED SKIPPED" for the output of one ctest run; exits 1 when the run has no closing line."""

import re
import sys

CLOSING = re.compile(r"^\d+% tests passed, (\d+) tests? failed out of (\d+)", re.M)
SKIPPED = re.compile(r"^\s*\d+/\d+ Test .*\*\*\*(?:Skipped|Not Run \(Disabled\))", re.M)


def sums(text: str) -> tuple[int, int, int] | None:
    closing = CLOSING.search(text)
    if closing is None:
        return None
    failed, total = int(closing[1]), int(closing[2])
    skipped = len(SKIPPED.findall(text))
    return total - failed - skipped, failed, skipped


def main() -> int:
    with open(sys.argv[1], encoding="utf-8", errors="replace") as log:
        result = sums(log.read())
    if result is None:
        return 1
    print(*result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
