#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The kafka-python client as a program, for tests/conformance/other_clients.py, which says what the commands are."""

import argparse
import base64
import json
import signal
import sys
import time
from collections.abc import Callable

from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import KafkaError, MessageSizeTooLargeError, TopicAlreadyExistsError, UnknownTopicOrPartitionError
from kafka.structs import OffsetAndMetadata

ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}


def decoded(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def produce(args: argparse.Namespace) -> None:
    producer = KafkaProducer(bootstrap_servers=args.brokers, compression_type=None if args.codec == "none" else args.codec)
    sent = []
    for line in sys.stdin:
        record = json.loads(line)
        sent.append(producer.send(args.topic, decoded(record["value"]), decoded(record["key"]),
                                  [(name, decoded(value)) for name, value in record["headers"]], record["partition"],
                                  record["timestamp"] if record["timestamp"] >= 0 else None))
    producer.flush(30)
    for future in sent:
        future.get(30)
    producer.close()


def show(record) -> None:
    """The line that kcat prints with -f '%p %o %T %K %S %k%s%h\\n'."""
    sizes = (-1 if part is None else len(part) for part in (record.key, record.value))
    headers = b",".join(name.encode() + b"=" + (b"NULL" if value is None else value) for name, value in record.headers)
    sys.stdout.buffer.write(b"%d %d %d %d %d " % (record.partition, record.offset, record.timestamp, *sizes)
                            + (record.key or b"") + (record.value or b"") + headers + b"\n")


class Told(ConsumerRebalanceListener):
    """Says on standard error what the member has."""

    def on_partitions_assigned(self, assigned) -> None:
        print("assigned", sorted(tp.partition for tp in assigned), file=sys.stderr, flush=True)

    def on_partitions_revoked(self, revoked) -> None:
        print("revoked", sorted(tp.partition for tp in revoked), file=sys.stderr, flush=True)


def seek_to_time(consumer: KafkaConsumer, milliseconds: int) -> None:
    found = consumer.offsets_for_times({tp: milliseconds for tp in consumer.assignment()})
    for tp, at in found.items():
        if at is None:
            consumer.seek_to_end(tp)
        else:
            consumer.seek(tp, at.offset)


def consume(args: argparse.Namespace) -> None:
    stop = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.append(True))
    consumer = KafkaConsumer(bootstrap_servers=args.brokers, group_id=args.group or None, auto_offset_reset="earliest",
                             enable_auto_commit=bool(args.group), heartbeat_interval_ms=500, session_timeout_ms=10_000,
                             partition_assignment_strategy=[ASSIGNORS[args.assignor]])
    if args.group:
        consumer.subscribe([args.topic], listener=Told())
    else:
        consumer.assign([TopicPartition(args.topic, p) for p in sorted(consumer.partitions_for_topic(args.topic))])
        consumer.seek_to_beginning()
        if args.from_time >= 0:
            seek_to_time(consumer, args.from_time)
    left = args.count if args.count >= 0 else 1 << 60
    while left > 0 and not stop:
        for records in consumer.poll(200, max_records=min(left, 100)).values():
            for record in records:
                show(record)
            left -= len(records)
        sys.stdout.flush()
    consumer.close()  # which commits what was polled, as a rebalance does


def equal(seen: object, expected: object, what: str) -> None:
    if seen != expected:
        raise ValueError(f"{what}: expected {expected!r}, saw {seen!r}")


def refused(with_error: type[KafkaError], call: Callable[[], object], what: str) -> None:
    try:
        call()
    except with_error:
        return
    raise ValueError(f"{what} was not refused with {with_error.__name__}")


def admin(args: argparse.Namespace) -> None:
    """The life of a topic and of a group by way of the admin API."""
    client = KafkaAdminClient(bootstrap_servers=args.brokers)
    made = {args.topic: {"num_partitions": 2, "replication_factor": 1, "configs": {"retention.ms": "3600000"}}}
    client.create_topics(made)
    refused(TopicAlreadyExistsError, lambda: client.create_topics(made), "making it again")
    client.create_partitions({args.topic: 3})
    equal(args.topic in client.list_topics(), True, "the topic is listed")
    equal(len(client.describe_topics([args.topic])[0]["partitions"]), 3, "partitions")
    resource = ConfigResource(ConfigResourceType.TOPIC, args.topic)
    equal("3600000" in str(client.describe_configs([resource])), True, "retention.ms is described")
    client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, args.topic, {"max.message.bytes": "5000"})])
    producer = KafkaProducer(bootstrap_servers=args.brokers)
    refused(MessageSizeTooLargeError, lambda: producer.send(args.topic, b"x" * 8000).get(30), "a record of 8000 bytes")
    producer.close()
    producer = KafkaProducer(bootstrap_servers=args.brokers)  # kafka-python's is of no use after such a failure
    last = [producer.send(args.topic, b"%d" % n, partition=1).get(30) for n in range(30)][-1]
    producer.close()
    equal(last.offset, 29, "offset of the last")
    partition = TopicPartition(args.topic, 1)
    equal(client.delete_records({partition: 10})[partition]["low_watermark"], 10, "low watermark")
    consumer = KafkaConsumer(bootstrap_servers=args.brokers)
    equal(consumer.beginning_offsets([partition])[partition], 10, "first offset")
    equal(consumer.end_offsets([partition])[partition], 30, "last offset")
    consumer.close()
    client.alter_group_offsets(args.group, {partition: OffsetAndMetadata(25, "a note", -1)})
    committed = client.list_group_offsets(args.group)[args.group][partition]
    equal((committed.offset, committed.metadata), (25, "a note"), "committed offset and metadata")
    equal(args.group in str(client.list_groups()), True, "the group is listed")
    equal("Empty" in str(client.describe_groups([args.group])), True, "state of the group")
    client.delete_groups([args.group])
    equal(args.group in str(client.list_groups()), False, "a deleted group is listed")
    client.delete_topics([args.topic])
    deadline = time.monotonic() + 20
    while args.topic in client.list_topics() and time.monotonic() < deadline:
        time.sleep(0.05)
    refused(UnknownTopicOrPartitionError, lambda: client.delete_topics([args.topic]), "deleting it again")
    broker, = client.describe_cluster()["brokers"]
    equal(f"{broker['host']}:{broker['port']}", args.brokers, "address of the broker")
    client.close()
    print("done")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = {"produce": produce, "consume": consume, "admin": admin}
    parser.add_argument("command", choices=commands)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--codec", default="none")
    parser.add_argument("--group", default="")
    parser.add_argument("--assignor", default="range", choices=ASSIGNORS)
    parser.add_argument("--count", type=int, default=-1)
    parser.add_argument("--from", dest="from_time", type=int, default=-1, help="a time in milliseconds")
    args = parser.parse_args()
    try:
        commands[args.command](args)
    except (KafkaError, ValueError, LookupError, OSError) as failure:
        print(f"kafka-python: {type(failure).__name__}: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
