#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What every file of the project keeps to, whatever it is written in.

  scripts/check_tidy.py [ROOT]    prints file:line: sentence for each lapse; exits 1 if there is one
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

LICENSED = {".h", ".cc", ".inc", ".py", ".sh", ".cmake", ".msg"}
LICENSED_NAMES = {"CMakeLists.txt", "dev", "run", "kafka", "layers.txt"}
SPDX = "SPDX-License-Identifier: Apache-2.0"
# Data: kept byte for byte as its origin has it.
DATA = re.compile(r"(^|/)(data|corpus|golden|fixtures|captures)/")
LONGEST_FILE_LINES = 800
LONGEST_LINE = 125  # of Python; clang-format sees to C++
LARGEST_BYTES = 1 << 20
FORBIDDEN = [
    (re.compile(r"(?<![\w.<>$}])/(?:work|root|home/\w+)/"), "a path of somebody's machine"),
    (re.compile(r"(?<![\w.])/tmp/"), "a fixed path: ask for a temporary directory instead"),
    (re.compile(r"\b(?:FIXME|XXX)\b"), "say what is missing in a TODO with a sentence, or in an issue"),
    (re.compile(r"\bTODO\b(?!: \w+ \w+ \w+)"), "a TODO says what is to be done in at least three words"),
    (re.compile(r"^(?:<{7}|>{7}) "), "a conflict that was not resolved"),
]


def files(root: Path) -> list[Path]:
    """The project's files: what git knows or would take, or, without git, all outside of build/."""
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, check=False)
    if listed.returncode == 0:
        return [root / name for name in sorted(set(listed.stdout.decode().split("\0"))) if name]
    return sorted(p for p in root.rglob("*") if p.is_file() and p.relative_to(root).parts[0] not in ("build", ".git"))


def is_licensed(path: Path) -> bool:
    return path.suffix in LICENSED or path.name in LICENSED_NAMES


def lapses(name: str, path: Path) -> list[tuple[int, str]]:
    raw = path.read_bytes()
    if DATA.search(name):
        return []
    if len(raw) > LARGEST_BYTES:
        return [(1, f"{len(raw)} bytes: large files are data and belong below a folder data/")]
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return [(1, "not UTF-8")]
    if "\0" in text:
        return [(1, "a binary file outside of data/")]
    found = []
    lines = text.split("\n")
    if is_licensed(path) and not any(SPDX in line for line in lines[:3]):
        found.append((1, f'one of the first lines says "{SPDX}"'))
    if text and not text.endswith("\n"):
        found.append((len(lines), "the last line ends with a line break"))
    code = path.suffix in (".h", ".cc", ".py", ".inc")
    if code and len(lines) > LONGEST_FILE_LINES:
        found.append((1, f"{len(lines)} lines: split it by what its parts are for"))
    for number, line in enumerate(lines, 1):
        if line != line.rstrip():
            found.append((number, "blanks at the end of the line"))
        # gofmt indents with tabs, and go.mod is written by go itself.
        if "\t" in line and path.suffix not in (".txt", ".md", ".tsv", ".go", ".mod", ".sum"):
            found.append((number, "a tab"))
        if path.suffix == ".py" and len(line) > LONGEST_LINE:
            found.append((number, f"{len(line)} characters, more than {LONGEST_LINE}"))
        if name != "scripts/check_tidy.py" and name != "scripts/tests/checks_test.py":
            found += [(number, why) for pattern, why in FORBIDDEN if pattern.search(line)]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root.resolve()
    bad = 0
    for path in files(root):
        if path.is_symlink() or not path.is_file():
            continue
        name = path.relative_to(root).as_posix()
        for line, sentence in lapses(name, path):
            bad += 1
            print(f"{name}:{line}: {sentence}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
