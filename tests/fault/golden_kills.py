#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The golden pipelines over Kafka, killed in the middle and started again with other numbers of lanes: the same output.

    golden_kills.py --penstock build/dev/penstock --job build/dev/tests/fault/pipelines [--pipelines NAME ...] [--kills 4]
                    [--kafka 4.1.0]

Each pipeline of tests/golden/pipelines.h runs once over a topic of events, undisturbed; then as another application that
kills itself with SIGKILL at random steps of random epochs and is started again, each time with another number of lanes,
until it has read everything. kcat, with read_committed, must find the same records in both outputs, each as often. Some
events cannot be read: they must be among the dead letters, each once, with what was wrong and where they came from.
"""
import argparse
import collections
import os
import random
import subprocess
import sys
import tempfile
import time

from exactly_once import Wrong, broker_for, kcat

PARTITIONS = 3
RECORDS = 1500
BAD = 15
STEPS = """barrier.before barrier.after state.save.before changelog.put operator.acknowledged lane.acknowledged
state.flush.before channel.flush channel.sealed epoch.transact commit.posted commit.begin commit.offsets_asked commit.asked
channel.next_epoch.before commit.answered epoch.committed epoch.over source.records producer.append lane.step
restore.after""".split()
ALL = """cascade count_windows deduplicate function hopping hopping_unsliced interval_join reduce running session sketches
tumbling""".split()


def write_events(address, rng):
    """KEY:AMOUNT:TIME, a key in one partition, times out of order by less than the source allows for."""
    lines = collections.defaultdict(list)
    for i in range(RECORDS):
        key = rng.randrange(5)
        lines[key % PARTITIONS].append(f"k{key}:{rng.randrange(100)}:{1000 + i * 7 - rng.randrange(50)}\n")
    for n in range(BAD):
        at = lines[n % PARTITIONS]
        at.insert(rng.randrange(len(at)), f"bad {n}\n")
    for partition, text in lines.items():
        subprocess.run(["kcat", "-P", "-b", address, "-t", "in", "-p", str(partition), "-K|", "-H", "from=test"],
                       input="".join(f"k|{line}" for line in text), text=True, check=True)


def read(address, topic):
    return collections.Counter(kcat(address, "-C", "-q", "-e", "-t", topic, "-o", "beginning", "-X",
                                    "isolation.level=read_committed", "-f", "%k|%s|%h\n").decode().split("\n")[:-1])


def await_decided(args, address, application):
    """A commit is answered before its markers are in every partition: readers may be behind it for a moment."""
    deadline = time.monotonic() + 30
    while True:
        said = subprocess.run([args.penstock, "txn", "describe", f"{application}-0", "--brokers", address],
                              capture_output=True, text=True, check=True).stdout
        if " state Complete" in said or " state Empty" in said:
            return
        if time.monotonic() > deadline:
            raise Wrong(f"a transaction stays open: {said}")
        time.sleep(0.05)  # the broker works


def start(args, address, name, application, lanes, faults):
    return subprocess.run([args.job, "--brokers", address, "--pipeline", name, "--in", "in", "--out", f"{application}-out",
                           "--dead", f"{application}-dead", "--application", application, "--lanes", str(lanes)],
                          env=dict(os.environ, PENSTOCK_FAILPOINTS=faults), capture_output=True, text=True, timeout=120)


def prepare(args, address, application):
    # Results have their windows' times, of 1970: retention would take them while they are compared.
    for topic in (f"{application}-out", f"{application}-dead"):
        subprocess.run([args.penstock, "topic", "create", topic, "--partitions", "2", "--config", "retention.ms=-1",
                        "--brokers", address], check=True, stdout=subprocess.DEVNULL)


def check_letters(letters, places):
    if sum(letters.values()) != BAD or any(n != 1 for n in letters.values()):
        raise Wrong(f"{sum(letters.values())} dead letters of {len(letters)} records, there are {BAD}")
    for letter in letters:
        key, value, headers = letter.split("|")
        header = dict(pair.split("=", 1) for pair in headers.split(","))
        if key != "k" or not value.startswith("bad") or header.get("from") != "test" or "penstock.error" not in header:
            raise Wrong(f"a dead letter is {letter!r}")
        if (header["penstock.partition"], header["penstock.offset"]) != places[value]:
            raise Wrong(f"a dead letter says it is from {header}, and it is from {places[value]}")


def run_pipeline(args, address, name, rng, places):
    calm, crashed = f"calm-{name}", f"crashed-{name}"
    for application in (calm, crashed):
        prepare(args, address, application)
    done = start(args, address, name, calm, 2, "")
    if done.returncode != 0:
        raise Wrong(f"{name} ended with {done.returncode}: {done.stderr[-500:]}")
    kills, slow = 0, "source.records=delay:12"
    for attempt in range(args.kills + 1):
        # The first ones early, so that there is something left for those that come after.
        faults = f"{slow},{rng.choice(STEPS)}=kill@{rng.randint(1, 4)}" if attempt < args.kills else ""
        done = start(args, address, name, crashed, 1 + (attempt + rng.randrange(2)) % 4, faults)
        if done.returncode == 0:
            if attempt < args.kills:
                continue
            break
        if done.returncode != -9:
            raise Wrong(f"{name} ended with {done.returncode}: {done.stderr[-500:]}")
        kills += 1
    for application in (calm, crashed):
        await_decided(args, address, application)
    expected, found = read(address, f"{calm}-out"), read(address, f"{crashed}-out")
    if not expected or expected != found:
        raise Wrong(f"{name}: {sum((expected - found).values())} results are missing, {sum((found - expected).values())} "
                    f"too many, of {sum(expected.values())}; the first {list((expected - found) + (found - expected))[:2]}")
    for application in (calm, crashed):
        check_letters(read(address, f"{application}-dead"), places)
    print(f"{name}: {sum(found.values())} results, {BAD} dead letters, the same after {kills} kills", flush=True)
    return kills


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--penstock", required=True)
    parser.add_argument("--job", required=True)
    parser.add_argument("--pipelines", nargs="+", choices=ALL, default=ALL)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--kafka", help="the version of Apache Kafka to run against, instead of the embedded broker")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    args = parser.parse_args()
    args.penstock, args.job = os.path.abspath(args.penstock), os.path.abspath(args.job)
    rng = random.Random(args.seed)
    print(f"seed {args.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="penstock-golden-") as directory:
        broker = broker_for(args, directory)
        broker.start()
        try:
            subprocess.run([args.penstock, "topic", "create", "in", "--partitions", str(PARTITIONS), "--brokers",
                            broker.address], check=True, stdout=subprocess.DEVNULL)
            write_events(broker.address, rng)
            out = kcat(broker.address, "-C", "-q", "-e", "-t", "in", "-o", "beginning", "-f", "%s|%p|%o\n").decode()
            places = {v: (p, o) for v, p, o in (line.split("|") for line in out.splitlines()) if v.startswith("bad")}
            if sum(run_pipeline(args, broker.address, name, rng, places) for name in args.pipelines) == 0:
                raise Wrong("nothing was killed")
        except Wrong as why:
            print(f"WRONG: {why} (seed {args.seed})")
            return 1
        finally:
            broker.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
