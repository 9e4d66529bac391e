#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random faults of the network between our producer and consumers and a broker, and a look at what came through.

    network_faults.py --penstock build/dev/penstock --proxy build/dev/tests/support/kafka_proxy
                      [--faults 40] [--seed N] [--against 4.1.0]

`penstock produce` writes numbered records (idempotent, five requests in flight) and two `penstock consume` read them,
one alone and one as the member of a group, all through a proxy that cuts, delays, swallows, repeats and holds back
single requests at random. In the end kcat reads the log directly from the broker: every acknowledged record must be
there, none twice, each partition in the order of sending. The reader must have seen exactly the log, the group at least
all of it, in order but for what it read again after it had lost its place.
"""
import argparse
import collections
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "conformance"), str(TESTS / "support")]
from harness import SKIPPED, Failed, Kafka, Missing, Penstock, make_topic, need  # noqa: E402
from proxy import Proxy  # noqa: E402

PARTITIONS = 3
# How often which request meets something, of those that come again and again or with each new connection.
APIS = {"produce": 50, "fetch": 25, "metadata": 6, "api_versions": 5, "offset_commit": 5, "heartbeat": 3,
        "find_coordinator": 2, "init_producer_id": 1, "join_group": 1, "sync_group": 1, "list_offsets": 1}
FAULTS = {"cut-before": 20, "cut-inside": 10, "cut-after": 20, "cut-answer": 10, "delay-request ms=1-150": 8,
          "delay-answer ms=1-150": 8, "blackhole ms=50-300": 6, "blackhole-answer ms=50-300": 6, "replay ms=0-100": 6,
          "late ms=0-200": 6}


class Load(threading.Thread):
    """Feeds numbered lines to the producer until told to finish; then waits for its verdict."""

    def __init__(self, command: list[str]):
        super().__init__(daemon=True)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.written, self.status, self.finish = 0, None, threading.Event()
        self.errors: list[str] = []
        self.drain = threading.Thread(target=lambda: self.errors.extend(self.process.stderr), daemon=True)
        self.drain.start()

    def run(self) -> None:
        try:
            while not self.finish.is_set():
                for _ in range(20):
                    self.process.stdin.write(f"k{self.written % 50}:{self.written}\n")
                    self.written += 1
                self.process.stdin.flush()
                self.finish.wait(0.005)  # the pace of the load, not a wait for anything
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # the verdict below says why it ended
        self.status = self.process.wait()
        self.drain.join()


class Reader(threading.Thread):
    """Collects (partition, offset, number) from a consumer as it prints them."""

    def __init__(self, name: str, command: list[str]):
        super().__init__(daemon=True)
        self.name = name
        self.process = subprocess.Popen([*command, "--format", r"%p %o %s\n"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.records: list[tuple[int, ...]] = []
        self.offsets: set[tuple[int, int]] = set()
        self.errors: list[str] = []
        self.news = threading.Condition()
        self.drain = threading.Thread(target=lambda: self.errors.extend(self.process.stderr), daemon=True)
        self.drain.start()
        self.start()

    def run(self) -> None:
        for line in self.process.stdout:
            with self.news:
                self.records.append(tuple(map(int, line.split())))
                self.offsets.add(self.records[-1][:2])
                self.news.notify_all()

    def wait_for(self, offsets: set[tuple[int, int]], seconds: float) -> bool:
        with self.news:
            return self.news.wait_for(lambda: self.offsets >= offsets or self.process.poll() is not None, seconds) \
                and self.offsets >= offsets

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.join(10)
        self.drain.join(10)
        self.process.stdout.close()
        self.process.stderr.close()


def read_log(address: str, topic: str) -> list[tuple[int, ...]]:
    """Every record of the topic as kcat reads it, directly from the broker."""
    out = subprocess.run(["kcat", "-C", "-q", "-e", "-b", address, "-t", topic, "-o", "beginning", "-f", "%p %o %s\\n"],
                         stdout=subprocess.PIPE, text=True, timeout=120, check=True).stdout
    return [tuple(map(int, line.split())) for line in out.splitlines()]


def of_partition(records: list[tuple[int, ...]], partition: int) -> list[tuple[int, int]]:
    return [(offset, number) for p, offset, number in records if p == partition]


def check_log(load: Load, log: list[tuple[int, ...]]) -> list[str]:
    """Sentences that say what is wrong; none when all is well."""
    problems = []
    if load.status != 0:
        problems.append(f"the producer ended with status {load.status}: {''.join(load.errors)[-500:]}")
    counts = collections.Counter(number for _, _, number in log)
    for what, numbers in (("lost", [n for n in range(load.written) if n not in counts]),
                          ("there twice", [n for n, c in counts.items() if c > 1]),
                          ("never written", [n for n in counts if not 0 <= n < load.written])):
        if numbers:
            problems.append(f"{len(numbers)} of {load.written} records {what}, the first {numbers[0]}")
    for partition in range(PARTITIONS):
        mine = of_partition(log, partition)
        if [n for _, n in mine] != sorted(n for _, n in mine):
            problems.append(f"partition {partition} of the log is out of order")
    return problems


def check_reader(reader: Reader, log: list[tuple[int, ...]], again: bool) -> list[str]:
    """`again`: it may have read records twice, because it went back to what was committed."""
    problems = []
    if set(reader.records) != set(log):
        missing, strange = set(log) - set(reader.records), set(reader.records) - set(log)
        problems.append(f"{reader.name} has not read {len(missing)} records, and {len(strange)} others: "
                        f"{sorted(missing)[:3]} {sorted(strange)[:3]} {''.join(reader.errors)[-500:]}")
    elif not again:
        for partition in range(PARTITIONS):
            if of_partition(reader.records, partition) != of_partition(log, partition):
                problems.append(f"{reader.name} read partition {partition} out of order, or parts of it twice")
    else:
        for partition in range(PARTITIONS):
            offsets = [offset for offset, _ in of_partition(reader.records, partition)]
            if any(b > a + 1 for a, b in zip(offsets, offsets[1:])):
                problems.append(f"{reader.name} left records of partition {partition} out")
    return problems


def choose(rng: random.Random, weights: dict[str, int]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def disturb(proxy: Proxy, faults: int, rng: random.Random, seconds: float) -> collections.Counter:
    """One fault after the other, until so many requests have met one. What met which fault, by name."""
    met: collections.Counter = collections.Counter()
    deadline = time.monotonic() + seconds
    while sum(met.values()) < faults and time.monotonic() < deadline:
        api, what = choose(rng, APIS), choose(rng, FAULTS)
        number = proxy.rule(f"{what} api={api}")
        if proxy.wait_met(number, 1 if api in ("produce", "fetch") else 0.3):
            met[f"{what.split()[0]} {api}"] += 1
        else:
            proxy.command("clear")  # nobody sends such a request just now
        time.sleep(rng.uniform(0, 0.1))  # the random moment of the next
    return met


def one_run(args: argparse.Namespace, broker, rng: random.Random) -> tuple[list[str], str]:
    topic = "numbers"
    make_topic(broker.address, topic, PARTITIONS, {})
    proxy = Proxy(args.proxy, broker.address, rng.getrandbits(32))
    at = ["--brokers", proxy.address, "--topic", topic]
    load = Load([args.penstock, "produce", *at, "-K", ":"])
    readers = [Reader("the reader", [args.penstock, "consume", *at, "--from-beginning"]),
               Reader("the group", [args.penstock, "consume", *at, "--from-beginning", "--group", "g"])]
    problems: list[str] = []
    try:
        load.start()
        met = disturb(proxy, args.faults, rng, args.seconds)
        proxy.command("clear")
        load.finish.set()
        load.join(90)
        if load.is_alive():
            problems.append("the producer did not end")
            load.process.kill()
            load.join()
        log = read_log(broker.address, topic)
        problems += check_log(load, log)
        for reader in readers:
            reader.wait_for({record[:2] for record in log}, 60)
    finally:
        load.process.kill()
        for reader in readers:
            reader.stop()
        proxy.close()
    for reader in readers:
        problems += check_reader(reader, log, again=reader.name == "the group")
    if sum(met.values()) < args.faults:
        problems.append(f"only {sum(met.values())} faults of {args.faults} were possible in {args.seconds} s")
    kinds: collections.Counter = collections.Counter()
    for name, count in met.items():
        kinds[name.split()[0]] += count
    again = len(readers[1].records) - len(log)
    return problems, (f"{sum(met.values())} faults ({', '.join(f'{c} {k}' for k, c in sorted(kinds.items()))}), "
                      f"{len(log)} acknowledged records: none lost, none twice, all in order; "
                      f"the group read {again} again")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--penstock", required=True, help="the binary")
    parser.add_argument("--proxy", required=True, help="kafka_proxy")
    parser.add_argument("--against", default="penstock", help="penstock (default), or a version of Apache Kafka")
    parser.add_argument("--faults", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=300, help="at most, for the faults")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="penstock-network-") as name:
        data = Path(name) / "broker"
        try:
            need("kcat")
            broker = Penstock(args.penstock, data) if args.against == "penstock" else Kafka(args.against, data)
        except Missing as missing:
            print(f"skipped: {missing}")
            return SKIPPED
        try:
            broker.start()
            began = time.monotonic()
            problems, summary = one_run(args, broker, random.Random(args.seed))
        except Failed as failure:
            problems, summary = [str(failure)], ""
        finally:
            broker.close()
    if problems:
        print("\n".join([f"against {broker.name}, seed {args.seed}:", *problems]))
        return 1
    print(f"against {broker.name}: {summary} [{time.monotonic() - began:.1f} s]")
    return 0


if __name__ == "__main__":
    sys.exit(main())
