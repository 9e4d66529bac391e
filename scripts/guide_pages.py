#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the C++ of a guide page into one file, so that what readers copy is compiled.

    guide_pages.py docs/guide/PAGE.md OUT.cc
"""
import pathlib
import re
import sys


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    page = pathlib.Path(sys.argv[1])
    text = page.read_text()
    out = []
    for found in re.finditer(r"^```cpp\n(.*?)^```$", text, re.S | re.M):
        line = text.count("\n", 0, found.start()) + 2  # of its first line: the compiler names the page
        out.append(f'#line {line} "{page.name}"\n{found.group(1)}')
    if not out:
        sys.exit(f"{page} has no cpp block")
    pathlib.Path(sys.argv[2]).write_text("\n".join(out))


if __name__ == "__main__":
    main()
