#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The client's transactions on real Kafka, judged by kcat.

    transactional_copy.py --program build/dev/transaction_program [--proxy build/dev/kafka_proxy] [--kafka 4.1.0]
                          [--kills 8] [--records 20000] [--transactions 150] [--seed N]

1. Verdicts: transactions are committed and aborted while the proxy loses requests and answers of EndTxn and delivers
   some of them late (and, where the broker can tell them apart, twice); what the client says of each must be what a
   read_committed kcat sees: all of it or nothing.
2. A transaction that a process leaves is committed by another one with its producer id and epoch, twice.
3. A copy with offsets inside the transactions is killed with SIGKILL again and again; its output must be its input, each
   record once and in order, and while it runs read_uncommitted may see more than read_committed, never the other way.
Exits 77 where Java, kcat or the jars are not to be had.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

KAFKA = Path(__file__).resolve().parents[2] / "scripts" / "kafka"
PARTITIONS = 4
SECONDS = 180


class Wrong(Exception):
    """What must not be."""


def run(*command: object, data: str | None = None) -> str:
    done = subprocess.run([str(c) for c in command], input=data, capture_output=True, text=True, timeout=SECONDS)
    if done.returncode != 0:
        raise Wrong(f"{' '.join(str(c) for c in command[:4])} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def consume(brokers: str, topic: str, partition: int, level: str = "read_committed") -> list[str]:
    return run("kcat", "-b", brokers, "-C", "-t", topic, "-p", partition, "-o", "beginning", "-e", "-q", "-X",
               f"isolation.level={level}").splitlines()


class Proxy:
    """kafka_proxy before a broker, or no proxy at all: then it is the broker's address."""

    def __init__(self, program: str | None, broker: str, seed: int):
        self.process = None
        self.address = broker
        if program:
            self.process = subprocess.Popen([program, broker, "0", str(seed)], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, text=True, bufsize=1)
            self.address = self.process.stdout.readline().split()[-1]

    def command(self, line: str) -> str:
        if not self.process:
            return ""
        self.process.stdin.write(line + "\n")
        while True:
            answer = self.process.stdout.readline()
            if answer.startswith("error") or not answer:
                raise Wrong(f"the proxy says {answer!r} to {line}")
            if answer.startswith("ok"):
                return answer

    def close(self) -> None:
        if self.process:
            self.process.stdin.close()
            self.process.stdout.read()  # what it still has to say
            self.process.wait(30)


def verdicts(args, brokers: str, seed: int) -> None:
    run(args.program, brokers, "create", "verdicts", PARTITIONS)
    proxy = Proxy(args.proxy, brokers, seed)
    implicit = tuple(int(n) for n in args.kafka.split(".")) >= (4, 0)
    faults = ["cut-after api=end_txn chance=0.12", "cut-before api=end_txn chance=0.06",
              "late api=end_txn chance=0.12 ms=1-400", "cut-after api=init_producer_id chance=0.1"]
    faults += ["replay api=end_txn chance=0.2 ms=1-300", "late api=produce chance=0.02 ms=1-300"] if implicit else [
        "cut-after api=add_partitions_to_txn chance=0.04", "cut-before api=produce chance=0.02"]
    for fault in faults:
        proxy.command(f"rule {fault} times=0")
    try:
        lines = run(args.program, proxy.address, "verdicts", "verdicts", "verdicts", PARTITIONS, args.transactions,
                    seed).splitlines()
        stats = proxy.command("stats").strip()
        time.sleep(0.5)  # what the proxy holds back comes within 0.4 s
    finally:
        proxy.close()
    run(args.program, brokers, "verdicts", "verdicts", "verdicts", PARTITIONS, 0, 0)  # ends what was left open
    seen = [Counter(consume(brokers, "verdicts", p)) for p in range(PARTITIONS)]
    told = dict(line.split() for line in lines[1:])
    if len(told) != args.transactions:
        raise Wrong(f"{len(told)} verdicts of {args.transactions} transactions")
    for n, verdict in told.items():
        counts = {s[n] for s in seen}
        allowed = {"committed": [{1}], "aborted": [{0}], "unknown": [{0}, {1}]}[verdict]
        if counts not in allowed:
            raise Wrong(f"transaction {n}: the client said {verdict}, its records are there {counts} times")
    print(f"verdicts: {dict(Counter(told.values()))} ({lines[0]}, {stats or 'without a proxy'})")


def resume(args, brokers: str) -> None:
    run(args.program, brokers, "create", "resumed", 1)
    producer = run(args.program, brokers, "leave", "resumed", "resumed", "left").split()
    if consume(brokers, "resumed", 0):
        raise Wrong("an open transaction is visible")
    for _ in range(2):
        run(args.program, brokers, "resume", "resumed", *producer)
        if consume(brokers, "resumed", 0) != ["left"]:
            raise Wrong("a transaction that another process committed is not visible once")
    print("resume: a left transaction was committed by two other processes, once")


def copy(args, brokers: str, seed: int) -> None:
    for topic in ("in", "out"):
        run(args.program, brokers, "create", topic, PARTITIONS)
    expected = []
    for p in range(PARTITIONS):
        expected.append([f"{p}-{n}-" + "x" * 80 for n in range(args.records)])
        run("kcat", "-b", brokers, "-P", "-t", "in", "-p", p, data="".join(v + "\n" for v in expected[p]))
    chance = random.Random(seed)
    total = PARTITIONS * args.records
    dirty = 0
    with tempfile.TemporaryFile("w+") as complaints:
        for round_ in range(args.kills + 1):
            process = subprocess.Popen([args.program, brokers, "copy", "copy", "in", "out", str(PARTITIONS), "50"],
                                       stdout=subprocess.PIPE, stderr=complaints, text=True)
            try:
                if round_ < args.kills:
                    process.stdout.readline()  # it runs
                    time.sleep(chance.uniform(0.02, 0.4))
                else:
                    finish(process, brokers, total, complaints)
            finally:
                process.kill()
                process.wait()
            if round_ < 3:
                open_ = len(consume(brokers, "out", 0, "read_uncommitted")) - len(consume(brokers, "out", 0))
                if open_ < 0:
                    raise Wrong("more is committed than written")
                dirty += open_
    for p in range(PARTITIONS):
        got = consume(brokers, "out", p)
        if got != expected[p]:
            twice = [v for v, n in Counter(got).items() if n > 1]
            raise Wrong(f"partition {p}: {len(got)} records instead of {len(expected[p])}, {len(twice)} of them more "
                        f"than once, {len(set(expected[p]) - set(got))} lost, or out of order")
    print(f"copy: {total} records through {args.kills} kills, each once and in order; {dirty} uncommitted ones seen")


def finish(process, brokers: str, total: int, complaints) -> None:
    """Waits until the copy has nothing left: its output is as long as its input."""
    deadline = time.monotonic() + SECONDS
    idle, last = 0, None
    for line in process.stdout:
        if line.startswith("read "):
            idle, last = (idle + 1, last) if line == last else (0, line)
        if idle > 20:
            return
        if time.monotonic() > deadline:
            break
    complaints.seek(0)
    raise Wrong(f"the copy of {total} records on {brokers} did not end: {complaints.read()[-2000:]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--proxy")
    parser.add_argument("--kafka", default="4.1.0")
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--records", type=int, default=20000)
    parser.add_argument("--transactions", type=int, default=150)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--bench", type=int, default=0, help="records to produce with and without transactions")
    args = parser.parse_args()
    if not all(shutil.which(program) for program in ("java", "kcat")):
        print("java and kcat are needed")
        return 77
    print(f"Kafka {args.kafka}, seed {args.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        started = subprocess.run([KAFKA, "start", args.kafka, "--dir", directory + "/kafka", "--seconds", "900"],
                                 capture_output=True, text=True)
        if started.returncode != 0:
            print(started.stderr or started.stdout)
            return 77
        brokers = started.stdout.split()[-1]
        try:
            verdicts(args, brokers, args.seed)
            resume(args, brokers)
            copy(args, brokers, args.seed)
            if args.bench:
                run(args.program, brokers, "create", "bench", PARTITIONS)
                for length in (0, 100, 0, 100):
                    print(f"{length} ms:", run(args.program, brokers, "bench", "bench", "bench", PARTITIONS, args.bench,
                                               length).strip(), flush=True)
        except Wrong as why:
            print(f"WRONG: {why} (seed {args.seed})")
            return 1
        finally:
            subprocess.run([KAFKA, "stop", "--dir", directory + "/kafka"], capture_output=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
