#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each public header compiles alone, twice in a row, without a warning, and defines no macro of a foreign name.

  scripts/check_headers.py [WORK_DIR]    WORK_DIR keeps the generated sources (build/headers)
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["-std=c++20", "-O0", "-Wall", "-Wextra", "-Werror", "-Iinclude"]
DEFINE = re.compile(r"^\s*#\s*define\s+(\w+)", re.M)


def compiles(header: str, work: Path) -> str | None:
    """The compiler's complaint, or nothing."""
    source = work / (header.replace("/", "_") + ".cc")
    text = f"#include <{header}>\n#include <{header}>\nint main() {{}}\n"
    if not source.exists() or source.read_text(encoding="utf-8") != text:
        source.write_text(text, encoding="utf-8")
    compiler = (["ccache"] if shutil.which("ccache") else []) + [os.environ.get("CXX", "g++")]
    done = subprocess.run([*compiler, *FLAGS, "-c", str(source), "-o", str(source.with_suffix(".o"))], cwd=ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout if done.returncode != 0 else None


def foreign_macros(path: Path) -> list[str]:
    names = DEFINE.findall(path.read_text(encoding="utf-8"))
    return [name for name in names if not name.startswith("PENSTOCK_")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work_dir", nargs="?", type=Path, default=ROOT / "build" / "headers")
    work = parser.parse_args().work_dir
    work.mkdir(parents=True, exist_ok=True)
    headers = sorted(path.relative_to(ROOT / "include").as_posix() for path in (ROOT / "include").rglob("*.h"))
    bad = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for header, complaint in zip(headers, pool.map(lambda h: compiles(h, work), headers)):
            if complaint:
                bad += 1
                print(f"include/{header} does not compile alone:\n{complaint}")
            for name in foreign_macros(ROOT / "include" / header):
                bad += 1
                print(f"include/{header} defines {name}: a public macro's name starts with PENSTOCK_")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
