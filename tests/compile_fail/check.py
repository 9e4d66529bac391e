#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every mistake of mistakes.cc is refused with our sentence, in a few lines.

  check.py [COMPILER]    (g++)
"""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MOST_LINES = 18


def compile_case(compiler: str, number: int) -> tuple[int, str]:
    done = subprocess.run(
        [compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wno-unused-variable",
         "-Wno-unused-but-set-variable", f"-DCASE={number}", "-I", str(ROOT / "include"), str(HERE / "mistakes.cc")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def main() -> int:
    compiler = sys.argv[1] if len(sys.argv) > 1 else "g++"
    text = (HERE / "mistakes.cc").read_text(encoding="utf-8")
    wanted = {int(n): sentence for n, sentence in re.findall(r"^#elif CASE == (\d+)\n\s*// says: (.*)$", text, re.M)}
    with ThreadPoolExecutor(2) as pool:
        answers = dict(zip([0, *wanted], pool.map(lambda n: compile_case(compiler, n), [0, *wanted])))
    failures = 0

    def complain(number: int, what: str) -> None:
        nonlocal failures
        failures += 1
        print(f"case {number}: {what}\n{answers[number][1]}")

    if answers[0][0] != 0:
        complain(0, "the correct program does not compile")
    for number, sentence in wanted.items():
        status, output = answers[number]
        lines = output.count("\n")
        if status == 0:
            complain(number, "compiles, and should not")
        elif sentence not in output:
            complain(number, f"does not say: {sentence}")
        elif lines > MOST_LINES:
            complain(number, f"takes {lines} lines to say it, at most {MOST_LINES} are allowed")
    print(f"{len(wanted)} mistakes, {failures} failures")
    return 1 if failures or len(wanted) < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
