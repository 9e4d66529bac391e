#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Topics that change under a job that runs or is stopped (S18): an error that says what is lost, or nothing is lost.

    topic_changes.py --penstock build/dev/penstock --job build/dev/eos_count [--only NAME] [--kafka 4.1.0]

Topics are deleted, made anew, grown and cut by others (the command line, kcat) while eos_count runs or is stopped. What it
says then must name the topic and what is gone, and it must not go on; where nothing is lost, kcat finds every record
counted.
"""
import argparse
import collections
import os
import signal
import subprocess
import sys
import tempfile
import time

from exactly_once import Job, Wrong, broker_for, kcat

KEYS = 12
PATIENCE = 40


class Case:
    """Topics and an application of its own on the broker that all share."""

    def __init__(self, args, address, name):
        self.args, self.address, self.name = args, address, name
        self.source, self.sink, self.app = f"in-{name}", f"out-{name}", f"app-{name}"
        self.changelog = f"{self.app}-count-changelog"
        self.cli("topic", "create", self.source, "--partitions", "2")
        self.written = 0

    def cli(self, *arguments):
        return subprocess.run([self.args.penstock, *arguments, "--brokers", self.address], check=True, capture_output=True,
                              text=True).stdout

    def produce(self, count, partition=None):
        lines = "".join(f"key{n % KEYS}:{n}\n" for n in range(self.written, self.written + count))
        where = [] if partition is None else ["-p", str(partition)]
        subprocess.run(["kcat", "-P", "-b", self.address, "-t", self.source, "-K:", *where], input=lines, text=True,
                       check=True)
        self.written += count

    def start(self):
        return Job(self.args.job, self.address, 2, arguments=["--in", self.source, "--out", self.sink, "--app", self.app,
                                                              "-X", "metadata.max.age.ms=300"])

    def counted(self):
        """Records that the job has written, as others see them."""
        out = kcat(self.address, "-C", "-q", "-e", "-t", self.sink, "-o", "beginning", "-X",
                   "isolation.level=read_committed", "-f", "%h\n")
        rows = collections.Counter(out.split())
        twice = [row for row, n in rows.items() if n > 1]
        if twice:
            raise Wrong(f"{self.name}: {len(twice)} records were counted twice")
        return len(rows)

    def await_counted(self, wanted, job):
        deadline = time.monotonic() + PATIENCE
        while (seen := self.counted() if self.sink_exists() else 0) < wanted:
            if time.monotonic() > deadline or job.process.poll() is not None:
                raise Wrong(f"{self.name}: {seen} of {wanted} records are counted; the job said {job.said[-3:]}")
            time.sleep(0.05)  # another process works
        if seen > wanted:
            raise Wrong(f"{self.name}: {seen} records are counted, {wanted} were written")

    def sink_exists(self):
        return self.sink in self.cli("topic", "list").split()

    def counting(self, partition=None):
        """A job that has counted the first 100 records."""
        self.produce(100, partition)
        job = self.start()
        self.await_counted(100, job)
        return job

    def run_once(self, partition=None):
        self.stop(self.counting(partition))

    def stop(self, job):
        status = job.end(signal.SIGTERM)
        if status != 0:
            raise Wrong(f"{self.name}: the job ended with {status}: {job.said[-3:]}")

    def must_end(self, job, *words):
        """With an error that says all of `words`."""
        try:
            status = job.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            job.end(signal.SIGKILL)
            raise Wrong(f"{self.name}: the job goes on as if nothing was: {job.said[-3:]}") from None
        job.reader.join()
        last = job.said[-1] if job.said else ""
        if status != 1 or not all(word in last for word in words):
            raise Wrong(f"{self.name}: the job ended with {status} and said {job.said[-3:]}, where {words} were expected")
        print(f"{self.name}: {last.strip()}", flush=True)


def source_deleted(c):
    c.run_once()
    c.cli("topic", "delete", c.source)
    c.must_end(c.start(), c.source, "does not exist")


def source_made_anew(c):
    c.run_once()
    c.cli("topic", "delete", c.source)
    c.cli("topic", "create", c.source, "--partitions", "2")
    c.produce(300)  # as many offsets as before, and more
    c.must_end(c.start(), c.changelog, "no committed offsets")  # they went with the topic


def source_cut(c):
    c.run_once(partition=0)
    c.produce(100, partition=0)
    c.cli("topic", "delete-records", c.source, "--partition", "0", "--before", "150")
    c.must_end(c.start(), f"offset 100 of {c.source}-0", "100 to 149 were removed")


def source_grown(c):
    c.run_once()
    c.cli("topic", "alter", c.source, "--partitions", "5")
    c.produce(100, partition=4)
    job = c.start()
    c.await_counted(200, job)
    c.stop(job)


def offsets_deleted(c):
    c.run_once()
    c.cli("group", "delete", c.app)
    c.must_end(c.start(), c.changelog, "no committed offsets")


def changelog_deleted(c):
    c.run_once()
    c.cli("topic", "delete", c.changelog)
    c.must_end(c.start(), c.changelog, "does not exist any more", "state of 'count' is gone")


def changelog_made_anew(c):
    c.run_once()
    c.cli("topic", "delete", c.changelog)
    c.cli("topic", "create", c.changelog, "--partitions", "4", "--config", "cleanup.policy=compact")
    c.must_end(c.start(), c.changelog, "made anew")


def changelog_grown(c):
    c.run_once()
    c.cli("topic", "alter", c.changelog, "--partitions", "8")
    c.must_end(c.start(), c.changelog, "8 partitions", "written to 4")


def changelog_not_compacted(c):
    c.run_once()
    c.cli("topic", "alter", c.changelog, "--config", "cleanup.policy=compact,delete")
    c.must_end(c.start(), c.changelog, "cleanup.policy=compact,delete")


def running_source_deleted(c):
    job = c.counting()
    c.cli("topic", "delete", c.source)
    c.must_end(job, c.source, "does not exist")


def running_source_made_anew(c):
    job = c.counting()
    c.cli("topic", "delete", c.source)
    c.cli("topic", "create", c.source, "--partitions", "2")
    c.must_end(job, c.source, "deleted and made anew")


def running_source_cut(c):
    job = c.counting(partition=0)
    job.process.send_signal(signal.SIGSTOP)
    c.produce(20000, partition=0)  # more than is fetched at once
    c.cli("topic", "delete-records", c.source, "--partition", "0", "--before", "20090")
    job.process.send_signal(signal.SIGCONT)
    c.must_end(job, c.source, "partition 0", "to 20089 were removed")


def running_source_grown(c):
    job = c.counting()
    c.cli("topic", "alter", c.source, "--partitions", "4")
    c.produce(100, partition=3)
    c.await_counted(200, job)  # in the same process, which begins anew
    if not any("4 partitions now" in line for line in job.said):
        raise Wrong(f"{c.name}: the job did not say that it begins anew: {job.said}")
    c.stop(job)


def running_changelog_deleted(c):
    job = c.counting()
    c.cli("topic", "delete", c.changelog)
    c.produce(100)
    c.must_end(job, c.changelog, "does not exist any more")


CASES = [f for name, f in list(globals().items())
         if callable(f) and name.startswith(("source_", "offsets_", "changelog_", "running_"))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--penstock", required=True)
    parser.add_argument("--job", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--kafka", help="the version of Apache Kafka to run against, instead of the embedded broker")
    args = parser.parse_args()
    args.penstock, args.job = os.path.abspath(args.penstock), os.path.abspath(args.job)
    with tempfile.TemporaryDirectory(prefix="penstock-topics-") as directory:
        broker = broker_for(args, directory)
        broker.start()
        wrong = []
        try:
            for case in CASES:
                if args.only not in case.__name__:
                    continue
                try:
                    case(Case(args, broker.address, case.__name__.replace("_", "-")))
                except Wrong as why:
                    wrong.append(str(why))
                    print(f"WRONG: {why}", flush=True)
        finally:
            broker.kill()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
