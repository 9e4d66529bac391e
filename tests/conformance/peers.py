# SPDX-License-Identifier: Apache-2.0
"""Programs that write and read records, as the conformance tests use them: kcat and the command line, each with the
same two functions, so that a case is written once for either direction."""

import dataclasses
import random
import re

from harness import Failed, Running, Stage, expect_equal

# What stands between key and value, and behind a record, where a tool lets us choose: no record has them.
KEY_END = b"<key-ends>"
RECORD_END = b"<record-ends>"

# Understood by kcat and by `penstock consume` alike. Lengths first, so that any bytes may follow.
FORMAT = r"%p %o %T %K %S %k%s%h\n"
FIELDS = re.compile(rb"(\d+) (\d+) (-?\d+) (-?\d+) (-?\d+) ")

# What kcat says of its group: all its partitions anew, or with cooperative assignors what comes and goes.
REBALANCED = re.compile(r"rebalanced(?:: incremental (?P<step>assignment|revoke) of \d+ partition\(s\))? "
                        r"\(memberid [^)]*\): (?:(?P<whole>assigned|revoked): )?(?P<partitions>.*)")


@dataclasses.dataclass(frozen=True)
class Record:
    """A record as it was read."""
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: bytes = b""  # as both tools print them: a=1,b=2

    @property
    def pair(self) -> tuple[bytes | None, bytes | None]:
        return self.key, self.value


def parse(output: bytes) -> list[Record]:
    records, at = [], 0
    while at < len(output):
        fields = FIELDS.match(output, at)
        if fields is None:
            raise Failed(f"no record begins at byte {at} of the output: {output[at:at + 80]!r}")
        partition, offset, timestamp, key_size, value_size = (int(n) for n in fields.groups())
        at = fields.end()
        parts: list[bytes | None] = []
        for size in (key_size, value_size):
            parts.append(None if size < 0 else output[at:at + size])
            at += max(size, 0)
        end = output.index(b"\n", at)
        records.append(Record(partition, offset, timestamp, parts[0], parts[1], output[at:end]))
        at = end + 1
    return records


def by_partition(records: list[Record]) -> dict[int, list[Record]]:
    parts: dict[int, list[Record]] = {}
    for record in records:
        parts.setdefault(record.partition, []).append(record)
    return parts


# --- kcat -------------------------------------------------------------------------------------------------------------


def kcat(t: Stage, mode: str, *options: str) -> list[str]:
    return ["kcat", "-b", t.address, "-X", "reconnect.backoff.max.ms=200",
            "-X", "topic.metadata.refresh.interval.ms=1000", mode, *options]


class Kcat:
    name = "kcat"

    @staticmethod
    def write(t: Stage, topic: str, pairs: list[tuple[bytes | None, bytes | None]], codec: str = "none",
              options: tuple[str, ...] = ()) -> None:
        """A None value is a tombstone; then no value may be empty and no key.

        What is tried again keeps its place: one request at a time, unless the producer is idempotent."""
        if any(value is None for _, value in pairs):
            options = ("-Z", *options)
        if not any("idempotence" in option for option in options):
            options = ("-X", "max.in.flight.requests.per.connection=1", *options)
        data = RECORD_END.join((b"" if key is None else key + KEY_END) + (value or b"") for key, value in pairs)
        t.run(kcat(t, "-P", "-t", topic, "-z", codec, "-K", KEY_END.decode(), "-D", RECORD_END.decode(), *options),
              stdin=data)

    @staticmethod
    def read(t: Stage, topic: str, *options: str) -> list[Record]:
        """From the beginning unless the options say otherwise, to the end."""
        start = () if "-o" in options else ("-o", "beginning")
        return parse(t.run(kcat(t, "-C", "-q", "-e", "-t", topic, "-f", FORMAT, "-X", "fetch.wait.max.ms=20", *start,
                                *options)).out)


# --- the command line -------------------------------------------------------------------------------------------------


class Cli:
    name = "penstock"

    @staticmethod
    def write(t: Stage, topic: str, pairs: list[tuple[bytes | None, bytes | None]], codec: str = "none",
              options: tuple[str, ...] = ()) -> None:
        """A record is a line here: no value may have a line break."""
        if any(value is None for _, value in pairs):
            options = ("--null", *options)
        data = b"".join((b"" if key is None else key + KEY_END) + (value or b"") + b"\n" for key, value in pairs)
        t.cli("produce", "--topic", topic, "-z", codec, "-K", KEY_END.decode(), *options, stdin=data)

    @staticmethod
    def read(t: Stage, topic: str, *options: str) -> list[Record]:
        return parse(t.cli("consume", "--topic", topic, "--from-beginning", "--until-end", "--format", FORMAT,
                           *options).out)


