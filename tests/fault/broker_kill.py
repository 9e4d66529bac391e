#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills the embedded broker with SIGKILL under load, at random moments, and looks at what is left.

    broker_kill.py --penstock build/dev/penstock [--rounds 3] [--kills 3] [--seed N]

In each round two producers write numbered records while the broker is killed and started again on the same port: kcat
(librdkafka, idempotent) and `penstock produce`. Both retry, and end with status 0 only when every record was
acknowledged. Then kcat, which shares no code with the broker, reads the log: every record must be there, none twice, and
each partition in the order in which it was written (SEMANTICS.md E18, E20).
"""
import argparse
import collections
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

PARTITIONS = 3


class Broker:
    """A broker process on a fixed port, once the first start has chosen it."""

    def __init__(self, penstock, directory, options=()):
        self.penstock, self.directory, self.port, self.process = penstock, directory, 0, None
        self.options = options

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen([self.penstock, "broker", "--dir", self.directory, "--listen", self.address,
                                         *self.options],
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline().strip()
        if not line.startswith("listening on "):
            sys.exit(f"the broker did not start: {line!r}")
        self.port = int(line.rsplit(":", 1)[1])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=30)
        self.process.stdout.close()
        if status != 0:
            sys.exit(f"the broker ended with status {status} on SIGTERM")


class Load(threading.Thread):
    """Feeds numbered lines to a producer program until told to finish; then waits for its verdict."""

    def __init__(self, name, command, ahead):
        super().__init__(daemon=True)
        self.name, self.ahead = name, ahead
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.written, self.status, self.finish = 0, None, threading.Event()
        self.errors = []
        self.drain = threading.Thread(target=lambda: self.errors.extend(self.process.stderr), daemon=True)
        self.drain.start()

    def run(self):
        try:
            while not self.finish.is_set():
                for _ in range(self.ahead):
                    n = self.written
                    self.process.stdin.write(f"k{n % 50}:{n}\n")
                    self.written += 1
                self.process.stdin.flush()
                self.finish.wait(0.005)  # the pace of the load, not a wait for anything
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # the verdict below says why it ended
        self.status = self.process.wait()
        self.drain.join()


def read_topic(address, topic):
    """Every record of the topic as (partition, offset, number), read by kcat to the end of each partition."""
    out = subprocess.run(["kcat", "-C", "-q", "-e", "-b", address, "-t", topic, "-o", "beginning", "-f", "%p %o %s\\n"],
                         stdout=subprocess.PIPE, text=True, timeout=120, check=True).stdout
    return [tuple(map(int, line.split())) for line in out.splitlines()]


def check(load, records):
    """Sentences that say what is wrong; none when all is well."""
    problems = []
    if load.status != 0:
        problems.append(f"{load.name} ended with status {load.status}: {''.join(load.errors)[-500:]}")
    counts = collections.Counter(number for _, _, number in records)
    lost = [n for n in range(load.written) if n not in counts]
    twice = [n for n, c in counts.items() if c > 1]
    strange = [n for n in counts if not 0 <= n < load.written]
    for what, numbers in (("lost", lost), ("there twice", twice), ("never written", strange)):
        if numbers:
            problems.append(f"{load.name}: {len(numbers)} of {load.written} records {what}, the first {numbers[0]}")
    for partition in range(PARTITIONS):
        mine = [(offset, number) for p, offset, number in records if p == partition]
        if mine != sorted(mine) or [n for _, n in mine] != sorted(n for _, n in mine):
            problems.append(f"{load.name}: partition {partition} is out of order")
    return problems


def one_round(penstock, kills, rng):
    with tempfile.TemporaryDirectory(prefix="penstock-kill-") as directory:
        broker = Broker(penstock, os.path.join(directory, "data"))
        broker.start()
        for topic in ("by-kcat", "by-penstock"):
            subprocess.run([penstock, "topic", "create", topic, "--partitions", str(PARTITIONS), "--brokers",
                            broker.address], check=True, stdout=subprocess.DEVNULL)
        loads = {
            "by-kcat": Load("kcat", ["kcat", "-P", "-E", "-b", broker.address, "-t", "by-kcat", "-K:",
                                     "-X", "enable.idempotence=true", "-X", "message.timeout.ms=60000",
                                     "-X", "reconnect.backoff.max.ms=200"], 100),
            "by-penstock": Load("penstock produce", [penstock, "produce", "--brokers", broker.address, "--topic",
                                                     "by-penstock", "-K", ":"], 100),
        }
        for load in loads.values():
            load.start()
        for _ in range(kills):
            time.sleep(rng.uniform(0.05, 0.8))  # the random moment
            broker.kill()
            broker.start()
        time.sleep(rng.uniform(0.05, 0.3))
        for load in loads.values():
            load.finish.set()
        problems = []
        for topic, load in loads.items():
            load.join(timeout=90)
            if load.is_alive():
                load.process.kill()
                load.join()
                problems.append(f"{load.name} did not end: {''.join(load.errors)[-500:]}")
            problems += check(load, read_topic(broker.address, topic))
        broker.stop()
        return problems, sum(load.written for load in loads.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--penstock", required=True, help="the binary")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=3, help="in each round")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    rng = random.Random(args.seed)
    records = 0
    for number in range(args.rounds):
        problems, written = one_round(os.path.abspath(args.penstock), args.kills, rng)
        if problems:
            sys.exit("\n".join([f"round {number + 1}, seed {args.seed}:"] + problems))
        records += written
    print(f"{args.rounds * args.kills} kills, {records} acknowledged records: none lost, none twice, all in order")


if __name__ == "__main__":
    main()
