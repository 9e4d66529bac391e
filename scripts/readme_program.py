#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes the README's first program out of it, so that what readers copy is compiled and run.

    readme_program.py source README.md OUT.cc     writes the first cpp block
    readme_program.py check README.md PROGRAM     runs it; its lines must be those of the first text block, in any order
"""
import pathlib
import re
import subprocess
import sys


def block(readme, language):
    found = re.search(rf"^```{language}\n(.*?)^```$", pathlib.Path(readme).read_text(), re.S | re.M)
    if found is None:
        sys.exit(f"{readme} has no {language} block")
    return found.group(1)


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("source", "check"):
        sys.exit(__doc__)
    _, what, readme, target = sys.argv
    if what == "source":
        pathlib.Path(target).write_text(block(readme, "cpp"))
        return
    printed = subprocess.run([target], stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
    if sorted(printed.splitlines()) != sorted(block(readme, "text").splitlines()):
        sys.exit(f"the program of {readme} prints\n{printed}")
    print(f"the program of {readme} prints what it says there")


if __name__ == "__main__":
    main()
