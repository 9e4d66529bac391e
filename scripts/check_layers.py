#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks every #include, and who touches time, files, sockets and randomness, against layers.txt.

  scripts/check_layers.py [ROOT]     prints each violation as file:line: sentence; exits 1 if there is one
"""

import argparse
import re
import sys
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)
SOURCES = ("src", "include", "tools", "examples", "bench", "tests")
# Part of a room's tests and measurements rather than of the room: free of `only` and `call`.
FREE_FILES = re.compile(r"_(test|bench|fuzz)\.(cc|h)$|/testing/|/test_[a-z0-9_]+\.(cc|h)$")
FREE_ROOMS = {"tests", "bench", "examples"}


class Malformed(Exception):
    pass


@dataclass
class Layers:
    level: dict[str, int] = field(default_factory=dict)
    never: dict[str, set[str]] = field(default_factory=dict)
    public: list[tuple[str, str]] = field(default_factory=list)
    user: set[str] = field(default_factory=set)
    foreign: list[str] = field(default_factory=list)
    only: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    call: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    excepted: dict[str, set[str]] = field(default_factory=dict)

    def known(self, room: str) -> str:
        if room not in self.level:
            raise Malformed(f"layers.txt speaks of the room {room} before a layer names it")
        return room


def owners(layers: Layers, word: str) -> tuple[str, ...]:
    return tuple(layers.known(room) for room in word.split(","))


def parse(text: str) -> Layers:
    layers = Layers()
    depth = 0
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        verb, rest = words[0], words[1:]
        if not rest:
            raise Malformed(f"layers.txt:{number}: {verb} of what?")
        if verb == "layer":
            layers.level.update({room: depth for room in rest})
            depth += 1
        elif verb == "never":
            layers.never.setdefault(layers.known(rest[0]), set()).update(layers.known(r) for r in rest[1:])
        elif verb == "public":
            layers.public += [(pattern, layers.known(rest[0])) for pattern in rest[1:]]
        elif verb == "user":
            layers.user.update(layers.known(r) for r in rest)
        elif verb == "foreign":
            layers.foreign += rest
        elif verb == "only":
            layers.only += [(pattern, owners(layers, rest[0])) for pattern in rest[1:]]
        elif verb == "call":
            layers.call += [(word, owners(layers, rest[0])) for word in rest[1:]]
        elif verb == "except":
            layers.excepted.setdefault(rest[0], set()).update(rest[1:])
        else:
            raise Malformed(f"layers.txt:{number}: {verb} is not a rule")
    return layers


def public_room(layers: Layers, name: str) -> str | None:
    """Whose header `penstock/NAME` is."""
    return next((room for pattern, room in layers.public if matches(name, pattern)), None)


def matches(name: str, pattern: str) -> bool:
    """Like a shell's pattern; a star does not stand for a slash unless it ends the pattern behind one."""
    if pattern.endswith("/*"):
        return name.startswith(pattern[:-1])
    return name.count("/") == pattern.count("/") and fnmatch(name, pattern)


def without_noise(text: str) -> str:
    """The code with comments, strings and characters blanked, line breaks kept."""
    return NOISE.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


class Checker:
    def __init__(self, root: Path, layers: Layers):
        self.root = root
        self.layers = layers
        self.problems: list[str] = []

    def say(self, path: str, line: int, sentence: str) -> None:
        self.problems.append(f"{path}:{line}: {sentence}")

    def room_of(self, path: str) -> str | None:
        parts = path.split("/")
        if parts[0] == "include":
            return public_room(self.layers, "/".join(parts[2:]))
        return parts[1] if parts[0] == "src" else parts[0]

    def edge(self, path: str, line: int, room: str, target: str, what: str) -> None:
        layers = self.layers
        if target == room:
            return
        if target not in layers.level:
            self.say(path, line, f"{what} is of {target}, which is no room of layers.txt")
        elif target in layers.never.get(room, set()):
            self.say(path, line, f"{room} must never include {target} ({what})")
        elif layers.level[target] >= layers.level[room]:
            relation = "stands above it" if layers.level[target] > layers.level[room] else "stands beside it"
            self.say(path, line, f"{room} must not include {target}, which {relation} ({what})")

    def include(self, path: str, line: int, room: str, quoted: bool, name: str) -> None:
        is_public = path.startswith("include/")
        if name.startswith("penstock/"):
            target = public_room(self.layers, name.removeprefix("penstock/"))
            if target is None:
                self.say(path, line, f"layers.txt does not say whose public header {name} is")
            else:
                self.edge(path, line, room, target, name)
        elif quoted:
            if is_public:
                self.say(path, line, f'a public header includes public headers only, not "{name}"')
            elif room in self.layers.user:
                if "/" in name and name.split("/")[0] in self.layers.level:
                    self.say(path, line, f'{room} use the public headers only, not "{name}"')
            elif name.split("/")[0] in self.layers.level and "/" in name:
                self.edge(path, line, room, name.split("/")[0], name)
        else:
            if is_public and ("/" in name or name.endswith(".hpp")) and not name.startswith("sys/"):
                if not any(matches(name, pattern) for pattern in self.layers.foreign):
                    self.say(path, line, f"a public header must not include <{name}>")
            self.restricted(path, line, room, name)

    def is_free(self, path: str, room: str) -> bool:
        return room in FREE_ROOMS or bool(FREE_FILES.search("/" + path))

    def restricted(self, path: str, line: int, room: str, name: str) -> None:
        if self.is_free(path, room) or name in self.layers.excepted.get(path, set()):
            return
        for pattern, rooms in self.layers.only:
            if matches(name, pattern) and room not in rooms:
                self.say(path, line, f"only {' and '.join(rooms)} may include <{name}>")
                return

    def calls(self, path: str, room: str, code: str) -> None:
        if self.is_free(path, room):
            return
        for word, rooms in self.layers.call:
            if room in rooms or word in self.layers.excepted.get(path, set()):
                continue
            for found in re.finditer(rf"\b{re.escape(word)}\b", code):
                self.say(path, code.count("\n", 0, found.start()) + 1, f"only {' and '.join(rooms)} may call {word}")

    def file(self, path: Path) -> None:
        name = path.relative_to(self.root).as_posix()
        room = self.room_of(name)
        if room is None or room not in self.layers.level:
            self.say(name, 1, "layers.txt does not say which room this file is of")
            return
        text = path.read_text(encoding="utf-8")
        blanked = without_noise(text)
        code_lines = blanked.splitlines()
        for number, line in enumerate(text.splitlines(), 1):
            found = INCLUDE.match(line)
            if found and "include" in code_lines[number - 1]:
                self.include(name, number, room, found[1] == '"', found[2])
        self.calls(name, room, blanked)

    def run(self) -> list[str]:
        for top in SOURCES:
            for path in sorted((self.root / top).rglob("*")):
                if path.suffix in (".h", ".cc", ".inc") and path.is_file() and "compile_fail" not in path.parts:
                    self.file(path)
        return self.problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root
    try:
        layers = parse((root / "layers.txt").read_text(encoding="utf-8"))
    except (OSError, Malformed) as problem:
        print(f"check_layers: {problem}", file=sys.stderr)
        return 1
    problems = Checker(root, layers).run()
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
