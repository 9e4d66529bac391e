#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills the embedded broker with SIGKILL while groups commit, and looks at what they have committed.

    group_kill.py --penstock build/dev/penstock [--rounds 1] [--kills 4] [--seed N]

Some groups commit ever larger offsets, in the protocol itself, so that the test knows what was acknowledged: after each
restart the broker must know, for each partition, the last acknowledged offset or the one that was under way, with the
text that belongs to it. Beside them a member of kcat's reads a stream of records over all the kills: none may be lost to
it, and what it committed when it closed is where the next member begins (SEMANTICS.md E18).
"""

import argparse
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from broker_kill import Broker

GROUPS = 4
PARTITIONS = 3
SECONDS = 60
TOPIC = "counted"
OFFSET_COMMIT, OFFSET_FETCH = 8, 9
NOT_NOW = {14, 15, 16}  # the coordinator loads its offsets, is not available, is not here


class Wrong(Exception):
    """What must not be."""


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


class Connection:
    """One connection to the broker; any failure is an OSError."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    def ask(self, key: int, version: int, body: bytes) -> bytes:
        message = struct.pack(">hhih", key, version, 1, 4) + b"test" + body
        self.socket.sendall(struct.pack(">i", len(message)) + message)
        size, = struct.unpack(">i", self.exactly(4))
        return self.exactly(size)[4:]

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionError("the broker closed the connection")
            data += part
        return data

    def close(self) -> None:
        self.socket.close()


def commit_errors(reply: bytes) -> list[int]:
    """Of OffsetCommit version 2, with one topic."""
    at = 4 + 2 + len(TOPIC) + 4
    return [error for _, error in struct.iter_unpack(">ih", reply[at:])]


def fetched(reply: bytes) -> dict[int, tuple[int, str]]:
    """Of OffsetFetch version 1, with one topic: offset and text by partition."""
    at, found = 4 + 2 + len(TOPIC) + 4, {}
    while at < len(reply):
        partition, offset, length = struct.unpack_from(">iqh", reply, at)
        at += 14
        note = reply[at:at + max(length, 0)].decode()
        at += max(length, 0)
        error, = struct.unpack_from(">h", reply, at)
        at += 2
        if error in NOT_NOW:
            raise ConnectionError("not now")
        if error:
            raise Wrong(f"OffsetFetch answered error {error} for partition {partition}")
        found[partition] = (offset, note)
    return found