BOTH = (Kcat, Cli)


# --- records to send ----------------------------------------------------------------------------------------------------


def assorted(count: int, seed: str) -> list[tuple[bytes | None, bytes | None]]:
    """Pairs with and without keys, of all sizes up to some hundred bytes; no two alike. No line breaks, no nulls."""
    rng = random.Random(seed)
    letters = bytes(b for b in range(256) if b not in b"\n<>")
    pairs: list[tuple[bytes | None, bytes | None]] = []
    for number in range(count):
        key = None if number % 3 == 0 else b"key-%d" % rng.randrange(40)
        body = bytes(rng.choices(letters, k=rng.randrange(60))) if number % 2 else b"again and again " * rng.randrange(30)
        pairs.append((key, b"%d:" % number + body))
    return pairs


def check_all_there(seen: list[Record], sent: list[tuple[bytes | None, bytes | None]], who: str) -> None:
    """Each record that was sent, once; offsets without holes; what one key has in the order of sending."""
    expect_equal(sorted(r.pair for r in seen if r.key is None), sorted(p for p in sent if p[0] is None),
                 f"records without a key, read by {who}")
    keyed = [p for p in sent if p[0] is not None]
    for key in sorted({key for key, _ in keyed}):
        expect_equal([r.value for r in seen if r.key == key], [value for k, value in keyed if k == key],
                     f"values of key {key!r}, read by {who}")
        expect_equal(len({r.partition for r in seen if r.key == key}), 1, f"partitions of key {key!r}")
    expect_equal(len(seen), len(sent), f"number of records read by {who}")
    for partition, records in by_partition(seen).items():
        expect_equal([r.offset for r in records], list(range(len(records))),
                     f"offsets of partition {partition}, read by {who}")


# --- members of a group ---------------------------------------------------------------------------------------------------


class Member:
    """A consumer of a group at work, whose records are read while it runs."""

    def __init__(self, running: Running):
        self.running = running

    @staticmethod
    def kcat(t: Stage, group: str, topic: str, *options: str) -> "Member":
        return Member(t.start(kcat(t, "-G", group, "-u", "-f", FORMAT, "-X", "auto.offset.reset=earliest",
                                   "-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=500", *options, topic)))

    @staticmethod
    def cli(t: Stage, group: str, topic: str, *options: str) -> "Member":
        return Member(t.start([t.penstock, "consume", "--brokers", t.address, "--topic", topic, "--group", group,
                               "--from-beginning", "--format", FORMAT, *t.patient, *options]))

    @property
    def records(self) -> list[Record]:
        whole = b"".join(list(self.running.out))
        return parse(whole[:whole.rfind(b"\n") + 1])

    def values(self) -> list[bytes | None]:
        return [r.value for r in self.records]

    def assigned(self) -> list[int]:
        """Of a kcat member: the partitions it has now, as it says itself."""
        now: set[int] = set()
        for line in list(self.running.err):
            change = REBALANCED.search(line.decode(errors="replace"))
            if change is None:
                continue
            partitions = {int(n) for n in re.findall(r"\[(\d+)\]", change["partitions"])}
            if change["step"] == "assignment":
                now |= partitions
            elif change["step"] == "revoke" or change["whole"] == "revoked":
                now -= partitions
            else:
                now = partitions
        return sorted(now)

    def wait_assigned(self, count: int, seconds: float = 30) -> None:
        self.running.wait_for(lambda: len(self.assigned()) == count, f"it had {count} partitions", seconds)

    def stop(self) -> list[Record]:
        done = self.running.stop()
        if done.status != 0:
            raise Failed(f"a member of the group did not end well\n{done}")
        return self.records


def wait_for_all(members: list[Member], values: list[bytes], seconds: float = 30) -> None:
    """Until the members together have read each of these values at least once."""
    wanted = set(values)

    def complete() -> bool:
        seen: set[bytes | None] = set()
        for member in members:
            seen.update(member.values())
        return wanted <= seen
    try:
        members[0].running.wait_for(complete, f"the members had read all {len(wanted)} records", seconds)
    except Failed as failure:
        each = [by_partition([r for r in member.records if r.value in wanted]) for member in members]
        counts = [{partition: len(records) for partition, records in sorted(parts.items())} for parts in each]
        others = "\n".join(str(member.running) for member in members[1:])
        raise Failed(f"of {len(wanted)} records the members had read, by partition, {counts}\n{failure}\n{others}") from None
