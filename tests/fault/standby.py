#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hot standbys: when the process that works is gone, another one goes on with its state, exactly once.

    standby.py --penstock build/dev/penstock --job build/dev/eos_count [--rounds 3] [--kafka 4.1.0] [--session 1000]

A chain of eos_count processes counts what a producer writes; there are always two, of which one works. The one that works is
killed with SIGKILL, asked to leave with SIGTERM, or stopped with SIGSTOP until it is replaced and then let go on. Each time
the other one must go on, by itself, after the session's time (after SIGTERM: at once); the times are printed. In the end
the judge of exactly_once.py decides: every record is counted once, in order, and the state is what was counted.
"""
import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

from broker_kill import PARTITIONS, Broker
from exactly_once import Check, Feeder, Job, Kafka, Wrong


class Watch(threading.Thread):
    """Counts committed results as they come."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.process = subprocess.Popen(["kcat", "-C", "-q", "-u", "-b", address, "-t", "out", "-o", "beginning", "-X",
                                         "isolation.level=read_committed", "-X", "fetch.wait.max.ms=5", "-f", "%o\n"],
                                        stdout=subprocess.PIPE)
        self.seen, self.news = 0, threading.Condition()
        self.start()

    def run(self):
        for _ in self.process.stdout:
            with self.news:
                self.seen += 1
                self.news.notify_all()

    def await_more(self, than, seconds, what):
        with self.news:
            if not self.news.wait_for(lambda: self.seen > than, seconds):
                raise Wrong(f"no result after {seconds} s: {what}")

    def close(self):
        self.process.kill()
        self.process.wait()


def await_word(job, words, seconds=30):
    if not job.says(words, seconds):
        raise Wrong(f"the job did not say {words!r} but {job.said[-5:]}")


class Chain:
    def __init__(self, args, address, rng):
        self.args, self.address, self.rng = args, address, rng
        self.works = self.follows = self.start()
        self.watch = None

    def start(self):
        return Job(self.args.job, self.address, self.rng.randint(1, 3),
                   arguments=["--in", "in", "--out", "out", "--app", "counter", f"--standby={self.args.session}"])

    def replace(self, how):
        self.follows = follower = self.start()
        await_word(follower, "stands by")
        self.watch.await_more(self.watch.seen, 20, "while both are there")
        began = time.monotonic()
        if how != signal.SIGTERM:
            self.works.process.send_signal(how)
        else:  # once: a second one ends it at once
            status = self.works.end(how)
            if status != 0:
                raise Wrong(f"the job that was to leave ended with {status} and said {self.works.said[-5:]}")
        await_word(follower, "takes over")
        turn = time.monotonic() - began
        self.watch.await_more(self.watch.seen, 20, f"from the one that took over, which said {follower.said[-5:]}")
        result = time.monotonic() - began
        if how == signal.SIGTERM and turn > self.args.session / 1000:
            raise Wrong(f"the work was handed over after {turn:.2f} s only, although the other one had left")
        if how == signal.SIGSTOP:  # it has been replaced, and does not know
            self.works.process.send_signal(signal.SIGCONT)
            await_word(self.works, "stands by")
            self.watch.await_more(self.watch.seen, 20, "after the one that was replaced came back")
        if how != signal.SIGTERM:
            self.works.end(signal.SIGKILL)
        print(f"{how.name}: the turn after {turn:.2f} s, the first committed result after {result:.2f} s", flush=True)
        self.works = follower


def run(args, directory, rng):
    if args.kafka:
        broker = Kafka(args.kafka, directory + "/kafka")
    else:
        broker = Broker(args.penstock, directory + "/data", ["--group-min-session-ms", str(args.session)])
    broker.start()
    address = broker.address
    chain = feeder = None
    try:
        for topic in ("in", "out"):
            subprocess.run([args.penstock, "topic", "create", topic, "--partitions", str(PARTITIONS), "--brokers", address],
                           check=True, stdout=subprocess.DEVNULL)
        feeder = Feeder(address, args.seed)
        feeder.start()
        chain = Chain(args, address, rng)
        chain.watch = Watch(address)
        chain.watch.await_more(0, 30, f"of the first one, which said {chain.works.said}")
        for _ in range(args.rounds):
            for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP):
                chain.replace(how)
        feeder.stop.set()
        feeder.join()
        check = Check(address)
        wanted, deadline = len(check.inputs()), time.monotonic() + 60
        while chain.watch.seen < wanted and time.monotonic() < deadline:
            chain.watch.await_more(chain.watch.seen, 60, f"{chain.watch.seen} of {wanted} are counted")
        if chain.works.end(signal.SIGTERM) != 0:
            raise Wrong(f"the last one said {chain.works.said[-5:]}")
        print(f"{check.verify(True)} records counted once, in order, state equal, by {3 * args.rounds + 1} processes")
    finally:
        if feeder:
            feeder.process.kill()  # what holds the output open would keep who reads it waiting
        if chain:
            for job in (chain.works, chain.follows):
                job.end(signal.SIGKILL)
            if chain.watch:
                chain.watch.close()
        broker.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--penstock", required=True)
    parser.add_argument("--job", required=True)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--session", type=int, default=1000, help="milliseconds of silence until one is replaced")
    parser.add_argument("--kafka", help="the version of Apache Kafka to run against, instead of the embedded broker")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    args = parser.parse_args()
    args.penstock, args.job = os.path.abspath(args.penstock), os.path.abspath(args.job)
    if args.kafka:
        args.session = max(args.session, 6000)
    print(f"seed {args.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="penstock-standby-") as directory:
        try:
            run(args, directory, random.Random(args.seed))
        except Wrong as why:
            print(f"WRONG: {why} (seed {args.seed})")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
