#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Faults at every step of an epoch, judged by kcat: what eos_count writes must be what one run without faults writes.

    exactly_once.py --penstock build/dev/penstock --job build/dev/eos_count [--faults 150] [--seed N] [--break RULE]
                    [--kafka 4.1.0] [--proxy build/dev/tests/support/kafka_proxy]

One job counts the records of each key while a producer writes on. Again and again it is started with a fault at one of
its failpoints (src/io/failpoint.h): it kills itself there, or the step fails, or takes longer; or it is killed or stopped
from outside at a random moment; with --proxy, requests that decide a transaction are lost, delayed or delivered twice;
and the embedded broker is killed and started again. Now and then, and at the end, everything is read back with
read_committed:

  * each input record has one output record, with its key (nothing lost, nothing twice);
  * the outputs of a key are 1, 2, 3 ... and name its input records in their order;
  * what the same epochs wrote to a second topic is there too, or neither is;
  * the state in the changelog, folded, is the number of records of each key;
  * all of that becomes readable within seconds: no transaction is left open.

The reader is kcat (librdkafka) and the check is below: neither shares code with the engine or its client.
`--break RULE` leaves a rule of the engine out on purpose and expects that the check notices: offsets-outside,
state-before-commit, no-fencing.
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
from pathlib import Path

from broker_kill import PARTITIONS, Broker

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from proxy import Proxy

KAFKA = Path(__file__).resolve().parents[2] / "scripts" / "kafka"
KEYS = 60
INTERVAL_MS = 25
START = """take_over.before take_over.after take_over.connected producer.init discover.before discover.offsets
changelogs.before changelogs.made sinks.prepare lane.open restore.before changelog.lookup changelog.read
changelog.read_all restore.operator restore.after""".split()
RUN = """lane.step source.poll source.records channel.write producer.append epoch.begin barrier.before barrier.after
state.save.before changelog.put state.save.after operator.acknowledged lane.acknowledged state.flush.before
changelog.flush channel.flush channel.sealed state.flush.after epoch.transact commit.posted commit.begin
commit.offsets_asked commit.asked commit.offsets_written channel.next_epoch.before channel.next_epoch.after
commit.answered epoch.committed epoch.over""".split()
STOP = ["epoch.last"]
# Steps behind the point of no return, where there is nothing left that could fail.
CANNOT_FAIL = ("channel.next_epoch.before", "channel.next_epoch.after", "commit.asked", "commit.offsets_written")
ACTIONS = ("kill", "error", "delay:150")


def possible(point, action):
    return action != "error" or point not in CANNOT_FAIL


# What the proxy does to a request, and whether the broker must know transaction.version 2: before, one that is delivered
# twice or long after is not told from one of the next transaction.
ON_THE_WAY = (("cut-after api=end_txn", False), ("cut-before api=end_txn", False),
              ("delay-answer api=end_txn ms=50-400", False),
              ("delay-request api=end_txn ms=50-400", False), ("cut-answer api=end_txn", False),
              ("late api=end_txn ms=1-400", True), ("replay api=end_txn ms=1-300", True),
              ("cut-after api=init_producer_id", False), ("cut-after api=produce", False),
              ("cut-after api=txn_offset_commit", False), ("replay api=txn_offset_commit ms=1-300", True))


class Wrong(Exception):
    """What must not be."""


def kcat(address, *arguments):
    return subprocess.run(["kcat", "-b", address, *arguments], stdout=subprocess.PIPE, timeout=120, check=True).stdout


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def count_of(row):
    """A row of the function's state: how many columns, each with its length; the first is the count, zigzag."""
    _, at = varint(row, 0)
    _, at = varint(row, at)
    raw, _ = varint(row, at + 1)  # behind the byte that says whether it expires
    return (raw >> 1) ^ -(raw & 1)


