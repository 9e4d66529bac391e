#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exactly once, beside Flink and Kafka Streams, on the same real Apache Kafka, in turn; then on the embedded broker.

    bench/eos.py [--records 10000000] [--rounds 3] [--only copy,window,...] [--on kafka,embedded] [--no-peers]

    copy      100-byte records from topic to topic, 4 partitions each: epochs of 1 s beside Flink, of 100 ms beside
              Kafka Streams
    window    records of each of 100,000 keys counted in windows of 1 s of event time, epochs of 1 s, beside Flink
    latency   from produce to read_committed consume through a copying job, 10,000 records a second, epochs of 10 ms
    kill      from kill -9 of a counting job to the first result that its successor commits
    restore   a counting job's state read back from its changelog

Starts Kafka with scripts/kafka, and the embedded broker, on loopback, and stops them; their logs lie in memory (/dev/shm)
if there is room. What each job wrote is counted, read committed, before its figure stands. A figure is the median of the
rounds, a ratio the median of the rounds' ratios. CPU is of the job's process; the broker's own is beside it. Needs
build/release (./dev build release), and a JDK and Maven for Kafka and the peers. docs/performance.md has figures.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from peers import contest, java
from peers.contest import cpu_of, measure, output_of
from peers.embedded import Embedded
from peers.kafka import Kafka

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/release"
PENSTOCK, JOBS, PROBE = BUILD / "penstock", BUILD / "eos_jobs", BUILD / "eos_probe"
PARTS = ("copy", "window", "latency", "kill", "restore")
PLACES = ("kafka", "embedded")
PARTITIONS = 4
KEYS = 100_000


