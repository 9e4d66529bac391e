#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The engine in memory, beside Flink's DataStream API doing the same, in one run.

    bench/engine.py [--only map,window,...] [--rounds 3] [--no-flink]

    map       map, filter, map over 64-bit integers
    window    a count in windows of 1 s: 100,000 keys, 1 M records a second of event time; on one lane and on two
    hopping   the same in windows of 60 s, one a second
    session   the same in sessions that end after 50 ms
    process   a function with a value a key
    interval  an interval join, +-100 ms

One lane beside one task slot, unless it says two; Flink 2.1 from Maven Central (needs a JDK and Maven), the second of two
runs in one process, over fewer records where it would take minutes. Figures are medians of the rounds, in which one lane
and two take turns; each answer is checked.
Needs build/release (./dev build release). `engine_bench NAME [MILLIONS]` there has more parts: text, json, and keys, groups
and timers, which want memory.
"""
import argparse
import pathlib
import re
import statistics
import sys

from peers import java
from peers.contest import measure, output_of

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/release"
BENCH = BUILD / "bench/engine_bench"
# Records for Flink, and how often a record is in a result (nothing: the results are not summed).
PARTS = {"map": (50_000_000, None), "window": (10_000_000, 1), "hopping": (300_000, 60), "session": (3_000_000, 1),
         "process": (10_000_000, None), "interval": (2_000_000, None)}
LINE = re.compile(r"([0-9.]+) M records/s +([0-9.]+) ns CPU/record +(.*)")


def ours(parts, rounds):
    """For each part its rates and its CPU times, by round; the parts take turns."""
    seen = {part: ([], []) for part in parts}
    for _ in range(rounds):
        for part, (rates, cpu) in seen.items():
            rate, ns, verdict = LINE.search(output_of(BENCH, part, timeout=600)).groups()
            if verdict != "ok":
                sys.exit(f"{part}: {verdict}")
            rates.append(float(rate))
            cpu.append(float(ns))
    return seen


def flink(command, part):
    records, copies = PARTS[part]
    f = measure(*command, part, records, 1, 2)
    if copies is not None and f["sum"] != records * copies:
        sys.exit(f"{part}: Flink counted {f['sum']}, not {records * copies}")
    return f["records_per_second"] / 1e6, f["cpu_ns_per_record"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-flink", action="store_true")
    args = parser.parse_args()
    parts = args.only.split(",")
    if unknown := [p for p in parts if p not in PARTS]:
        parser.error(f"there is no part {unknown[0]}: it is one of {', '.join(PARTS)}")
    if not BENCH.exists():
        sys.exit("build/release/bench/engine_bench is not there: run ./dev build release")
    peer = None
    if not args.no_flink:
        if missing := java.missing():
            print(f"without Flink: {missing}", file=sys.stderr)
        else:
            peer = java.command("flink", BUILD / "flink", "engine.EngineFlink")
    theirs = f" {'Flink M/s':>11} {'ns CPU':>8} {'ratio':>8}" if peer else ""
    print(f"{'':<10} {'penstock M/s':>13} {'ns CPU':>8}{theirs}", flush=True)
    for part in parts:
        seen = ours([part, "window2"] if part == "window" else [part], args.rounds)
        rate, cpu = map(statistics.median, seen[part])
        line = f"{part:<10} {rate:>13.1f} {cpu:>8.2f}"
        if peer:
            their_rate, their_cpu = flink(peer, part)
            line += f" {their_rate:>11.2f} {their_cpu:>8.0f} {rate / their_rate:>7.0f}x"
        print(line, flush=True)
        if part == "window":
            two, cpu = map(statistics.median, seen["window2"])
            ratio = statistics.median(b / a for a, b in zip(seen["window"][0], seen["window2"][0]))
            print(f"{'  2 lanes':<10} {two:>13.1f} {cpu:>8.2f}   {ratio:.2f} x of one lane", flush=True)


if __name__ == "__main__":
    main()
