#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Nexmark queries, in memory and from Kafka, beside Flink SQL over the same events, in one run.

    bench/nexmark.py [--events 1000000] [--lanes 1] [--queries q0,q5] [--from memory,kafka] [--rounds 3] [--no-flink]

Penstock: the median of the rounds. Flink 2.1 (from Maven Central, needs java and mvn): one task slot, the second of two runs
in one process, its clock beginning with the first event (from Kafka: with the job). In memory, events lie ready before the
clock starts; from Kafka both read JSON from the same embedded broker, a topic of one partition. Rows are counted and thrown
away. Needs build/release (./dev build release).
"""
import argparse
import json
import math
import pathlib
import signal
import statistics
import sys
import tempfile

from peers import java
from peers.contest import output_of
from peers.embedded import Embedded

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/release"
NEXMARK = BUILD / "nexmark"
QUERIES = "q0 q1 q2 q3 q4 q5 q7 q8 q9 q11 q12 q15 q16 q17 q18 q19 q20 q22".split()
TOPIC = "nexmark"


def figures(*command):
    """Runs a program and reads the lines of JSON that it prints."""
    return [json.loads(line) for line in output_of(*command, timeout=3600).splitlines() if line.startswith("{")]


class Flink:
    def __init__(self):
        self.java = java.command("flink", BUILD / "flink", "nexmark.NexmarkFlink", "6g")

    def memory(self, file, queries):
        return {f["query"]: f for f in figures(*self.java, "memory", file, 2, *queries)}

    def kafka(self, brokers, events, queries):
        return {f["query"]: f for f in figures(*self.java, "kafka", brokers, TOPIC, events, 2, *queries)}


def ours(args, query, *where):
    """The round of median speed."""
    runs = [figures(NEXMARK, "--query", query, "--lanes", args.lanes, "--json", *where)[0] for _ in range(args.rounds)]
    runs.sort(key=lambda f: f["records_per_second"])
    if len({f["events"] for f in runs}) != 1 or runs[0]["events"] != args.events:
        sys.exit(f"{query} read {runs[0]['events']} events, not {args.events}")
    return runs[len(runs) // 2]


def table(what, args, mine, flink):
    print(f"\nNexmark {what}: {args.events} events, {args.lanes} lane{'s' if args.lanes != 1 else ''}")
    print(f"{'query':<6} {'penstock M/s':>13} {'ns CPU/event':>13}" +
          (f" {'Flink M/s':>11} {'ns CPU/event':>13} {'ratio':>7} {'of CPU':>7}" if flink else ""))
    ratios, of_cpu = [], []
    for query, f in mine.items():
        line = f"{query:<6} {f['records_per_second'] / 1e6:>13.3f} {f['cpu_ns_per_record']:>13.1f}"
        if flink:
            other = flink[query]
            ratios.append(f["records_per_second"] / other["records_per_second"])
            of_cpu.append(other["cpu_ns_per_record"] / f["cpu_ns_per_record"])
            line += (f" {other['records_per_second'] / 1e6:>11.3f} {other['cpu_ns_per_record']:>13.1f} {ratios[-1]:>7.1f}"
                     f" {of_cpu[-1]:>7.1f}")
        print(line)
    if flink:
        mean = lambda of: math.exp(statistics.fmean(math.log(x) for x in of))
        print(f"geometric mean of the ratios: {mean(ratios):.1f} of records/s, {mean(of_cpu):.1f} of CPU time", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--queries", default=",".join(QUERIES))
    parser.add_argument("--from", dest="places", default="memory,kafka")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-flink", action="store_true")
    args = parser.parse_args()
    queries = args.queries.split(",")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the broker goes too
    flink = None
    if not args.no_flink:
        if missing := java.missing():
            print(f"without Flink: {missing}", file=sys.stderr)
        else:
            flink = Flink()
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        if "memory" in args.places.split(","):
            mine = {q: ours(args, q, "--generate", args.events, "--preload") for q in queries}
            other = None
            if flink:
                figures(NEXMARK, "--generate", args.events, "--output", directory / "events.ndjson")
                other = flink.memory(directory / "events.ndjson", queries)
            table("in memory", args, mine, other)
        if "kafka" in args.places.split(","):
            with Embedded(args.events * 400) as broker:
                figures(NEXMARK, "--generate", args.events, "--brokers", broker.brokers, "--partitions", 1)
                mine = {q: ours(args, q, "--brokers", broker.brokers) for q in queries}
                other = flink.kafka(broker.brokers, args.events, queries) if flink else None
                table("from Kafka", args, mine, other)


if __name__ == "__main__":
    main()
