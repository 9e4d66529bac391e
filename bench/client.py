#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Consumes and produces with Penstock and with librdkafka against the same real Apache Kafka, in turn, in one run.

    bench/client.py [--version 4.1.0] [--records 10000000] [--size 100] [--partitions 4] [--rounds 3]

Starts Kafka with scripts/kafka, on loopback, and stops it. Needs build/release (./dev build release), Java and Maven, and
librdkafka's headers when the release was built. Prints a row a round and the median of each figure and of the ratios.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PENSTOCK = ROOT / "build/release/penstock"
PEER = ROOT / "build/release/rdkafka_consume"


def measure(*command):
    """Runs a program that prints one JSON line of figures last."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True, timeout=600, check=False)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed with status {done.returncode}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def row(label, figures):
    print(f"{label:<28} {figures['records_per_second'] / 1e6:8.2f} M/s {figures['megabytes_per_second']:9.0f} MB/s "
          f"{figures['cpu_ns_per_record']:8.0f} ns CPU/record {figures['max_rss_kib'] / 1024:8.0f} MiB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--version", default="4.1.0", help="of Apache Kafka")
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--size", type=int, default=100, help="bytes of a value")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    for program in (PENSTOCK, PEER):
        if not program.exists():
            sys.exit(f"{program.relative_to(ROOT)} is not there: install librdkafka-dev and run ./dev build release")

    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as work:
        started = subprocess.run([ROOT / "scripts/kafka", "start", args.version, "--dir", work],
                                 stdout=subprocess.PIPE, text=True, check=True, timeout=600)
        brokers = started.stdout.strip().splitlines()[-1].split()[-1]
        try:
            print(f"Apache Kafka {args.version}, {args.records} records of {args.size} bytes, "
                  f"{args.partitions} partitions, {os.cpu_count()} cores")
            subprocess.run([PENSTOCK, "topic", "create", "bench", "--partitions", str(args.partitions),
                            "--brokers", brokers], check=True, stdout=subprocess.DEVNULL)
            row("penstock produce", measure(PENSTOCK, "perf", "produce", "--brokers", brokers, "--topic", "bench",
                                            "--records", args.records, "--size", args.size))
            ratios, ours, theirs = [], [], []
            for _ in range(args.rounds):
                ours.append(measure(PENSTOCK, "perf", "consume", "--brokers", brokers, "--topic", "bench",
                                    "--records", args.records))
                row("penstock consume", ours[-1])
                theirs.append(measure(PEER, brokers, "bench", args.partitions, args.records))
                row("librdkafka consume", theirs[-1])
                ratios.append(ours[-1]["records_per_second"] / theirs[-1]["records_per_second"])
            median = lambda side, name: statistics.median(r[name] for r in side)
            print(f"consume, median of {args.rounds}: penstock {median(ours, 'records_per_second') / 1e6:.2f} M/s "
                  f"({median(ours, 'cpu_ns_per_record'):.0f} ns CPU a record), librdkafka "
                  f"{median(theirs, 'records_per_second') / 1e6:.2f} M/s "
                  f"({median(theirs, 'cpu_ns_per_record'):.0f} ns): {statistics.median(ratios):.2f} x")
        finally:
            subprocess.run([ROOT / "scripts/kafka", "stop", "--dir", work], check=False, timeout=60)


if __name__ == "__main__":
    main()