class Check:
    def __init__(self, address, also=""):
        self.address, self.also = address, also

    def read(self, topic, form):
        """Records as lists of fields; a field separator that no key or value here has."""
        out = kcat(self.address, "-C", "-q", "-e", "-t", topic, "-o", "beginning", "-X", "isolation.level=read_committed",
                   "-f", form)
        return [line.split(b"|", form.count("|")) for line in out.split(b"\x01\n") if line]

    def inputs(self):
        return [(int(p), int(o), k.decode()) for p, o, k in self.read("in", "%p|%o|%k\x01\n")]

    def outputs(self, topic="out"):
        rows = []
        for p, o, k, v, h in self.read(topic, "%p|%o|%k|%s|%h\x01\n"):
            header = h.decode()
            if not header.startswith("src="):
                raise Wrong(f"an output record has the headers {header!r}")
            rows.append((int(p), int(o), k.decode(), int(v), tuple(int(n) for n in header[4:].split(":"))))
        return rows

    def of_both_topics(self):
        """While no job runs: an epoch that is open, or whose markers are on their way, ends by itself."""
        deadline = time.monotonic() + 40
        while True:
            rows, others = self.outputs(), self.outputs(self.also)
            first, second = ({(key, count, src) for _, _, key, count, src in r} for r in (rows, others))
            if first == second and len(rows) == len(others):
                return rows
            if time.monotonic() > deadline:
                raise Wrong(f"{len(first - second)} records are in out alone, {len(second - first)} in {self.also} alone, "
                            f"and of {len(rows)} and {len(others)} some are there twice: an epoch is torn")
            time.sleep(0.1)  # the broker works

    def verify(self, complete):
        """Everything that holds at any time; with `complete`, that nothing is missing either."""
        given = {(p, o): k for p, o, k in self.inputs()}
        rows = self.of_both_topics() if self.also else self.outputs()
        seen = collections.Counter(src for *_, src in rows)
        twice = [src for src, n in seen.items() if n > 1]
        if twice:
            raise Wrong(f"{len(twice)} input records have more than one output record, the first {min(twice)}")
        by_key = collections.defaultdict(list)
        for p, o, key, count, src in sorted(rows):
            if given.get(src) != key:
                raise Wrong(f"out-{p} at {o} has the key {key}, its input {src} {given.get(src)}")
            by_key[key].append((count, src))
        of_key = collections.defaultdict(list)
        for (p, o), key in sorted(given.items()):
            of_key[key].append((p, o))
        for key, counted in by_key.items():
            if [n for n, _ in counted] != list(range(1, len(counted) + 1)):
                raise Wrong(f"key {key} was counted {[n for n, _ in counted][:20]} ...")
            if [src for _, src in counted] != of_key[key][: len(counted)]:
                at = next(i for i, (_, src) in enumerate(counted) if src != of_key[key][i])
                raise Wrong(f"the outputs of key {key} are not in the order of its input, or one is left out: from "
                            f"count {at} on they are of {[src for _, src in counted][at:at + 4]}, not "
                            f"{of_key[key][at:at + 4]}")
        if complete:
            missing = [src for src in given if src not in seen]
            if missing:
                raise Wrong(f"{len(missing)} of {len(given)} input records have no output, the first {min(missing)}")
            self.verify_state({key: len(counted) for key, counted in by_key.items()})
        return len(rows)

    def verify_state(self, counts):
        out = kcat(self.address, "-C", "-q", "-e", "-t", "counter-count-changelog", "-o", "beginning", "-X",
                   "isolation.level=read_committed", "-f", "%K|%S|%k%s")
        state, at = {}, 0
        while at < len(out):
            bar = out.index(b"|", at)
            key_size = int(out[at:bar])
            second = out.index(b"|", bar + 1)
            size = int(out[bar + 1:second])
            key = out[second + 1:second + 1 + key_size]
            at = second + 1 + key_size
            value, at = (out[at:at + size], at + size) if size > 0 else (b"", at)
            if key[0] < 128:  # not a row of all keys
                state[key[3:].decode()] = count_of(value)  # behind the partition, 'k' and the key's length
        if state != counts:
            differ = [k for k in counts if state.get(k) != counts[k]]
            raise Wrong(f"the changelog has other counts for {len(differ)} keys, the first {differ[:1]}")


