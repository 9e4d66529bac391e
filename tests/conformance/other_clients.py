#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""franz-go and kafka-python, which share no code with anybody, against the embedded broker or, with --against VERSION,
against Apache Kafka; kcat and the command line are the other side.

  tests/conformance/other_clients.py [--penstock build/dev/penstock] [--only NAME] [--against 4.1.0]

Each of the two is a program of its own (go/main.go, python/client.py) with the same commands: `produce` takes records as
JSON, one a line; `consume` prints them as kcat does, and tells on standard error what a group gives it; `admin` goes
through the life of a topic and a group and prints "done". They are built in the cache, once; that needs the network.
"""

import base64
import fcntl
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from harness import CACHE, CODECS, Failed, Missing, Running, Stage, case, expect, expect_equal, main
from peers import BOTH, Cli, Kcat, Member, Record, kcat, parse, wait_for_all

HERE = Path(__file__).resolve().parent
REQUIREMENTS = ("kafka-python==3.0.12", "lz4==4.4.5", "python-snappy==0.7.3", "zstandard==0.25.0")
BUILD_SECONDS = 600


def built(name: str, inputs: list[bytes], build) -> Path:
    """The folder that `build` has filled from these inputs; does it once, whoever asks at the same time."""
    home = CACHE / "conformance" / f"{name}-{hashlib.sha256(b''.join(inputs)).hexdigest()[:12]}"
    home.parent.mkdir(parents=True, exist_ok=True)
    with open(home.parent / f"{name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            build(home)
            (home / "complete").touch()
    return home


def run_build(what: str, *commands: list) -> None:
    for words in commands:
        done = subprocess.run([str(word) for word in words], cwd=HERE / "go", capture_output=True, text=True, check=False,
                              timeout=BUILD_SECONDS, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Missing(f"{what} could not be built: {(done.stderr or done.stdout).strip()[-500:]}")


def go_client() -> list[str]:
    if shutil.which("go") is None:
        raise Missing("go is not installed")
    sources = [(HERE / "go" / file).read_bytes() for file in ("main.go", "go.mod", "go.sum")]
    home = built("franz-go", sources,
                 lambda home: run_build("franz-go's client", ["go", "build", "-o", home / "client", "."]))
    return [str(home / "client")]


def python_client() -> list[str]:
    home = built("kafka-python", [" ".join(REQUIREMENTS).encode(), sys.version.encode()], lambda home: run_build(
        "kafka-python's environment", [sys.executable, "-m", "venv", home / "venv"],
        [home / "venv" / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS]))
    return [str(home / "venv" / "bin" / "python"), str(HERE / "python" / "client.py")]


CLIENTS = {"franz-go": go_client, "kafka-python": python_client}


def words(t: Stage, name: str, verb: str, topic: str, *options: str) -> list[str]:
    return [*CLIENTS[name](), verb, "--brokers", t.address, "--topic", topic, *options]


def encoded(part: bytes | None) -> str | None:
    return None if part is None else base64.b64encode(part).decode()


def write(t: Stage, name: str, topic: str, records: list[Record], headers: list[tuple[str, bytes | None]],
          codec: str = "none") -> None:
    lines = [json.dumps({"partition": r.partition, "timestamp": r.timestamp, "key": encoded(r.key),
                         "value": encoded(r.value), "headers": [[key, encoded(value)] for key, value in headers]})
             for r in records]
    t.run(words(t, name, "produce", topic, "--codec", codec), "".join(line + "\n" for line in lines).encode())


def read(t: Stage, name: str, topic: str, count: int, *options: str) -> list[Record]:
    return in_order(parse(t.run(words(t, name, "consume", topic, "--count", str(count), *options)).out))


def in_order(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda r: (r.partition, r.offset))


class OtherMember:
    """A member of a group; what it was assigned it says on standard error."""

    def __init__(self, t: Stage, name: str, group: str, topic: str, assignor: str):
        self.running: Running = t.start(words(t, name, "consume", topic, "--group", group, "--assignor", assignor))

    @property
    def records(self) -> list[Record]:
        whole = b"".join(list(self.running.out))
        return parse(whole[:whole.rfind(b"\n") + 1])

    def values(self) -> list[bytes | None]:
        return [r.value for r in self.records]

    def assigned(self) -> list[int]:
        now: set[int] = set()
        for line in list(self.running.err):
            said = re.match(rb"(assigned|revoked|lost) \[(.*)\]", line)
            if said:
                partitions = {int(n) for n in re.findall(rb"\d+", said[2])}
                now = now | partitions if said[1] == b"assigned" else now - partitions
        return sorted(now)

    def wait_assigned(self, count: int) -> None:
        self.running.wait_for(lambda: len(self.assigned()) == count, f"it had {count} partitions")

    def stop(self) -> None:
        done = self.running.stop()
        if done.status != 0:
            raise Failed(f"a member of the group did not end well\n{done}")


@case("others", [(name, codec) for name in CLIENTS for codec in CODECS])
def written_by_others(t: Stage, which: tuple[str, str]) -> str:
    "Records with times, headers, nulls and any bytes, read by kcat and the command line"
    name, codec = which
    topic = t.topic(partitions=2)
    start = time.time_ns() // 1_000_000 - 3_600_000  # old ones fall to the retention
    bytes_of = [None if n % 7 == 3 else bytes(range(n % 256)) + b"repeated " * (n % 50) for n in range(400)]
    headers: list[tuple[str, bytes | None]] = [("name", b"value"), ("name", b"again"), ("empty", b"")]
    if name != "kafka-python":  # which has no null headers
        headers.append(("null", None))
    shown = b",".join(key.encode() + b"=" + (b"NULL" if value is None else value) for key, value in headers)
    keys = [None if n % 3 == 0 and bytes_of[n] is not None else b"\0key\xff%d" % n for n in range(400)]
    sent = [Record(n % 2, n // 2, start + 1000 * n, keys[n], bytes_of[n], shown) for n in range(400)]
    write(t, name, topic, sent, headers, codec)
    for reader in BOTH:
        expect_equal(in_order(reader.read(t, topic)), in_order(sent), f"records read by {reader.name}")
    for moment in (0, 123, 399):
        seen = Kcat.read(t, topic, "-o", f"s@{start + 1000 * moment}")
        expect_equal(in_order(seen), in_order(sent[moment:]), f"records from the time of record {moment}")
        seen = read(t, name, topic, 400 - moment, "--from", str(start + 1000 * moment))
        expect_equal(seen, in_order(sent[moment:]), f"records from there, read by {name}")
    return f"{len(sent)} records"


@case("others", CLIENTS)
def read_by_others(t: Stage, name: str) -> str:
    "What kcat and the command line write in every codec"
    topic = t.topic(partitions=4)
    for codec in CODECS:
        for number, writer in enumerate(BOTH):
            pairs = [(None if n % 3 == 0 else b"key-%d" % n, b"%d " % n * (1 + n % 30)) for n in range(200)]
            writer.write(t, topic, pairs, codec, ("-H", f"codec={codec}", "-p", str(number)))
            writer.write(t, topic, [(b"tombstone", None)], codec, ("-p", "3"))
    by_kcat = in_order(Kcat.read(t, topic))
    expect_equal(len(by_kcat), 2010, "records")
    expect_equal(read(t, name, topic, len(by_kcat)), by_kcat, f"records read by {name}")
    return f"{len(by_kcat)} records"


@case("others", [("franz-go", "range"), ("franz-go", "roundrobin"), ("franz-go", "cooperative-sticky"),
                 ("kafka-python", "range"), ("kafka-python", "roundrobin")])
def a_shared_group(t: Stage, which: tuple[str, str]) -> str:
    "Two members of theirs, then kcat, then the command line: each record once"
    name, assignor = which
    topic, group = t.topic(partitions=6), f"group-{t.name}"

    def send(first: int) -> list[bytes]:
        values = [b"%d" % n for n in range(first, first + 240)]
        for partition in range(6):
            Kcat.write(t, topic, [(None, v) for v in values[partition::6]], options=("-p", str(partition)))
        return values
    members = [OtherMember(t, name, group, topic, assignor)]
    members[0].wait_assigned(6)
    values = send(0)
    wait_for_all(members, values)
    members.append(OtherMember(t, name, group, topic, assignor))
    for member in members:
        member.wait_assigned(3)
    values += send(240)
    wait_for_all(members, values)
    theirs = Member.kcat(t, group, topic, "-X", f"partition.assignment.strategy={assignor}")
    for member in (theirs, *members):
        member.wait_assigned(2)
    values += send(480)
    members.append(theirs)
    wait_for_all(members, values)
    ours = Member.cli(t, group, topic, "--assignor", assignor)
    members.append(ours)
    ours.running.wait_for(lambda: len(re.findall(r"^member ", t.cli("group", "describe", group).text, re.M)) == 4,
                          "the group had four members")
    ours.running.wait_for(lambda: sorted(len(m.assigned()) for m in members[:3]) in ([1, 2, 2], [1, 1, 2]),
                          "the others had their share")
    values += send(720)
    wait_for_all(members, values)
    seen = sorted(int(v) for member in members for v in member.values())
    expect_equal(seen, sorted(int(v) for v in values), "records over all members, each once")
    for member in members[1:]:
        member.stop()
    members[0].wait_assigned(6)
    last = send(2000)
    wait_for_all(members[:1], last)
    members[0].stop()
    return f"{len(values) + len(last)} records"


@case("others", CLIENTS)
def commits_of_others(t: Stage, name: str) -> str:
    "What they have committed, kcat and the command line go on from, and the other way round"
    topic, group = t.topic(), f"group-{t.name}"
    Kcat.write(t, topic, [(None, b"%d" % n) for n in range(100)])
    at = 0
    for _ in range(2):
        seen = read(t, name, topic, 11, "--group", group)
        expect_equal([r.offset for r in seen], list(range(at, at + 11)), f"offsets of {name}")
        by_cli = t.cli("consume", "--topic", topic, "--group", group, "--count", "5").text.split()
        expect_equal(by_cli, [str(n) for n in range(at + 11, at + 16)], "records of the command line")
        by_kcat = t.run(kcat(t, "-G", group, "-c", "4", topic)).text.split()
        expect_equal(by_kcat, [str(n) for n in range(at + 16, at + 20)], "records of kcat")
        at += 20
    return f"{at} records in 6 turns"


@case("others", CLIENTS)
def admin_of_others(t: Stage, name: str) -> str:
    "Their admin clients: topics, partitions, settings, offsets, deletions, groups"
    done = t.run(words(t, name, "admin", f"{t.name}-topic", "--group", f"group-{t.name}"))
    expect_equal(done.text, "done\n", "output")
    return "a topic's life and a group's"


@case("others", CLIENTS)
def others_over_a_restart(t: Stage, name: str) -> str:
    "Their consumers go on over a restart of the broker: no record lost, none twice"
    topic = t.topic(partitions=2)
    write(t, name, topic, [Record(n % 2, 0, -1, None, b"%d" % n) for n in range(100)], [])
    reader = t.start(words(t, name, "consume", topic))
    reader.wait_for(lambda: len(reader.out) == 100, "it had read 100 records")
    t.broker.restart()
    began = time.monotonic()
    write(t, name, topic, [Record(n % 2, 0, -1, None, b"%d" % n) for n in range(100, 200)], [])
    reader.wait_for(lambda: len(reader.out) >= 200, "it had read 200 records", t.broker.patience)
    took = time.monotonic() - began
    reader.stop()
    expect_equal(sorted(int(r.value or b"-1") for r in parse(b"".join(reader.out))), list(range(200)), "records")
    return f"200 records, {took:.1f} s after it"


@case("others", CLIENTS)
def big_values_of_others(t: Stage, name: str) -> str:
    "Values of almost a megabyte in both directions"
    topic = t.topic()
    write(t, name, topic, [Record(0, 0, -1, None, bytes(n % 251 for n in range(990_000)))], [])
    Cli.write(t, topic, [(None, b"x" * 1_000_000)], "lz4")
    by_kcat = Kcat.read(t, topic)
    expect_equal([len(r.value or b"") for r in by_kcat], [990_000, 1_000_000], "sizes read by kcat")
    expect(read(t, name, topic, 2) == by_kcat, f"{name} and kcat read the same")
    expect(Cli.read(t, topic) == by_kcat, "penstock and kcat read the same")
    return "2 records"


if __name__ == "__main__":
    sys.exit(main(__doc__, "kcat"))