class Committer(threading.Thread):
    """A group without members that commits 1, 2, 3, ... for all partitions until it is told to finish."""

    def __init__(self, broker: Broker, group: str):
        super().__init__(daemon=True)
        self.broker, self.group = broker, group
        self.acknowledged, self.under_way, self.checks = 0, 0, 0
        self.finish = threading.Event()
        self.problem = ""

    def run(self) -> None:
        try:
            while not self.finish.is_set():
                self.connected(self.commit_on)
            self.connected(self.check)
        except Wrong as wrong:
            self.problem = f"{self.group}: {wrong}"

    def connected(self, use) -> None:
        """Calls it with a connection that has been checked; again with another one while the broker goes away."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                connection = Connection(self.broker.port)
                try:
                    self.check(connection)
                    use(connection)
                    return
                finally:
                    connection.close()
            except OSError as failure:
                if time.monotonic() > deadline:
                    raise Wrong(f"the broker does not answer: {failure}") from None
                if use == self.commit_on and self.finish.is_set():
                    return
                time.sleep(0.005)  # nobody tells when it is back

    def check(self, connection: Connection) -> None:
        body = text(self.group) + struct.pack(">i", 1) + text(TOPIC) + struct.pack(f">i{PARTITIONS}i", PARTITIONS,
                                                                                  *range(PARTITIONS))
        known = fetched(connection.ask(OFFSET_FETCH, 1, body))
        allowed = {self.acknowledged, self.under_way}
        for partition, (offset, note) in sorted(known.items()):
            if offset == -1:
                offset = 0
            if offset not in allowed:
                raise Wrong(f"partition {partition} has offset {offset} committed; {self.acknowledged} was acknowledged, "
                            f"{self.under_way} under way")
            if offset > 0 and note != f"number {offset}":
                raise Wrong(f"partition {partition} has offset {offset} with the text {note!r}")
        if len(known) != PARTITIONS:
            raise Wrong(f"OffsetFetch tells of partitions {sorted(known)}")
        self.checks += 1

    def commit_on(self, connection: Connection) -> None:
        while not self.finish.is_set():
            number = self.under_way = self.under_way + 1
            parts = b"".join(struct.pack(">iq", p, number) + text(f"number {number}") for p in range(PARTITIONS))
            body = text(self.group) + struct.pack(">i", -1) + text("") + struct.pack(">qi", -1, 1)
            body += text(TOPIC) + struct.pack(">i", PARTITIONS) + parts
            errors = commit_errors(connection.ask(OFFSET_COMMIT, 2, body))
            if set(errors) & NOT_NOW:
                raise ConnectionError("not now")
            if any(errors) or len(errors) != PARTITIONS:
                raise Wrong(f"OffsetCommit answered {errors}")
            self.acknowledged = number


class Stream:
    """kcat writes numbered records and kcat, in a group, reads them."""

    def __init__(self, broker: Broker):
        self.broker = broker
        self.written = 0
        self.seen: list[int] = []
        self.news = threading.Condition()
        self.producer = subprocess.Popen(
            ["kcat", "-b", broker.address, "-P", "-E", "-t", TOPIC, "-X", "enable.idempotence=true",
             "-X", "message.timeout.ms=60000", "-X", "reconnect.backoff.max.ms=200"],
            stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.member, self.reader = self.join()

    def join(self) -> tuple[subprocess.Popen, threading.Thread]:
        member = subprocess.Popen(
            ["kcat", "-b", self.broker.address, "-G", "readers", "-E", "-u", "-X", "auto.offset.reset=earliest",
             "-X", "auto.commit.interval.ms=50", "-X", "reconnect.backoff.max.ms=200", "-X", "session.timeout.ms=6000",
             "-X", "heartbeat.interval.ms=500", TOPIC],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        reader = threading.Thread(target=self.collect, args=(member,), daemon=True)
        reader.start()
        return member, reader

    def collect(self, member: subprocess.Popen) -> None:
        for line in member.stdout:
            with self.news:
                self.seen.append(int(line))
                self.news.notify_all()

    def write(self, count: int) -> None:
        self.producer.stdin.writelines(f"{n}\n" for n in range(self.written, self.written + count))
        self.producer.stdin.flush()
        self.written += count

    def wait_for_all(self, since: int = 0) -> list[str]:
        """Sentences that say which of the records from `since` on were not read in time."""
        wanted = set(range(since, self.written))
        with self.news:
            if self.news.wait_for(lambda: wanted <= set(self.seen), SECONDS):
                return []
            missing = sorted(wanted - set(self.seen))
            return [f"kcat's member has not read {len(missing)} of {len(wanted)} records, the first {missing[0]}"]

    def close(self) -> list[str]:
        """The end of the story: the member closes, and the next one begins where it stopped."""
        self.producer.stdin.close()
        if self.producer.wait(SECONDS) != 0:
            return ["kcat could not deliver all records"]
        problems = self.wait_for_all()
        self.leave()
        before, first_new = len(self.seen), self.written
        self.producer = subprocess.Popen(["kcat", "-b", self.broker.address, "-P", "-t", TOPIC], stdin=subprocess.PIPE,
                                         text=True)
        self.write(100)
        self.producer.stdin.close()
        self.producer.wait(SECONDS)
        self.member, self.reader = self.join()
        problems += self.wait_for_all(first_new)
        again = [n for n in self.seen[before:] if n < first_new]
        if again:
            problems.append(f"the next member read {len(again)} records that the one before had committed")
        self.leave()
        return problems

    def leave(self) -> None:
        self.member.terminate()
        self.member.wait(SECONDS)
        self.reader.join()
        self.member.stdout.close()

    def kill(self) -> None:
        for process in (self.producer, self.member):
            if process.poll() is None:
                process.kill()
                process.wait()


def one_round(penstock: str, kills: int, rng: random.Random) -> tuple[list[str], int, int]:
    with tempfile.TemporaryDirectory(prefix="penstock-groups-") as directory:
        broker = Broker(penstock, os.path.join(directory, "data"))
        broker.start()
        subprocess.run([penstock, "topic", "create", TOPIC, "--partitions", str(PARTITIONS), "--brokers", broker.address],
                       check=True, stdout=subprocess.DEVNULL)
        committers = [Committer(broker, f"group-{n}") for n in range(GROUPS)]
        stream = Stream(broker)
        try:
            for committer in committers:
                committer.start()
            for _ in range(kills):
                stream.write(300)
                time.sleep(rng.uniform(0.05, 0.6))  # the random moment
                broker.kill()
                broker.start()
            stream.write(300)
            problems = stream.close()
            for committer in committers:
                committer.finish.set()
            for committer in committers:
                committer.join(2 * SECONDS)
                if committer.is_alive() or committer.problem:
                    problems.append(committer.problem or f"{committer.group} did not finish")
            broker.stop()
        finally:
            stream.kill()
            if broker.process.poll() is None:
                broker.kill()
        return problems, sum(c.acknowledged for c in committers), sum(c.checks for c in committers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--penstock", required=True, help="the binary")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--kills", type=int, default=4, help="in each round")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    rng = random.Random(args.seed)
    commits = looks = 0
    for number in range(args.rounds):
        problems, acknowledged, checks = one_round(os.path.abspath(args.penstock), args.kills, rng)
        if problems:
            sys.exit("\n".join([f"round {number + 1}, seed {args.seed}:"] + problems))
        commits, looks = commits + acknowledged, looks + checks
    print(f"{args.rounds * args.kills} kills, {commits} acknowledged commits, looked at {looks} times: none lost; "
          "kcat's group read every record")


if __name__ == "__main__":
    main()
