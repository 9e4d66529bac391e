#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The engine in memory, beside Flink's DataStream API doing the same, in one run.

    bench/engine.py [--only map,window,...] [--rounds 3] [--no-flink]

    map       map, filter, map over 64-bit integers
    window    a count in windows of 1 s: 100,000 keys, 1 M records a second of event time; on one lane and on two,
              beside two processes of one lane each, which show what the machine's cores have for two just then, and with
              the time of a line of memory from core to core and back
    hopping   the same in windows of 60 s, one a second
    session   the same in sessions that end after 50 ms
    process   a function with a value a key
    interval  an interval join, +-100 ms

One lane beside one task slot, unless it says two; Flink 2.1 from Maven Central (needs a JDK and Maven), the second of two
runs in one process, over fewer records where it would take minutes. Figures are medians of the rounds, in which one lane,
two, and two processes take turns; each answer is checked.
Needs build/release (./dev build release). `engine_bench NAME [MILLIONS]` there has more parts: text, json, and keys, groups
and timers, which want memory.
"""
import argparse
import concurrent.futures
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


def ours(part):
    """Records a second, in millions, and CPU time a record, in nanoseconds."""
    rate, cpu, verdict = LINE.search(output_of(BENCH, part, timeout=600)).groups()
    if verdict != "ok":
        sys.exit(f"{part}: {verdict}")
    return float(rate), float(cpu)


def two_processes(part):
    """What two processes reach together that do the same side by side: the cores have no more."""
    with concurrent.futures.ThreadPoolExecutor(2) as both:
        return 2 * min(rate for rate, _ in both.map(ours, [part, part]))


def round_trip():
    """Nanoseconds. A virtual machine's cores may be threads of one core now and cores far apart a minute later."""
    return float(re.search(r"([0-9]+) ns", output_of(BENCH, "round_trip", timeout=60)).group(1))


def two_lanes(rounds):
    """What one lane costs, and the line about two of them."""
    seen = [(ours("window"), ours("window2"), two_processes("window"), round_trip()) for _ in range(rounds)]
    rate, cpu = medians(two for _, two, _, _ in seen)
    of_one = statistics.median(two[0] / one[0] for one, two, _, _ in seen)
    processes = statistics.median(apart / one[0] for one, _, apart, _ in seen)
    trip = statistics.median(ns for *_, ns in seen)
    line = (f"{'  2 lanes':<10} {rate:>13.1f} {cpu:>8.2f}   {of_one:.2f} x of one lane"
            f" (two processes of one lane each: {processes:.2f} x;"
            f" a line from core to core and back: {trip:.0f} ns)")
    return medians(one for one, *_ in seen), line


def medians(measured):
    return tuple(map(statistics.median, zip(*measured)))


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
        more = None
        if part == "window":
            (rate, cpu), more = two_lanes(args.rounds)
        else:
            rate, cpu = medians(ours(part) for _ in range(args.rounds))
        line = f"{part:<10} {rate:>13.1f} {cpu:>8.2f}"
        if peer:
            their_rate, their_cpu = flink(peer, part)
            line += f" {their_rate:>11.2f} {their_cpu:>8.0f} {rate / their_rate:>7.0f}x"
        print(line, flush=True)
        if more:
            print(more, flush=True)


if __name__ == "__main__":
    main()