def show(what):
    """What is being done, on a terminal; in a pipe only figures show."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)


def say(line=""):
    show("")
    print(line, flush=True)


class Run:
    def __init__(self, args, broker, place, peers, folder):
        self.args, self.broker, self.place, self.peers, self.folder = args, broker, place, peers, folder
        self.brokers, self.number = broker.brokers, 0

    # One measurement each.

    def command(self, job, source, out, interval_ms, *more):
        return [str(word) for word in (JOBS, job, "--brokers", self.brokers, "--in", source, "--out", out, "--app", out,
                                       "--commit-interval", interval_ms, "--lanes", self.args.lanes, *more)]

    def job(self, job, source, interval_ms, *more):
        return lambda out: measure(*self.command(job, source, out, interval_ms, "--bounded", "--records",
                                                 self.args.records, *more))

    def flink(self, job, source, interval_ms):
        checkpoints = self.folder / "checkpoints"
        return lambda out: measure(*self.peers["flink"], job, self.brokers, source, out, self.args.parallelism, interval_ms,
                                   checkpoints, self.args.records)

    def streams(self, source, interval_ms):
        return lambda out: measure(*self.peers["streams"], self.brokers, source, out, self.args.parallelism, interval_ms,
                                   self.folder / "streams", self.args.records)

    def topic(self, name):
        return contest.create_topic(PENSTOCK, self.brokers, name, PARTITIONS)

    def remove(self, *topics):
        for t in topics:
            output_of(PENSTOCK, "topic", "delete", t, "--brokers", self.brokers)
        time.sleep(1.5)  # log.segment.delete.delay.ms: its files go, and the broker's time for that is nobody's

    def fresh(self, what):
        self.number += 1
        return f"{what}-{self.place}-{self.number}"

    def changelogs(self, application):
        listed = output_of(PENSTOCK, "topic", "list", "--brokers", self.brokers)
        return re.findall(rf"^({re.escape(application)}-\S*changelog)\b", listed, re.M)

    def one(self, label, run, expected):
        """One round of one contestant into a topic of its own, which is counted and goes."""
        out = self.topic(self.fresh("out"))
        before = self.broker.cpu()
        f = run(out)
        f["broker_ns"] = (self.broker.cpu() - before) * 1e9 / self.args.records
        wrote = measure(PROBE, "sum", self.brokers, out)
        if wrote[expected] != self.args.records:
            sys.exit(f"{label}: {wrote[expected]} instead of {self.args.records} records came out ({wrote})")
        self.remove(out, *self.changelogs(out))
        say(f"{label:<42} {f['records_per_second'] / 1e6:7.3f} M/s {f['cpu_ns_per_record']:7.0f} ns CPU a record, "
            f"the broker's {f['broker_ns']:5.0f}")
        return f

    def compare(self, what, contestants, expected="records"):
        """`contestants`: (label, function of the topic to write), ours first."""
        def measured(title, number, run):
            show(f"{title}, round {number + 1} of {self.args.rounds}")
            return self.one(title, run, expected)
        contest.compare(what, self.args.rounds, contestants, measured, say)

    # The parts.

    def copy(self):
        show("copy: writing the input")
        source = self.topic(self.fresh("copy"))
        output_of(PENSTOCK, "perf", "produce", "--brokers", self.brokers, "--topic", source, "--records", self.args.records,
                  "--size", 100)
        show("copy: warming up")
        for _ in range(4):  # until the broker's CPU time a record falls no more
            self.one("warm-up, not counted", self.job("copy", source, 1000), "records")
        for interval, name, peer in ((1000, "Flink", self.flink), (100, "Kafka Streams", self.streams)):
            # To the end of the last commit: beside Kafka Streams from the first record read, beside Flink from the start.
            more = ("--from-first-record",) if name == "Kafka Streams" else ()
            contestants = [("penstock", self.job("copy", source, interval, *more))]
            if "flink" in self.peers:
                contestants.append((name, peer("copy", source, interval) if name == "Flink" else peer(source, interval)))
            self.compare(f"copy, epochs of {interval} ms", contestants)
        self.remove(source)

    def window(self):
        show("window: writing the input")
        source = self.topic(self.fresh("window"))
        output_of(PROBE, "feed", self.brokers, source, self.args.records, KEYS)
        contestants = [("penstock", self.job("window", source, 1000))]
        if "flink" in self.peers:
            contestants.append(("Flink", self.flink("window", source, 1000)))
        self.compare("window, epochs of 1000 ms", contestants, "sum")
        self.remove(source)

    def latency(self, rate=10_000):
        found = []
        for number in range(-1, self.args.rounds):
            show(f"latency: round {number + 1} of {self.args.rounds}")
            source, out = self.topic(self.fresh("latency")), self.topic(self.fresh("out"))
            with self.running("copy", source, out, 10) as job:
                before, began = cpu_of(job.pid), time.monotonic()
                f = measure(PROBE, "latency", self.brokers, source, out, rate, self.args.seconds)
                share = (cpu_of(job.pid) - before) / (time.monotonic() - began)
            self.remove(source, out)
            if number < 0:
                continue  # the broker's compiler has seen it now
            found.append(f)
            times = "   ".join(f"{name} {f[name + '_us'] / 1e3:6.2f} ms" for name in ("p50", "p90", "p99", "max"))
            say(f"latency at {rate} records/s, epochs of 10 ms   {times}   job's CPU {share:.0%} of a core")
        for name in ("p50_us", "p99_us"):
            median = statistics.median(f[name] for f in found)
            say(f"latency {name[:3]}, median of {self.args.rounds}: {median / 1e3:.2f} ms")
        say()

    @contextlib.contextmanager
    def running(self, job, source, out, interval_ms, *more):
        command = self.command(job, source, out, interval_ms, *more)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=60)

    def kill(self, rate=10_000, keys=10_000):
        found = []
        for number in range(self.args.rounds):
            show(f"kill: round {number + 1} of {self.args.rounds}")
            source, out = self.topic(self.fresh("kill")), self.topic(self.fresh("out"))
            with contextlib.ExitStack() as stack:
                def started(*command):
                    p = subprocess.Popen([str(w) for w in command], stdout=subprocess.PIPE, text=True)
                    stack.callback(p.wait)
                    stack.callback(p.terminate)
                    return p
                started(PROBE, "pace", self.brokers, source, rate, 60, keys)
                first, second = (started(PROBE, "watch", self.brokers, out, mark) for mark in ("first", "second"))
                for watch in (first, second):
                    watch.stdout.readline()
                victim = started(*self.command("count", source, out, 100, "--mark", "first"))
                moment(first)
                time.sleep(2)  # it works for a while
                killed = time.monotonic_ns()
                victim.kill()
                victim.wait()
                with self.running("count", source, out, 100, "--mark", "second") as successor:
                    took = (moment(second) - killed) / 1e6
                    restored = successor.stdout.readline().strip()
            found.append(took)
            say(f"kill -9 to the first new committed result: {took:.0f} ms ({restored})")
            self.remove(source, out, *self.changelogs(out))
        say(f"kill, median of {self.args.rounds}: {statistics.median(found):.0f} ms\n")

    def restore(self):
        keys = self.args.keys or max(1, self.args.records // 10)
        show(f"restore: a state of {keys} keys")
        source, out = self.topic(self.fresh("restore")), self.topic(self.fresh("out"))
        output_of(PROBE, "feed", self.brokers, source, keys, keys)
        job = self.command("count", source, out, 1000, "--bounded", "--records", keys)
        output_of(*job)
        found = []
        for _ in range(self.args.rounds):
            said = output_of(*job)
            found_there = re.search(r"restored (\d+) rows of state, ([0-9.]+) MB, in ([0-9.]+) s", said)
            rows, megabytes, seconds = found_there.groups()
            f = json.loads(said.strip().splitlines()[-1])
            found.append((int(rows) / float(seconds), float(megabytes) / float(seconds), f["cpu_ns_per_record"]))
            say(f"restored {rows} rows, {megabytes} MB, in {seconds} s; {f['cpu_ns_per_record']:.0f} ns CPU a key, start "
                "and end of the job included")
        rate, megabytes, cpu = (statistics.median(column) for column in zip(*found))
        say(f"restore, medians of {self.args.rounds}: {rate / 1e6:.2f} M keys/s, {megabytes:.0f} MB/s, "
            f"{cpu:.0f} ns CPU a key\n")
        self.remove(source, out, *self.changelogs(out))


def moment(watch):
    line = watch.stdout.readline()
    if not line:
        sys.exit("the job's committed results did not come")
    return json.loads(line)["monotonic_ns"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", default="4.1.0", help="of Apache Kafka")
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--on", default=",".join(PLACES), help="brokers, with commas between")
    parser.add_argument("--no-peers", action="store_true", help="without Flink and Kafka Streams")
    parser.add_argument("--lanes", type=int, default=1, help="threads of our jobs, beside the two that send and wait")
    parser.add_argument("--parallelism", type=int, default=os.cpu_count(), help="of Flink, and threads of Kafka Streams")
    parser.add_argument("--seconds", type=int, default=20, help="of a round of latency")
    parser.add_argument("--keys", type=int, default=0, help="of the state to restore (default: a tenth of the records)")
    args = parser.parse_args()
    parts, places = args.only.split(","), args.on.split(",")
    for names, known in ((parts, PARTS), (places, PLACES)):
        if unknown := [n for n in names if n not in known]:
            parser.error(f"there is no {unknown[0]}: it is one of {', '.join(known)}")
    for program in (PENSTOCK, JOBS, PROBE):
        if not program.exists():
            sys.exit(f"build/release/{program.name} is not there: run ./dev build release")
    if "kafka" in places and (missing := java.missing()):
        sys.exit(f"{missing}; --on embedded measures without them")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that what was started goes too

    # The input, an output or two, and what is being deleted.
    log_bytes = 4 * args.records * 120
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        folder = pathlib.Path(name)
        peers = {}
        if "kafka" in places and not args.no_peers and {"copy", "window"} & set(parts):
            show("building the peers")
            peers = {"flink": java.command("flink", BUILD / "flink", "eos.EosFlink"),
                     "streams": java.command("kstreams", BUILD / "kstreams", "eos.EosStreams")}
        for place in places:
            show(f"starting {place}")
            with Kafka(args.version, log_bytes, False) if place == "kafka" else Embedded(log_bytes) as broker:
                title = f"Apache Kafka {args.version}" if place == "kafka" else "The embedded broker"
                say(f"{title}, its log {'in memory' if broker.where else 'on disk'}: {args.records} records, {PARTITIONS} "
                    f"partitions, {args.lanes} lane{'s' if args.lanes != 1 else ''}, {os.cpu_count()} cores\n")
                run = Run(args, broker, place, peers if place == "kafka" else {}, folder)
                for part in parts:
                    getattr(run, part)()


if __name__ == "__main__":
    main()
