#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Apache Kafka's own Java tools against the embedded broker or, with --against VERSION, against the broker they come
with; then kcat and the command line see what the tools did, and the other way round.

  tests/conformance/kafka_tools.py [--penstock build/dev/penstock] [--only NAME] [--against 4.1.0]
"""

import json
import os
import re
import sys

from cases_transactions import long_lines, open_transaction, transactional
from harness import CODECS, KAFKA, ROOT, Done, Penstock, Running, Stage, case, expect, expect_equal, main
from peers import BOTH, Cli, Kcat, Member, Record, kcat, wait_for_all

TOOLS = "org.apache.kafka.tools."
SECONDS = 120
# A program that lives a second or two: no time to optimise, little memory.
JAVA = {**os.environ, "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx256m"}
VALUE_END, BETWEEN = "<value-ends>", "<field-ends>"


def command(t: Stage, name: str, *arguments: str) -> list[str]:
    full = name if name.startswith(("kafka.", "org.")) else TOOLS + name
    return [sys.executable, str(ROOT / "scripts" / "kafka"), "tool", KAFKA, full,
            "--bootstrap-server", t.address, *arguments]


def tool(t: Stage, name: str, *arguments: str, stdin: bytes = b"", status: int | None = 0) -> Done:
    return t.run(command(t, name, *arguments), stdin, SECONDS, status, JAVA)


def groups_tool(t: Stage, *arguments: str) -> str:
    return tool(t, "consumer.group.ConsumerGroupCommand", *arguments).text


def properties(**values: str) -> list[str]:
    return [word for key, value in values.items() for word in ("--property", f"{key.replace('_', '.')}={value}")]


def java_writes(t: Stage, topic: str, pairs: list[tuple[bytes | None, bytes | None]], codec: str = "none",
                headers: str = "") -> None:
    lines = b"".join(BETWEEN.encode().join(([headers.encode()] if headers else []) + [b"NULL" if part is None else part
                                                                                   for part in pair]) + b"\n"
                     for pair in pairs)
    tool(t, "ConsoleProducer", "--topic", topic, "--compression-codec", codec,
         *properties(parse_key="true", key_separator=BETWEEN, null_marker="NULL", parse_headers=str(bool(headers)).lower(),
                     headers_delimiter=BETWEEN), stdin=lines)


def java_reads(t: Stage, topic: str, count: int, *options: str) -> list[Record]:
    out = tool(t, "consumer.ConsoleConsumer", "--topic", topic, "--max-messages", str(count), "--timeout-ms", "20000",
               *(options or ("--from-beginning",)),
               *properties(print_timestamp="true", print_partition="true", print_offset="true", print_headers="true",
                           print_key="true", key_separator=BETWEEN, line_separator=VALUE_END, null_literal="NULL")).out
    records = []
    for line in out.split(VALUE_END.encode())[:-1]:
        time, partition, offset, headers, key, value = line.split(BETWEEN.encode())
        headers = headers.replace(b":", b"=")
        records.append(Record(int(partition.split(b":")[1]), int(offset.split(b":")[1]), int(time.split(b":")[1]),
                              None if key == b"NULL" else key, None if value == b"NULL" else value,
                              b"" if headers == b"NO_HEADERS" else headers))
    expect_equal(len(records), count, f"records that the Java consumer read from {topic}")
    return records


def some(codec: str, count: int = 300) -> list[tuple[bytes | None, bytes | None]]:
    """Text, as the Java tools want it: keys, null keys, tombstones and values that repeat themselves."""
    return [(None if n % 4 == 0 else b"key-%d" % (n % 17), None if n % 50 == 1 else b"%d of %s: " % (n, codec.encode())
             + "größer ".encode() * (n % 40)) for n in range(count)]


# --- console producer and consumer --------------------------------------------------------------------------------------


@case("java", CODECS)
def java_producer(t: Stage, codec: str) -> str:
    "What the Java console producer writes, kcat and the command line read"
    topic, sent = t.topic(), some(codec)
    java_writes(t, topic, sent, codec, "codec:" + codec + ",same:1,same:2")
    for reader in BOTH:
        seen = reader.read(t, topic)
        expect_equal([r.pair for r in seen], sent, f"records read by {reader.name}")
        expect_equal({r.headers for r in seen}, {f"codec={codec},same=1,same=2".encode()}, f"headers read by {reader.name}")
    return f"{len(sent)} records"


@case("java")
def java_consumer(t: Stage) -> str:
    "What kcat and the command line write in every codec, the Java console consumer reads as they do"
    topic = t.topic(partitions=3)
    for codec in CODECS:
        for number, writer in enumerate(BOTH):
            pairs = [(key, value) for key, value in some(codec) if key is not None]
            writer.write(t, topic, pairs, codec, ("-H", f"codec={codec}", "-p", str(number)))
    for partition, reader in ((0, Kcat), (1, Cli)):
        by_us = reader.read(t, topic, "-p", str(partition))
        by_java = java_reads(t, topic, len(by_us), "--partition", str(partition), "--offset", "earliest")
        expect_equal(by_java, by_us, f"records of partition {partition}")
    return f"{2 * len(by_us)} records"


@case("java")
def java_transactions(t: Stage) -> str:
    "The Java tools list, describe and abort the transactions of kcat, and read what was committed"
    topic, name = t.topic(), f"id-{t.name}"
    Kcat.write(t, topic, [(b"k", b"%d" % n) for n in range(20)], options=transactional(name))
    expect_equal([r.value for r in java_reads(t, topic, 20, "--from-beginning", "--isolation-level", "read_committed")],
                 [b"%d" % n for n in range(20)], "committed records")
    running = open_transaction(t, topic, name, long_lines(b"open"))
    listed = tool(t, "TransactionsCommand", "list").text
    expect(re.search(rf"^{name}\s+\d+\s+\d+\s+Ongoing", listed, re.M), "it is listed")
    described = tool(t, "TransactionsCommand", "describe", "--transactional-id", name).text
    expect(re.search(rf"{name}\s+\d+\s+\d+\s+Ongoing\s.*{topic}-0", described), "it is described")
    producers = tool(t, "TransactionsCommand", "describe-producers", "--topic", topic, "--partition", "0").text
    expect(re.search(r"^\d+\s+\d+\s+-?\d+\s+\d+\s+\d+\s+21\s*$", producers, re.M), "its first offset is told")
    running.kill()
    tool(t, "TransactionsCommand", "abort", "--topic", topic, "--partition", "0", "--start-offset", "21")
    Kcat.write(t, topic, [(b"k", b"behind")])
    expect_equal([r.value for r in Kcat.read(t, topic)][20:], [b"behind"], "what nothing holds back any more")
    # For its coordinator it goes on: a successor ends it, before its time is over in the middle of another case.
    Kcat.write(t, topic, [(b"k", b"after")], options=transactional(name))
    expect_equal([r.value for r in Kcat.read(t, topic)][20:], [b"behind", b"after"], "what the successor wrote")
    return "20 records, one transaction aborted"


@case("java")
def java_big_values(t: Stage) -> str:
    "Values of almost a megabyte from and to Java"
    topic = t.topic()
    big = bytes(ord("a") + (n * n) % 23 for n in range(1_000_000))
    java_writes(t, topic, [(b"from java", big)])
    Kcat.write(t, topic, [(b"from kcat", big[:-2000])])
    Cli.write(t, topic, [(b"from penstock", big)], "zstd")
    by_java = java_reads(t, topic, 3)
    for reader in BOTH:
        expect(reader.read(t, topic) == by_java, f"{reader.name} and Java read the same")
    expect_equal([len(r.value or b"") for r in by_java], [1_000_000, 998_000, 1_000_000], "sizes")
    return "3 records"


@case("java")
def java_groups(t: Stage) -> str:
    "The Java consumer, kcat and the command line go on where the others of their group stopped"
    topic, group = t.topic(), f"group-{t.name}"
    Kcat.write(t, topic, [(None, b"%d" % n) for n in range(100)])
    at = 0
    for _ in range(2):
        seen = java_reads(t, topic, 9, "--group", group, "--from-beginning")
        expect_equal([r.value for r in seen], [b"%d" % n for n in range(at, at + 9)], "records of Java")
        seen = t.cli("consume", "--topic", topic, "--group", group, "--from-beginning", "--count", "5").text
        expect_equal(seen.split(), [str(n) for n in range(at + 9, at + 14)], "records of the command line")
        seen = t.run(kcat(t, "-G", group, "-c", "6", "-X", "auto.offset.reset=earliest", topic)).text
        expect_equal(seen.split(), [str(n) for n in range(at + 14, at + 20)], "records of kcat")
        at += 20
    listed = groups_tool(t, "--list").split()
    expect(group in listed, f"{group} is among {listed}")
    row = next(line.split() for line in groups_tool(t, "--describe", "--group", group).splitlines() if topic in line)
    expect_equal(row[:6], [group, topic, "0", "40", "100", "60"], "group, topic, partition, committed, end, lag")
    return "40 records in 6 turns"


class JavaMember:
    """VerifiableConsumer, which tells in JSON what it was assigned and has read."""

    def __init__(self, t: Stage, group: str, topic: str, *options: str):
        self.running: Running = t.start(command(t, "VerifiableConsumer", "--topic", topic, "--group-id", group,
                                                "--reset-policy", "earliest", "--verbose", *options), JAVA)

    def events(self, name: str) -> list[dict]:
        found = []
        for line in list(self.running.out):
            if line.startswith(b"{") and line.endswith(b"\n"):
                event = json.loads(line)
                if event["name"] == name:
                    found.append(event)
        return found

    def values(self) -> list[bytes]:
        return [event["value"].encode() for event in self.events("record_data")]

    def assigned(self) -> set[int]:
        """What came and did not go again: cooperative members are told no more than that."""
        now: set[int] = set()
        for line in list(self.running.out):
            if line.startswith(b"{") and line.endswith(b"\n") and (event := json.loads(line))["name"].startswith(
                    "partitions_"):
                told = {p["partition"] for p in event["partitions"]}
                now = now | told if event["name"] == "partitions_assigned" else now - told
        return now

    def wait_assigned(self, count: int) -> None:
        self.running.wait_for(lambda: len(self.assigned()) == count, f"it had {count} partitions", SECONDS)

    @property
    def records(self) -> list[Record]:
        return [Record(e["partition"], e["offset"], -1, None, e["value"].encode()) for e in self.events("record_data")]


@case("java", {"Range": "range", "RoundRobin": "roundrobin", "CooperativeSticky": "cooperative-sticky"}.items())
def a_group_of_three_kinds(t: Stage, which: tuple[str, str]) -> str:
    "Java, kcat and the command line share a topic: each record goes to one of them, once"
    java_name, assignor = which
    topic, group = t.topic(partitions=6), f"group-{t.name}"

    def send(first: int) -> list[bytes]:
        values = [b"%d" % n for n in range(first, first + 300)]
        for partition in range(6):
            Kcat.write(t, topic, [(None, v) for v in values[partition::6]], options=("-p", str(partition)))
        return values
    java = JavaMember(t, group, topic, "--assignment-strategy",
                      f"org.apache.kafka.clients.consumer.{java_name}Assignor")
    java.wait_assigned(6)
    values = send(0)
    wait_for_all([java], values, SECONDS)
    theirs = Member.kcat(t, group, topic, "-X", f"partition.assignment.strategy={assignor}")
    ours = Member.cli(t, group, topic, "--assignor", assignor)
    java.wait_assigned(2)
    theirs.wait_assigned(2, SECONDS)
    java.wait_assigned(2)
    values += send(300)
    wait_for_all([java, theirs, ours], values, SECONDS)
    seen = sorted(int(v) for member in (java, theirs, ours) for v in member.values())
    expect_equal(seen, list(range(600)), "records over all members, each once")
    members = groups_tool(t, "--describe", "--group", group, "--members").strip().splitlines()
    expect_equal(sorted(line.split()[4] for line in members if line.startswith(group)), ["2", "2", "2"],
                 "partitions of the members, as Kafka's tool sees them")
    expect(len(theirs.values()) >= 100 and len(ours.values()) >= 100, "each had its share")
    theirs.stop()
    ours.stop()
    java.wait_assigned(6)
    values += send(600)
    wait_for_all([java], values[600:], SECONDS)
    java.running.stop(seconds=SECONDS)
    return f"{len(values)} records, 6 partitions"


@case("java", ("sticky", "consumer"))
def a_group_of_two_kinds(t: Stage, how: str) -> str:
    "Java and the command line share a topic by what kcat does not know: sticky, and the broker as assignor"
    if how == "consumer" and isinstance(t.broker, Penstock):
        return "the embedded broker assigns nothing"
    topic, group = t.topic(partitions=6), f"group-{t.name}"
    theirs, ours = {"sticky": (("--assignment-strategy", "org.apache.kafka.clients.consumer.StickyAssignor"),
                               ("--assignor", "sticky")),
                    "consumer": (("--group-protocol", "consumer"), ("--group-protocol", "consumer"))}[how]
    java = JavaMember(t, group, topic, *theirs)
    java.wait_assigned(6)
    cli = Member.cli(t, group, topic, *ours)
    java.wait_assigned(3)
    values = [b"%d" % n for n in range(300)]
    for partition in range(6):
        Kcat.write(t, topic, [(None, v) for v in values[partition::6]], options=("-p", str(partition)))
    wait_for_all([java, cli], values, SECONDS)
    expect_equal(len(cli.values()), 150, "records of the command line")
    cli.stop()
    java.wait_assigned(6)
    java.running.stop(seconds=SECONDS)
    return "300 records, 6 partitions"


# --- what administrators use --------------------------------------------------------------------------------------------


@case("java")
def kafka_topics(t: Stage) -> str:
    "kafka-topics makes, describes, enlarges, lists and deletes"
    name = f"{t.name}-made"
    tool(t, "TopicCommand", "--create", "--topic", name, "--partitions", "2", "--config", "retention.ms=3600000")
    shown = tool(t, "TopicCommand", "--describe", "--topic", name).text
    expect(re.search(rf"Topic: {name}\s+TopicId: \S{{22}}\s+PartitionCount: 2\s+ReplicationFactor: 1\s+Configs: "
                     r"\S*retention.ms=3600000", shown), f"its description: {shown}")
    expect_equal(len(re.findall(r"Partition: \d\s+Leader: 1\s+Replicas: 1\s+Isr: 1", shown)), 2, "partitions described")
    Kcat.write(t, name, [(None, b"before")], options=("-p", "1"))
    tool(t, "TopicCommand", "--alter", "--topic", name, "--partitions", "5")
    Cli.write(t, name, [(None, b"after")], options=("-p", "4"))
    expect_equal(sorted((r.partition, r.value) for r in Kcat.read(t, name)), [(1, b"before"), (4, b"after")], "records")
    refused = tool(t, "TopicCommand", "--alter", "--topic", name, "--partitions", "3", status=1)
    expect("5 partition" in refused.text + refused.complaint, "fewer partitions are refused with the number there is")
    expect(name in t.cli("topic", "list").text.split(), "the command line lists it")
    expect(name in tool(t, "TopicCommand", "--list").text.split(), "kafka-topics lists it")
    tool(t, "TopicCommand", "--delete", "--topic", name)
    expect(name not in tool(t, "TopicCommand", "--list").text.split(), "it is listed no more")
    refused = tool(t, "TopicCommand", "--create", "--topic", f"{name}2", "--replication-factor", "3", status=1)
    expect("InvalidReplicationFactor" in refused.text + refused.complaint, "a replication factor of 3 is refused")
    return "8 commands"


@case("java")
def kafka_consumer_groups(t: Stage) -> str:
    "kafka-consumer-groups resets and deletes offsets, and deletes groups"
    topic, group = t.topic(partitions=2), f"group-{t.name}"
    for partition in range(2):
        Kcat.write(t, topic, [(None, b"%d" % n) for n in range(30)], options=("-p", str(partition)))
    member = Member.kcat(t, group, topic)
    member.wait_assigned(2)
    state = groups_tool(t, "--describe", "--group", group, "--state").split()
    expect("Stable" in state, f"the state of the group with a member: {state}")
    refused = tool(t, "consumer.group.ConsumerGroupCommand", "--delete", "--group", group, status=None)
    expect("NonEmpty" in refused.text + refused.complaint or "not empty" in refused.text + refused.complaint,
           "a group with members is not deleted")
    wait_for_all([member], [b"29"])
    member.stop()

    def committed() -> dict[str, str]:
        rows = [line.split() for line in groups_tool(t, "--describe", "--group", group, "--offsets").splitlines()]
        return {row[2]: row[3] for row in rows if topic in row}
    expect_equal(committed(), {"0": "30", "1": "30"}, "committed offsets")
    groups_tool(t, "--reset-offsets", "--group", group, "--topic", f"{topic}:0", "--to-offset", "7", "--execute")
    groups_tool(t, "--reset-offsets", "--group", group, "--topic", f"{topic}:1", "--shift-by", "-3", "--execute")
    expect_equal(committed(), {"0": "7", "1": "27"}, "offsets after the reset")
    seen = t.cli("consume", "--topic", topic, "--group", group, "--count", "26").text.split()
    expect_equal(sorted(map(int, seen)), sorted([*range(7, 30), *range(27, 30)]), "records after the reset")
    groups_tool(t, "--delete-offsets", "--group", group, "--topic", f"{topic}:0")
    expect_equal(committed(), {"1": "30"}, "offsets after one was deleted")
    expect("successful" in groups_tool(t, "--delete", "--group", group), "the group is deleted")
    expect(group not in groups_tool(t, "--list").split(), "it is listed no more")
    expect(group not in t.cli("group", "list").text.split(), "the command line does not list it either")
    return "11 commands"


@case("java")
def kafka_configs(t: Stage) -> str:
    "kafka-configs describes and changes settings of topics, and describes the broker"
    topic = t.topic(retention_ms="3600000")

    def described(*which: str) -> str:
        return tool(t, "kafka.admin.ConfigCommand", "--describe", *which).text
    expect("retention.ms=3600000" in described("--topic", topic), "what it was made with")
    tool(t, "kafka.admin.ConfigCommand", "--alter", "--topic", topic, "--add-config",
         "max.message.bytes=2000,cleanup.policy=[compact,delete]")
    shown = described("--topic", topic)
    for setting in ("retention.ms=3600000", "max.message.bytes=2000", "cleanup.policy=compact,delete"):
        expect(setting in shown, f"{setting} is shown: {shown}")
    t.cli("produce", "--topic", topic, "-K", ":", stdin=b"k:" + b"x" * 3000 + b"\n", status=1)
    tool(t, "kafka.admin.ConfigCommand", "--alter", "--topic", topic, "--delete-config", "max.message.bytes")
    expect("max.message.bytes" not in described("--topic", topic), "a deleted setting has its default again")
    t.cli("produce", "--topic", topic, "-K", ":", stdin=b"k:" + b"x" * 3000 + b"\n")
    refused = tool(t, "kafka.admin.ConfigCommand", "--alter", "--topic", topic, "--add-config", "retention.ms=soon",
                   status=None)
    expect("InvalidConfiguration" in refused.complaint or "Invalid" in refused.text + refused.complaint,
           "a wrong value is refused")
    expect("default" in described("--topic", topic, "--all").lower(), "all settings, with their defaults")
    expect("num.partitions" in described("--broker", "1", "--all"), "the broker's")
    return "8 commands"


@case("java")
def kafka_delete_records(t: Stage) -> str:
    "kafka-delete-records moves the beginning of a partition, for everybody and over a restart"
    topic = t.topic(partitions=2)
    for partition in range(2):
        Kcat.write(t, topic, [(None, b"%d" % n) for n in range(50)], options=("-p", str(partition)))
    file = t.directory / f"{t.name}.json"
    file.write_text(json.dumps({"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": 20},
                                                             {"topic": topic, "partition": 1, "offset": -1}]}))
    said = tool(t, "DeleteRecordsCommand", "--offset-json-file", str(file)).text
    expect_equal(sorted(re.findall(r"low_watermark: (\d+)", said)), ["20", "50"], "low watermarks")

    def check(when: str) -> None:
        for reader in BOTH:
            expect_equal([(r.partition, r.offset) for r in reader.read(t, topic)], [(0, n) for n in range(20, 50)],
                         f"records {when}, read by {reader.name}")
    check("after the deletion")
    offsets = tool(t, "GetOffsetShell", "--topic", topic, "--time", "-2").text.split()
    expect_equal(sorted(offsets), [f"{topic}:0:20", f"{topic}:1:50"], "first offsets")
    t.broker.restart()
    check("after a restart")
    return "70 of 100 records"


@case("java")
def kafka_get_offsets(t: Stage) -> str:
    "kafka-get-offsets finds the first, the last, the newest record's and those of a time"
    topic = t.topic(partitions=2)
    Kcat.write(t, topic, [(None, b"%d" % n) for n in range(20)], options=("-p", "0"))
    Cli.write(t, topic, [(None, b"%d" % n) for n in range(5)], options=("-p", "1"))
    newest = {p: max(r.timestamp for r in Kcat.read(t, topic, "-p", str(p))) for p in (0, 1)}

    def offsets(time: str) -> dict[str, str]:
        lines = tool(t, "GetOffsetShell", "--topic", topic, "--time", time).text.split()
        return {line.split(":")[1]: line.split(":")[2] for line in lines}
    expect_equal(offsets("-1"), {"0": "20", "1": "5"}, "last offsets")
    expect_equal(offsets("-2"), {"0": "0", "1": "0"}, "first offsets")
    newest_at = offsets("max-timestamp")
    for partition, offset in newest_at.items():
        record = Kcat.read(t, topic, "-p", partition)[int(offset)]
        expect_equal(record.timestamp, newest[int(partition)], f"time of the newest record of partition {partition}")
    later = offsets(str(max(newest.values()) + 3_600_000))
    expect(set(later.values()) <= {"", "-1", "20", "5"}, f"a time to come: {later}")
    return "4 questions"


@case("java", only_on="penstock")
def kafka_dump_log(t: Stage) -> str:
    "kafka-dump-log finds every batch of the broker's files sound, its indexes too"
    broker = t.own_broker()
    sent = 0
    for number, codec in enumerate(CODECS):
        for writer in (["kcat", "-P", "-b", broker.address, "-t", "t", "-z", codec, "-X", "enable.idempotence=true"],
                       [t.penstock, "produce", "--brokers", broker.address, "--topic", "t", "-z", codec]):
            t.run(writer, stdin=b"".join(b"%d of %s %d\n" % (n, codec.encode(), number) for n in range(500)))
            sent += 500
    t.run(["kcat", "-b", broker.address, "-G", "g", "-c", "10", "-X", "auto.offset.reset=earliest", "t"])
    broker.stop()
    files = sorted(broker.directory.glob("*/*.log")) + sorted(broker.directory.glob("*/*.index"))
    expect(any(file.parent.name == "t-0" for file in files), f"there is a log of the partition: {files}")
    dumped = t.run([sys.executable, str(ROOT / "scripts" / "kafka"), "tool", KAFKA, "kafka.tools.DumpLogSegments",
                    "--deep-iteration", "--files", ",".join(map(str, files))], seconds=SECONDS, env=JAVA).text
    batches = re.findall(r"^baseOffset: .*?compresscodec: (\w+) .*isvalid: (\w+)", dumped, re.M)
    expect(batches and all(valid == "true" for _, valid in batches), f"all {len(batches)} batches are sound")
    part = dumped[dumped.index("/t-0/"):]
    offsets = [int(n) for n in re.findall(r"^\| offset: (\d+)", part, re.M)]
    expect_equal(offsets, list(range(sent)), "offsets in the log")
    expect_equal({codec.lower() for codec, _ in re.findall(r"compresscodec: (\w+)( )", part)}, set(CODECS), "codecs")
    expect("mismatch" not in dumped.lower() and "Non-consecutive" not in dumped, "nothing amiss")
    return f"{len(batches)} batches in {len(files)} files"


@case("java")
def kafka_perf_tests(t: Stage) -> str:
    "kafka-producer-perf-test and kafka-consumer-perf-test"
    topic = t.topic(partitions=4)
    props = ("--producer-props", f"bootstrap.servers={t.address}", "acks=all", "compression.type=lz4", "linger.ms=5")
    java = [sys.executable, str(ROOT / "scripts" / "kafka"), "tool", KAFKA]
    said = t.run([*java, TOOLS + "ProducerPerformance", "--topic", topic, "--num-records", "100000", "--record-size", "100",
                  "--throughput", "-1", *props], seconds=SECONDS, env=JAVA).text
    expect(re.search(r"^100000 records sent", said, re.M), f"100000 records sent: {said}")
    said = tool(t, "ConsumerPerformance", "--topic", topic, "--messages", "100000", "--timeout", "30000").text
    row = [field.strip() for field in said.strip().splitlines()[-1].split(",")]
    expect_equal(row[4], "100000", "messages consumed")
    figures = json.loads(t.cli("perf", "consume", "--topic", topic, "--records", "100000").text)
    expect_equal((figures["records"], figures["bytes"]), (100_000, 10_000_000), "records and bytes that ours reads")
    return "100000 records"


@case("java")
def what_the_broker_says_of_itself(t: Stage) -> str:
    "kafka-cluster and kafka-broker-api-versions"
    said = t.run(
        [sys.executable, str(ROOT / "scripts" / "kafka"), "tool", KAFKA, TOOLS + "ClusterTool", "cluster-id",
         "--bootstrap-server", t.address], seconds=SECONDS, env=JAVA).text
    expect(re.search(r"^Cluster ID: \S+$", said, re.M), f"a cluster id: {said}")
    said = tool(t, "BrokerApiVersionsCommand").text
    for api, low, high in (("Produce", 0, 13), ("Fetch", 4, 17), ("Metadata", 0, 13), ("ApiVersions", 0, 4)):
        found = re.search(rf"{api}\(\d+\): (\d+) to (\d+) \[usable", said)
        expect(found and int(found[1]) <= low and int(found[2]) >= high, f"{api} {low} to {high}: {found and found[0]}")
    return "2 commands"


if __name__ == "__main__":
    sys.exit(main(__doc__, "kcat", "java", "mvn"))
