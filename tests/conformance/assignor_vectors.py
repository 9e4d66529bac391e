#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Asks the assignors of Kafka's Java client (from Maven Central) who gets what in groups made up here, and writes the
answers: the data that ours are compared with (client_test, assignors.*).

  tests/conformance/assignor_vectors.py [--version 4.1.0] [--seed 1] [--write src/client/testdata/assignments.json]

Members come, leave and change what they want from round to round; what they got in one they own in the next.
"""

import argparse
import importlib.machinery
import importlib.util
import json
import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ASSIGNORS = ("RANGE", "ROUNDROBIN", "STICKY", "COOPERATIVE")
SECONDS = 300


def jars(version: str) -> Path:
    sys.path.insert(0, str(ROOT / "scripts"))
    loader = importlib.machinery.SourceFileLoader("kafka", str(ROOT / "scripts" / "kafka"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("kafka", loader))
    loader.exec_module(module)
    return module.jars(version)


def group(how: str, dice: random.Random, same: bool) -> list[str]:
    """One group's life, as Assign.java reads it."""
    topics = {f"t{i}": dice.randint(1, 7) for i in range(dice.randint(1, 4))}
    names = sorted(topics)
    lines = [f"group {how}", *(f"topic {t} {n}" for t, n in topics.items())]

    def member(number: int) -> str:
        wanted = names if same else sorted(dice.sample(names, dice.randint(1, len(names))))
        instance = f"i{number}" if dice.random() < 0.2 else "-"
        return f"member m{number:02} {instance} {','.join(wanted)}"

    members = list(range(dice.randint(1, 5)))
    lines += [member(m) for m in members] + ["round"]
    for _ in range(dice.randint(1, 3)):
        what = dice.random()
        if what < 0.45 or len(members) == 1:
            members.append(max(members) + 1)
            lines.append(member(members[-1]))
        elif what < 0.8:
            lines.append(f"leave m{members.pop(dice.randrange(len(members))):02}")
        else:
            grown = dice.choice(names)
            topics[grown] += dice.randint(1, 3)
            lines.append(f"topic {grown} {topics[grown]}")
        lines.append("round")
        if how == "COOPERATIVE":
            lines.append("round")  # what was taken away in the first is given in the second
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", default="4.1.0", help="of the Java client")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--groups", type=int, default=14, help="for each assignor")
    parser.add_argument("--write", metavar="FILE")
    args = parser.parse_args()
    dice = random.Random(args.seed)
    lines = [line for how in ASSIGNORS for i in range(args.groups) for line in group(how, dice, same=i % 2 == 0)]
    done = subprocess.run(["java", "-cp", f"{jars(args.version)}/*", str(ROOT / "tests/conformance/java/Assign.java")],
                          input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        return 1
    rounds = [json.dumps(json.loads(line), separators=(",", ":"))
              for line in done.stdout.splitlines() if line.startswith("{")]
    text = "[\n" + ",\n".join(rounds) + "\n]\n"
    if args.write:
        Path(args.write).parent.mkdir(parents=True, exist_ok=True)
        Path(args.write).write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
