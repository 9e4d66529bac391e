#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Penstock's client beside librdkafka and the Java client, on the same real Apache Kafka, in turn, in one run.

    bench/client.py [--version 4.1.0] [--records 10000000] [--rounds 3] [--only consume,produce,...]

    consume   a topic from its beginning, 100-byte records, 4 partitions
    produce   the same records, a record a call
    keyed     the same with a key each, 100,000 different ones
    runs      the same without keys, 256 records a call
    codecs    produce and consume with lz4 and with zstd
    sizes     consuming 1 KiB and 10 KiB records beside a bare socket that reads the same bytes and looks at no record
    latency   from send to poll at 1,000 records a second, without linger
    idle      CPU and memory of a consumer of 100 partitions to which nothing comes
    stalled   memory of a consumer whose application takes no more records, and of a producer whose broker stands still
    tls       consume and produce over TLS, beside librdkafka

Starts Kafka with scripts/kafka, on loopback, and stops it; its log lies in memory (/dev/shm) if there is room. Needs
build/release (./dev build release), Java and Maven, and librdkafka's headers when the release was built. The broker is
warmed up first: its compiler has seen the paths, and a topic's pages are in memory before it is measured.
docs/performance.md has figures and says what was tried.
"""
import argparse
import os
import pathlib
import re
import resource
import signal
import statistics
import subprocess
import sys
import time

from peers import contest
from peers.contest import cpu_of, measure, output_of
from peers.kafka import Kafka

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/release"
PENSTOCK = BUILD / "penstock"
PARTS = ("consume", "produce", "keyed", "runs", "codecs", "sizes", "latency", "idle", "stalled", "tls")
LARGE_BATCHES = ("--batch-size", 1_000_000, "--linger-ms", 20)  # as librdkafka has them; codecs find more in them
SIZED_BYTES = 1_500_000_000  # of the topics with large records


def with_x(settings):
    return [word for setting in settings for word in ("-X", setting)]


def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row(label, f):
    memory = f"{f['max_rss_kib'] / 1024:7.0f} MiB" if "max_rss_kib" in f else ""
    print(f"{label:<30} {f['records_per_second'] / 1e6:8.3f} M/s {f['megabytes_per_second']:8.0f} MB/s "
          f"{f['cpu_ns_per_record']:6.0f} ns CPU/record, the broker's {f['broker_ns']:5.0f} {memory}", flush=True)


def resident_mib(pid):
    return int(re.search(r"VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


class Run:
    def __init__(self, args, kafka):
        self.args, self.kafka, self.brokers = args, kafka, kafka.brokers

    # One measurement each. `records` of `size` bytes; topics are named for what is in them. `more`: settings, NAME=VALUE.

    def our_produce(self, topic, records, size, codec="none", run_length=256, keys=0, more=()):
        return measure(PENSTOCK, "perf", "produce", "--brokers", self.brokers, "--topic", topic, "--records", records,
                       "--size", size, "--codec", codec, "--run-length", run_length, "--keys", keys,
                       *(LARGE_BATCHES if codec != "none" else ()), *with_x(more))

    def our_consume(self, topic, records, more=()):
        return measure(PENSTOCK, "perf", "consume", "--brokers", self.brokers, "--topic", topic, "--records", records,
                       *with_x(more))

    def rdkafka_produce(self, topic, records, size, codec="none", way="dealt", more=()):
        return measure(BUILD / "rdkafka_produce", self.brokers, topic, self.args.partitions, records, size, codec, way,
                       *more)

    def rdkafka_consume(self, topic, records, more=()):
        return measure(BUILD / "rdkafka_consume", self.brokers, topic, self.args.partitions, records, *more)

    def raw_fetch(self, topic, records):
        return measure(BUILD / "raw_fetch", self.brokers, topic, self.args.partitions, records)

    def java(self, tool, records, *arguments):
        """A tool of Kafka's. Its CPU time has the start of the JVM in it."""
        before = children_cpu()
        said = output_of(ROOT / "scripts/kafka", "tool", self.args.version, f"org.apache.kafka.tools.{tool}", *arguments)
        return said, (children_cpu() - before) * 1e9 / records

    def java_produce(self, topic, records, size, codec="none"):
        said, cpu = self.java("ProducerPerformance", records, "--topic", topic, "--num-records", records, "--record-size",
                              size, "--throughput", "-1", "--producer-props", f"bootstrap.servers={self.brokers}",
                              "batch.size=262144", "linger.ms=5", f"compression.type={codec}", "buffer.memory=67108864")
        rate = float(re.findall(r"([0-9.]+) records/sec", said)[-1])
        return {"records_per_second": rate, "megabytes_per_second": rate * size / 1e6, "cpu_ns_per_record": cpu}

    def java_consume(self, topic, records):
        said, cpu = self.java("ConsumerPerformance", records, "--bootstrap-server", self.brokers, "--topic", topic,
                              "--messages", records, "--timeout", "60000", "--hide-header")
        cells = [c.strip() for c in said.strip().splitlines()[-1].split(",")]
        # The last two columns are of the fetching alone, without the joining of a group.
        return {"records_per_second": float(cells[-1]), "megabytes_per_second": float(cells[-2]) * 1.048576,
                "cpu_ns_per_record": cpu}

    def topic(self, name, partitions=None):
        return contest.create_topic(PENSTOCK, self.brokers, name, partitions or self.args.partitions)

    def compare(self, what, records, contestants):
        """`contestants`: (label, function) pairs, ours first."""
        def measured(title, _, run):
            before = self.kafka.cpu()
            f = run()
            f["broker_ns"] = (self.kafka.cpu() - before) * 1e9 / records
            row(title, f)
            return f
        contest.compare(what, self.args.rounds, contestants, measured)

    def warm_up(self):
        topic = self.topic("warm-up")
        for _ in range(6):  # until its CPU time a record falls no more
            self.our_produce(self.fresh(), self.args.records, 100)
        self.our_produce(topic, self.args.records, 100)
        for _ in range(3):
            self.our_consume(topic, self.args.records)
        output_of(PENSTOCK, "topic", "delete", topic, "--brokers", self.brokers)

    # The parts.

    def consume(self):
        records = self.args.records
        topic = self.topic("consume")
        self.our_produce(topic, records, 100)
        self.our_consume(topic, records)
        self.compare("consume", records, [("penstock", lambda: self.our_consume(topic, records)),
                                          ("librdkafka", lambda: self.rdkafka_consume(topic, records)),
                                          ("java", lambda: self.java_consume(topic, records))])

    def produce(self):
        """A record a call, as each program has them."""
        records = self.args.records
        self.compare("produce", records, [
            ("penstock", lambda: self.our_produce(self.fresh(), records, 100, run_length=1)),
            ("librdkafka", lambda: self.rdkafka_produce(self.fresh(), records, 100, way="records")),
            ("java", lambda: self.java_produce(self.fresh(), records, 100))])

    def runs(self):
        """Many records a call: there librdkafka is at its fastest, most of all when the program names the partitions."""
        records = self.args.records
        self.compare("produce runs", records, [
            ("penstock", lambda: self.our_produce(self.fresh(), records, 100)),
            ("librdkafka", lambda: self.rdkafka_produce(self.fresh(), records, 100, way="batches")),
            ("librdkafka, dealt", lambda: self.rdkafka_produce(self.fresh(), records, 100))])

    def keyed(self):
        """As a program that has one record after the other uses a producer: a key each, and a call."""
        records = self.args.records
        self.compare("produce keyed", records, [
            ("penstock", lambda: self.our_produce(self.fresh(), records, 100, run_length=1, keys=100_000)),
            ("librdkafka", lambda: self.rdkafka_produce(self.fresh(), records, 100, way="keyed"))])

    def fresh(self):
        """A new topic a run; the last one goes, so that the log does not grow without end."""
        number = getattr(self, "number", 0)
        if number:
            output_of(PENSTOCK, "topic", "delete", f"produce-{number}", "--brokers", self.brokers)
            time.sleep(1.5)  # log.segment.delete.delay.ms: its files go, and the broker's time for that is nobody's
        self.number = number + 1
        return self.topic(f"produce-{self.number}")

    def codecs(self):
        records = self.args.records
        for codec in ("lz4", "zstd"):
            self.compare(f"produce {codec}", records, [
                ("penstock", lambda c=codec: self.our_produce(self.fresh(), records, 100, c)),
                ("librdkafka, dealt", lambda c=codec: self.rdkafka_produce(self.fresh(), records, 100, c)),
                ("java", lambda c=codec: self.java_produce(self.fresh(), records, 100, c))])
            topic = self.topic(f"consume-{codec}")
            self.our_produce(topic, records, 100, codec)
            self.compare(f"consume {codec}", records,
                         [("penstock", lambda t=topic: self.our_consume(t, records)),
                          ("librdkafka", lambda t=topic: self.rdkafka_consume(t, records))])

    def sizes(self):
        for size in (1024, 10240):
            records = max(1000, SIZED_BYTES // size)
            topic = self.topic(f"size-{size}")
            self.our_produce(topic, records, size)
            for _ in range(2):
                self.our_consume(topic, records)
            self.compare(f"consume {size} B", records, [
                ("penstock", lambda t=topic, n=records: self.our_consume(t, n)),
                ("bare socket", lambda t=topic, n=records: self.raw_fetch(t, n))])

    def tls(self):
        records, more = self.args.records, self.kafka.client_tls()
        self.compare("produce over TLS", records, [
            ("penstock", lambda: self.our_produce(self.fresh(), records, 100, more=more)),
            ("librdkafka, dealt", lambda: self.rdkafka_produce(self.fresh(), records, 100, more=more))])
        topic = self.topic("tls")
        self.our_produce(topic, records, 100)
        self.our_consume(topic, records, more)
        self.compare("consume over TLS", records, [
            ("penstock", lambda: self.our_consume(topic, records, more)),
            ("librdkafka", lambda: self.rdkafka_consume(topic, records, more))])

    def latency(self):
        rows = {"latency_probe": [], "rdkafka_latency": []}
        for number in range(-1, self.args.rounds):
            for program, found in rows.items():
                topic = self.topic(f"{program}-{number}", 1)
                f = measure(BUILD / program, self.brokers, topic, 10_000, 1000)
                if number < 0:
                    continue  # the broker's compiler has seen it now
                found.append(f)
                print(f"{program:<30} p50 {f['p50_us']:6.0f} us   p90 {f['p90_us']:6.0f} us   p99 {f['p99_us']:6.0f} us   "
                      f"max {f['max_us']:6.0f} us", flush=True)
        for name in ("p50_us", "p99_us"):
            ours, theirs = (statistics.median(f[name] for f in rows[p]) for p in rows)
            print(f"latency {name[:3]}, median of {self.args.rounds}: penstock {ours:.0f} us, librdkafka {theirs:.0f} us")
        print(flush=True)

    def idle(self, seconds=20):
        topic = self.topic("idle", 100)
        consumer = subprocess.Popen([PENSTOCK, "consume", "--brokers", self.brokers, "--topic", topic],
                                    stdout=subprocess.DEVNULL)
        try:
            time.sleep(3)  # it starts
            before = cpu_of(consumer.pid)
            time.sleep(seconds)  # the stretch that is measured
            share = (cpu_of(consumer.pid) - before) / seconds
            resident = resident_mib(consumer.pid)
        finally:
            consumer.terminate()
            consumer.wait(timeout=30)
        print(f"idle consumer of 100 partitions: {share:.2%} of a core, {resident:.1f} MiB\n", flush=True)

    def stalled(self, seconds=10):
        """Nobody reads the consumer's output, which stops it; then a stopped broker stops the producer."""
        topic = self.topic("stalled")
        self.our_produce(topic, 3_000_000, 100)
        consumer = subprocess.Popen([PENSTOCK, "consume", "--brokers", self.brokers, "--topic", topic, "--from-beginning"],
                                    stdout=subprocess.PIPE)
        try:
            consumer.stdout.read(1)  # it has begun
            time.sleep(seconds)
            print(f"consumer with {3_000_000 * 100 >> 20} MiB before it, stalled for {seconds} s: "
                  f"{resident_mib(consumer.pid):.1f} MiB (bound: 64 MiB of records)")
        finally:
            consumer.kill()
            consumer.wait(timeout=30)
        producer = subprocess.Popen([PENSTOCK, "perf", "produce", "--brokers", self.brokers, "--topic", topic,
                                     "--records", "10000000"], stdout=subprocess.DEVNULL)
        try:
            time.sleep(0.3)  # it has begun
            os.kill(self.kafka.pid, signal.SIGSTOP)
            time.sleep(seconds)
            print(f"producer whose broker stood still for {seconds} s: {resident_mib(producer.pid):.1f} MiB "
                  "(buffer.memory: 64 MiB)\n", flush=True)
        finally:
            os.kill(self.kafka.pid, signal.SIGCONT)
            producer.wait(timeout=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", default="4.1.0", help="of Apache Kafka")
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    args = parser.parse_args()
    parts = args.only.split(",")
    if unknown := [p for p in parts if p not in PARTS]:
        parser.error(f"there is no part {unknown[0]}: it is one of {', '.join(PARTS)}")
    for program in ("penstock", "rdkafka_consume", "rdkafka_produce", "rdkafka_latency", "raw_fetch", "latency_probe"):
        if not (BUILD / program).exists():
            sys.exit(f"build/release/{program} is not there: install librdkafka-dev and run ./dev build release")

    log_bytes = 8 * args.records * 120 + 2 * SIZED_BYTES
    with Kafka(args.version, log_bytes, "tls" in parts) as kafka:
        print(f"Apache Kafka {args.version}, its log {'in memory' if kafka.where else 'on disk'}, {args.records} records, "
              f"{args.partitions} partitions, {os.cpu_count()} cores\n", flush=True)
        run = Run(args, kafka)
        run.warm_up()
        for part in parts:
            getattr(run, part)()


if __name__ == "__main__":
    main()
