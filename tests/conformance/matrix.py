#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the behaviour suite (clients.py) against the embedded broker and each version of Apache Kafka that the project
is tested with, and writes what passed where as a table.

  tests/conformance/matrix.py [--penstock build/dev/penstock] [--at-once 2] [--check FILE | --write FILE] [VERSION...]

With --check, a table that differs from the file is an error, as is a case that failed; the new table is then left
beside the results, under build/, to be looked at and taken over with --write.
"""

import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cases_client  # noqa: F401
import cases_groups  # noqa: F401
import cases_records  # noqa: F401
import cases_topics  # noqa: F401
from harness import CASES, ROOT, SKIPPED

sys.path.insert(0, str(ROOT / "scripts"))
import kafka_versions  # noqa: E402

OURS = "penstock"
SECONDS = 1500  # for one version
HEADINGS = {"records": "Records", "offsets": "Offsets and fetching", "topics": "Topics", "groups": "Groups",
            "restarts": "Restarts of the broker", "client": "The client's own functions"}

INTRODUCTION = """# What works with which broker

Written by the tests (`tests/conformance/matrix.py`, part of `./dev test --all`): each row is a case, or several with
different codecs or assignors, that ran against the embedded broker and against each of these versions of Apache Kafka,
from Maven Central, on loopback. In most of them kcat (librdkafka) is the other side: what one writes the other reads.

- **yes**: passed. **no**: failed.
- **-**: that version of Kafka does not have the feature. **own**: needs our own broker, to kill it for example.
- **skip**: a program that it needs was missing where the tests ran.

"""


def run(version: str, sections: list[str], penstock: str, directory: Path) -> tuple[str, list[dict], str, float]:
    """The verdicts against one broker, and all that was printed."""
    results = directory / f"{version}.json"
    known = json.loads(results.read_text(encoding="utf-8")) if results.exists() else []
    results.unlink(missing_ok=True)
    began = time.monotonic()
    command = [sys.executable, str(Path(__file__).with_name("clients.py")), "--penstock", penstock, "--against", version,
               "--results", str(results), *(word for name in sections for word in ("--section", name))]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=SECONDS, check=False)
        said = done.stdout
    except subprocess.TimeoutExpired as timeout:
        said = f"{timeout.stdout or ''}\nit had not ended after {SECONDS} s"
    rows = json.loads(results.read_text(encoding="utf-8")) if results.exists() else []
    results.write_text(json.dumps([row for row in known if row["section"] not in sections] + rows), encoding="utf-8")
    return version, rows, said, time.monotonic() - began


def cell(verdicts: list[str]) -> str:
    known = set(verdicts)
    if "failed" in known:
        return "no"
    if "passed" in known:  # the other codecs, say, are not there in that version
        return "yes"
    if "skipped" in known:
        return "skip"
    return "-"


def table(results: dict[str, list[dict]]) -> str:
    lines = [INTRODUCTION]
    names = ["embedded broker" if version == OURS else version for version in results]
    for section, heading in HEADINGS.items():
        features: dict[str, dict[str, list[str]]] = {}
        only_ours = {c.function.__doc__.strip() for c in CASES if c.only_on == OURS and c.function.__doc__}
        for version, rows in results.items():
            for row in rows:
                if row["section"] == section:
                    features.setdefault(row["feature"], {}).setdefault(version, []).append(row["verdict"])
        if not features:
            continue
        lines += [f"## {heading}", "", f"| | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
        for feature, by_version in features.items():
            cells = ["own" if feature in only_ours and version != OURS else cell(by_version.get(version, []))
                     for version in results]
            lines.append(f"| {feature} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", default=[], help="default: all")
    parser.add_argument("--penstock", default=os.environ.get("PENSTOCK") or str(ROOT / "build/dev/penstock"))
    parser.add_argument("--keep", metavar="DIR", help="where verdicts are kept: those of versions that are not run now "
                        "are taken from there")
    parser.add_argument("--section", action="append", choices=HEADINGS, help="only these; with --keep")
    parser.add_argument("--at-once", type=int, default=2, help="brokers at a time")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--check", metavar="FILE")
    which.add_argument("--write", metavar="FILE")
    args = parser.parse_args()
    if any(shutil.which(program) is None for program in ("java", "mvn", "kcat")):
        print("skipped: java, mvn or kcat is not installed")
        return SKIPPED
    versions = [v if v == OURS else kafka_versions.full(v) for v in args.versions] or [OURS, *kafka_versions.TESTED]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="penstock-matrix-") as name, \
            concurrent.futures.ThreadPoolExecutor(args.at_once) as pool:
        if args.keep:
            name = args.keep
            Path(name).mkdir(parents=True, exist_ok=True)
        sections = args.section or list(HEADINGS)
        running = [pool.submit(run, version, sections, os.path.abspath(args.penstock), Path(name)) for version in versions]
        for future in concurrent.futures.as_completed(running):
            version, rows, said, seconds = future.result()
            counts = {verdict: sum(row["verdict"] == verdict for row in rows)
                      for verdict in ("passed", "failed", "not available", "skipped")}
            failed += counts["failed"] + (not rows)
            print(f"{version}: {', '.join(f'{count} {verdict}' for verdict, count in counts.items())} in {seconds:.0f} s",
                  flush=True)
            if counts["failed"] or not rows:
                print(said, flush=True)
        kept = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in Path(name).glob("*.json")}
    text = table({version: kept[version] for version in (OURS, *kafka_versions.TESTED) if version in kept})
    if args.write:
        Path(args.write).parent.mkdir(parents=True, exist_ok=True)
        Path(args.write).write_text(text, encoding="utf-8")
    elif args.check:
        seen = Path(args.penstock).resolve().parent / "kafka-versions.md"
        seen.write_text(text, encoding="utf-8")
        if not Path(args.check).exists() or Path(args.check).read_text(encoding="utf-8") != text:
            print(f"{args.check} is not what was seen, which is in {seen}: take it over if that is as it should be")
            failed += 1
    else:
        print(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
