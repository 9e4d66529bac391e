#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stops a windowed job at random moments, with SIGKILL or SIGTERM, starts it again, and looks at what it wrote.

    job_kill.py --penstock build/dev/penstock --job build/dev/tests/fault/window_job [--stops 4] [--seed N]

kcat feeds the topic `in` while the job counts records per key and second of event time, on two lanes, and commits ten times
a second. At the end kcat reads `out`. Every window must be there (at least once), every row must be the full count: never
one made from the part of a window that was read again after a restart. After stops by SIGTERM alone, which are clean, no
row may be there twice either.
"""
import argparse
import collections
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

from broker_kill import PARTITIONS, Broker

KEYS = 20
STEP_MS = 5  # of event time, from one record of a partition's order to the next
PER_WINDOW = 1000 // STEP_MS  # records of one window, over all keys
A_KEY = PER_WINDOW // KEYS


running = []  # what to end when a run fails


class Job:
    def __init__(self, program, brokers):
        self.command = [program, "--brokers", brokers, "--lanes", "2", "--commit-interval", "100"]
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stderr=subprocess.PIPE, text=True)

    def end(self, with_signal):
        """Returns the status, or exits with what the job said if it ended by itself."""
        early = self.process.poll()
        if early is not None:
            sys.exit(f"the job ended by itself with status {early}: {self.process.stderr.read()}")
        self.process.send_signal(with_signal)
        status = self.process.wait(timeout=60)
        said = self.process.stderr.read()
        self.process.stderr.close()
        if with_signal == signal.SIGTERM and status != 0:
            sys.exit(f"the job ended with status {status} on SIGTERM: {said}")


def rows(address):
    out = subprocess.run(["kcat", "-C", "-q", "-e", "-b", address, "-t", "out", "-o", "beginning", "-f", "%k %s\\n"],
                         stdout=subprocess.PIPE, text=True, timeout=120, check=True).stdout
    return [(key, int(start), int(count)) for key, start, count in (line.split() for line in out.splitlines())]


def feed(producer, first, records):
    """Whole rounds of the keys, so that every window has the same number of each."""
    for n in range(first, first + records):
        producer.stdin.write(f"k{n % KEYS}:{n * STEP_MS}\n")
    producer.stdin.flush()
    return first + records


def one_run(args, how, rng):
    with tempfile.TemporaryDirectory(prefix="penstock-job-") as directory:
        broker = Broker(args.penstock, os.path.join(directory, "data"))
        broker.start()
        running.append(broker)
        for topic in ("in", "out"):
            subprocess.run([args.penstock, "topic", "create", topic, "--partitions", str(PARTITIONS), "--brokers",
                            broker.address, "--config", "retention.ms=-1"],  # the records say that it is 1970
                           check=True, stdout=subprocess.DEVNULL)
        # murmur2: each key in one partition, in order. No linger: the job has something to do all the time.
        producer = subprocess.Popen(["kcat", "-P", "-b", broker.address, "-t", "in", "-K:", "-X", "linger.ms=1", "-X",
                                     "topic.partitioner=murmur2_random"], stdin=subprocess.PIPE, text=True)
        job = Job(args.job, broker.address)
        job.start()
        running.append(job)
        records = 0
        for _ in range(args.stops):
            until = time.monotonic() + rng.uniform(0.2, 1.0)  # the random moment
            while time.monotonic() < until:
                records = feed(producer, records, PER_WINDOW)
                time.sleep(0.01)  # the pace of the load
            job.end(how)
            job.start()
        # The last records push the watermark of every partition over all windows before them.
        windows = records // PER_WINDOW
        feed(producer, records, 2 * PER_WINDOW)
        producer.stdin.close()
        if producer.wait(timeout=60) != 0:
            sys.exit("kcat could not write the input")

        wanted = {(f"k{k}", w * 1000) for k in range(KEYS) for w in range(windows)}
        deadline = time.monotonic() + 60
        while True:
            got = rows(broker.address)
            counts = collections.Counter((key, start) for key, start, _ in got)
            if wanted <= counts.keys():
                break
            if time.monotonic() > deadline:
                missing = sorted(wanted - counts.keys())
                sys.exit(f"{len(missing)} of {len(wanted)} windows are missing, the first {missing[0]}")
            time.sleep(0.1)  # the job writes; kcat reads to the end and looks again
        partial = [row for row in got if row[2] != A_KEY]
        if partial:
            sys.exit(f"{len(partial)} rows are not the count of their whole window, {A_KEY}: the first {partial[0]}")
        again = sum(c - 1 for c in counts.values())
        if how == signal.SIGTERM and again:
            sys.exit(f"{again} rows are there twice though every stop was clean")
        job.end(signal.SIGTERM)
        broker.stop()
        running.clear()
        return f"{args.stops} x {how.name}: {len(wanted)} windows of {records} records complete, {again} rows repeated"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--penstock", required=True, help="the binary")
    parser.add_argument("--job", required=True, help="the program window_job")
    parser.add_argument("--stops", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--with", dest="signals", choices=("SIGKILL", "SIGTERM"), help="only this one")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    args = parser.parse_args()
    args.penstock, args.job = os.path.abspath(args.penstock), os.path.abspath(args.job)
    print(f"seed {args.seed}", flush=True)
    rng = random.Random(args.seed)
    for _ in range(args.rounds):
        for how in (signal.SIGKILL, signal.SIGTERM):
            if args.signals in (None, how.name):
                print(one_run(args, how, rng), flush=True)


if __name__ == "__main__":
    try:
        main()
    finally:
        for one in running:
            if one.process.poll() is None:
                one.process.kill()
                one.process.wait()