class Job:
    def __init__(self, program, address, lanes, faults="", breaking="", arguments=None):
        if arguments is None:
            arguments = ["--in", "in", "--out", "out", "--also", "also", "--app", "counter"]
        environment = dict(os.environ, PENSTOCK_FAILPOINTS=faults, PENSTOCK_BREAK=breaking)
        self.process = subprocess.Popen([program, "--brokers", address, *arguments, "--commit-interval",
                                         f"{INTERVAL_MS}ms", "--lanes", str(lanes)],
                                        stderr=subprocess.PIPE, text=True, env=environment)
        self.said = []
        self.reader = threading.Thread(target=lambda: self.said.extend(self.process.stderr), daemon=True)
        self.reader.start()

    def says(self, words, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if any(words in line for line in list(self.said)):
                return True
            if self.process.poll() is not None:
                return any(words in line for line in list(self.said))
            time.sleep(0.01)  # another process: nothing to wait on
        return False

    def end(self, with_signal):
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Wrong(f"the job does not end on {with_signal.name}: {self.said[-5:]}") from None
        self.reader.join()
        return self.process.returncode


class Kafka:
    """Apache Kafka instead of the embedded broker."""

    def __init__(self, version, directory):
        self.version, self.directory = version, directory

    def start(self):
        started = subprocess.run([KAFKA, "start", self.version, "--dir", self.directory, "--seconds", "1800"],
                                 capture_output=True, text=True)
        if started.returncode != 0:
            print(started.stderr or started.stdout)
            sys.exit(77)
        self.address = started.stdout.split()[-1]

    def kill(self):
        subprocess.run([KAFKA, "stop", "--dir", self.directory], capture_output=True)


def broker_for(args, directory):
    """As --kafka says; not started yet."""
    return Kafka(args.kafka, directory + "/kafka") if args.kafka else Broker(args.penstock, directory + "/data")


class Feeder(threading.Thread):
    """Writes records of few keys, some hundreds a second, until told to stop; not while `pause` is held.

    kcat -e ends when a fetch of each partition came back empty: while records arrive, that need never happen.
    """

    def __init__(self, address, seed):
        super().__init__(daemon=True)
        self.random, self.stop, self.pause = random.Random(seed), threading.Event(), threading.Lock()
        self.process = subprocess.Popen(["kcat", "-P", "-b", address, "-t", "in", "-K:", "-E", "-X", "linger.ms=1", "-X",
                                         "topic.partitioner=murmur2_random", "-X", "enable.idempotence=true", "-X",
                                         "message.timeout.ms=0"], stdin=subprocess.PIPE, text=True)

    def run(self):
        while not self.stop.wait(0.02):
            with self.pause:
                self.process.stdin.write("".join(f"key{self.random.randrange(KEYS)}:x\n" for _ in range(20)))
                self.process.stdin.flush()
        self.process.stdin.close()
        self.process.wait()


def plan(args, rng):
    """Every point with every fault first, then random ones."""
    faults = args.faults
    points = [(p, a) for p in START + RUN + STOP for a in ACTIONS if possible(p, a)]
    points += [("restart.before", "kill"), ("restart.before", "delay:150")]
    outside = [] if args.kafka else [("BROKER", "")]
    if args.proxy:
        newest = not (args.kafka or "4").startswith(("2.", "3."))
        outside += [("PROXY", rule) for rule, needs_2 in ON_THE_WAY if newest or not needs_2]
    points += outside * (1 if faults < 500 else 4)
    rng.shuffle(points)
    for i in range(faults - len(points)):
        if i < 30 or i % 2 == 0:
            more = (("SIGKILL", "SIGSTOP")[i % 3 == 1], "")
        elif outside and i % 6 == 1:
            more = rng.choice(outside)
        else:
            more = rng.choice([(p, a) for p in START + RUN for a in ACTIONS if possible(p, a)])
        points.insert(rng.randrange(len(points)), more)
    return points[:faults]


def one_fault(args, broker, proxy, point, action, rng):
    """True when it happened."""
    address, lanes = broker.address, rng.randint(1, 3)
    if point == "BROKER":
        job = Job(args.job, address, lanes)
        time.sleep(rng.uniform(0.1, 0.6))  # the random moment
        broker.kill()
        broker.start()
        time.sleep(rng.uniform(0.1, 0.8))
        job.end(rng.choice((signal.SIGKILL, signal.SIGTERM)))
        return True
    if point == "PROXY":
        rule = proxy.rule(f"{action} skip={rng.randint(0, 4) if 'init_producer_id' not in action else 0}")
        job = Job(args.job, proxy.address, lanes)
        happened = proxy.wait_met(rule, 10)
        time.sleep(rng.uniform(0.1, 0.8))  # what it does afterwards counts
        job.end(rng.choice((signal.SIGKILL, signal.SIGTERM)))
        return happened
    if point == "SIGKILL":
        job = Job(args.job, address, lanes)
        time.sleep(rng.uniform(0.05, 0.5))  # the random moment
        job.end(signal.SIGKILL)
        return True
    if point == "SIGSTOP":  # another process takes over meanwhile; the first one must not disturb it
        first = Job(args.job, address, lanes)
        time.sleep(rng.uniform(0.2, 0.4))
        first.process.send_signal(signal.SIGSTOP)
        second = Job(args.job, address, lanes)
        time.sleep(rng.uniform(0.3, 0.5))
        first.process.send_signal(signal.SIGCONT)
        time.sleep(0.2)
        first.end(signal.SIGKILL)
        second.end(signal.SIGKILL)
        return True
    at = 1 if point in START + STOP or point == "restart.before" else rng.randint(1, 6)
    faults = f"{point}={action}@{at}"
    if point == "restart.before":
        faults += ",commit.begin=error@2"
    job = Job(args.job, address, lanes, faults)
    if point in STOP:
        time.sleep(2 if args.kafka else 0.6)  # it must be running: before, there is no last epoch
        job.process.send_signal(signal.SIGTERM)
    if action == "kill":
        try:
            job.process.wait(timeout=4)
            happened = job.process.returncode == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            happened = False
    else:
        words = f"'{point}'"
        happened = job.says(words, 4)
        time.sleep(rng.uniform(0.05, 0.3))  # what it does afterwards counts
    job.end(rng.choice((signal.SIGKILL, signal.SIGTERM)))
    return happened


def broken_round(args, address, rng):
    """With a rule left out: a few faults that this rule is for."""
    rule = args.breaking
    for _ in range(12):
        if rule == "no-fencing":
            first = Job(args.job, address, 1, breaking=rule)
            time.sleep(0.4)
            first.process.send_signal(signal.SIGSTOP)
            second = Job(args.job, address, 1, breaking=rule)
            time.sleep(0.6)
            first.process.send_signal(signal.SIGCONT)
            time.sleep(0.4)
            first.end(signal.SIGKILL)
            second.end(signal.SIGKILL)
        else:
            point = "commit.begin" if rule == "offsets-outside" else "commit.offsets_written"
            job = Job(args.job, address, 2, f"{point}=kill@{rng.randint(3, 6)}", breaking=rule)
            try:
                job.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                pass
            job.end(signal.SIGKILL)


def finish(args, address, check, breaking=""):
    """Runs without faults until everything is counted, and judges."""
    job = Job(args.job, address, 2, breaking=breaking)
    wanted, seen = len(check.inputs()), 0
    patience = 10 if breaking else 60  # since something came: what a broken rule has lost never does
    deadline = time.monotonic() + patience
    while (now := len(check.outputs())) < wanted and time.monotonic() < deadline:
        if now > seen:
            seen, deadline = now, time.monotonic() + patience
        if job.process.poll() is not None:
            raise Wrong(f"the job ended by itself: {job.said[-5:]}")
        time.sleep(0.2)  # another process works
    status = job.end(signal.SIGTERM)
    if status != 0:
        raise Wrong(f"the job ended with {status} on SIGTERM: {job.said[-5:]}")
    return check.verify(True)


def run(args, directory, rng):
    broker = broker_for(args, directory)
    broker.start()
    address = broker.address
    proxy = Proxy(args.proxy, address, args.seed % 1000 + 1) if args.proxy else None
    happened, missed = collections.Counter(), collections.Counter()
    feeder = None
    try:
        for topic in ("in", "out", "also"):
            subprocess.run([args.penstock, "topic", "create", topic, "--partitions", str(PARTITIONS), "--brokers", address],
                           check=True, stdout=subprocess.DEVNULL)
        check = Check(address, "also")
        feeder = Feeder(address, args.seed)
        feeder.start()
        if args.breaking:
            broken_round(args, address, rng)
        else:
            for number, (point, action) in enumerate(plan(args, rng), 1):
                # On a busy machine a step may not be reached in time: then once more, and once more.
                met = any(one_fault(args, broker, proxy, point, action, rng) for _ in range(3))
                (happened if met else missed)[(point, action)] += 1
                if number % 50 == 0:
                    with feeder.pause:
                        print(f"{number} faults, {check.verify(False)} records out", flush=True)
        feeder.stop.set()
        feeder.join()
        records = finish(args, address, check, args.breaking)
    finally:
        if feeder:
            feeder.process.kill()  # what holds the output open would keep who reads it waiting
        if proxy:
            proxy.close()
        broker.kill()
    total = sum(happened.values())
    points = len({p for p, _ in happened})
    print(f"{total} faults at {points} points and from outside: {records} records counted once, in order, state equal,"
          " in both topics")
    if missed:
        raise Wrong(f"{sum(missed.values())} faults did not happen: {sorted(missed)[:10]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--penstock", required=True)
    parser.add_argument("--job", required=True)
    parser.add_argument("--faults", type=int, default=150)
    parser.add_argument("--kafka", help="the version of Apache Kafka to run against, instead of the embedded broker")
    parser.add_argument("--proxy", default="", help="the proxy of tests/support")
    parser.add_argument("--break", dest="breaking", default="")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    args = parser.parse_args()
    args.penstock, args.job = os.path.abspath(args.penstock), os.path.abspath(args.job)
    print(f"seed {args.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="penstock-eos-") as directory:
        try:
            run(args, directory, random.Random(args.seed))
        except Wrong as why:
            if args.breaking:
                print(f"noticed, without {args.breaking}: {why}")
                return 0
            print(f"WRONG: {why} (seed {args.seed})")
            return 1
    if args.breaking:
        print(f"NOT NOTICED: {args.breaking} (seed {args.seed})")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
