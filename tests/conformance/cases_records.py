# SPDX-License-Identifier: Apache-2.0
"""Cases: the records that one writes and the other reads, and where reading begins."""

import random
import re
import time

from harness import CODECS, Stage, await_until, case, expect, expect_equal
from peers import BOTH, Cli, Kcat, assorted, by_partition, check_all_there, kcat

ALL_BYTES = bytes(range(256))
ZSTD = {"zstd": "2.1"}  # KIP-110


def random_bytes(count: int, seed: int, without: bytes = b"") -> bytes:
    """Bytes that no codec makes smaller."""
    return random.Random(seed).randbytes(count).translate(None, without)


@case("records", CODECS, since=ZSTD)
def kcat_writes_all_read(t: Stage, codec: str) -> str:
    "What kcat writes, kcat and the command line read"
    topic, sent = t.topic(partitions=4), assorted(1500, codec)
    Kcat.write(t, topic, sent, codec)
    for reader in BOTH:
        check_all_there(reader.read(t, topic), sent, reader.name)
    return f"{len(sent)} records, 4 partitions"


@case("records", CODECS, since=ZSTD)
def cli_writes_all_read(t: Stage, codec: str) -> str:
    "What the command line writes, kcat and the command line read"
    topic, sent = t.topic(partitions=4), assorted(1500, codec)
    Cli.write(t, topic, sent, codec)
    for reader in BOTH:
        check_all_there(reader.read(t, topic), sent, reader.name)
    return f"{len(sent)} records, 4 partitions"


@case("records")
def both_readers_see_the_same(t: Stage) -> str:
    "Offsets, timestamps, keys, values and headers are the same for both readers, whoever wrote"
    topic = t.topic(partitions=3)
    for number, codec in enumerate(t.codecs):
        options = ("-H", f"codec={codec}") if t.has("0.11") else ()
        for writer in BOTH:
            writer.write(t, topic, assorted(100, f"{codec}{writer.name}{number}"), codec, options)
    seen = [by_partition(reader.read(t, topic)) for reader in BOTH]
    for partition in range(3):
        expect_equal(seen[1].get(partition), seen[0].get(partition), f"partition {partition}, read by penstock and kcat")
    records = sum(len(part) for part in seen[0].values())
    expect_equal(records, 100 * len(t.codecs) * len(BOTH), "number of records")
    return f"{records} records"


@case("records")
def tombstones(t: Stage) -> str:
    "Null values, null keys, empty keys and empty values stay what they are"
    topic = t.topic()
    Kcat.write(t, topic, [(b"gone", None)])
    Kcat.write(t, topic, [(b"empty", b""), (None, b"no key"), (b"", b"empty key")])
    Cli.write(t, topic, [(b"gone", None)])
    Cli.write(t, topic, [(b"empty", b""), (None, b"no key"), (b"", b"empty key")])
    expected = [(b"gone", None), (b"empty", b""), (None, b"no key"), (b"", b"empty key")] * 2
    for reader in BOTH:
        expect_equal([r.pair for r in reader.read(t, topic)], expected, f"read by {reader.name}")
    return f"{len(expected)} records"


@case("records", since="0.11")
def headers(t: Stage) -> str:
    "Headers keep their order, repeat, and may be empty"
    topic = t.topic()
    options = ("-H", "trace=4711", "-H", "same=1", "-H", "same=2", "-H", "empty=")
    for writer in BOTH:
        writer.write(t, topic, [(b"k", b"v"), (None, b"w")], options=options)
    for reader in BOTH:
        expect_equal([r.headers for r in reader.read(t, topic)], [b"trace=4711,same=1,same=2,empty="] * 4,
                     f"headers read by {reader.name}")
    return "4 headers a record, from both writers"


@case("records")
def any_bytes(t: Stage) -> str:
    "Keys and values of any bytes: all 256 through kcat, all but the line break through the command line"
    topic = t.topic()
    from_kcat = [(ALL_BYTES, ALL_BYTES[::-1]), (b"\0", b"\0\0"), (None, b"\n"), (b"\xff" * 300, b"\r\n" * 300)]
    from_cli = [(key and key.replace(b"\n", b""), value.replace(b"\n", b"") or b"-") for key, value in from_kcat]
    Kcat.write(t, topic, from_kcat)
    Cli.write(t, topic, from_cli)
    for reader in BOTH:
        expect_equal([r.pair for r in reader.read(t, topic)], from_kcat + from_cli, f"read by {reader.name}")
    return f"{len(from_kcat + from_cli)} records"


@case("records", ("none", "lz4", "zstd"), since=ZSTD)
def big_values(t: Stage, codec: str) -> str:
    "Values of almost a megabyte that do not compress"
    topic = t.topic()
    big = [(None, random_bytes(998_000, number, b"\n<>")) for number in range(3)]
    for writer in BOTH:
        writer.write(t, topic, big, codec)
    for reader in BOTH:
        seen = [r.pair for r in reader.read(t, topic)]
        expect(seen == big * 2, f"{reader.name} read {[len(value or b'') for _, value in seen]} bytes, or other ones")
    return f"{len(big[0][1])} bytes, 3 from each writer"


@case("records")
def too_big_a_value(t: Stage) -> str:
    "A value above the topic's max.message.bytes is refused, and nothing of it stays"
    topic = t.topic(max_message_bytes="2000")
    big = random_bytes(5000, 1, b"\n<>")
    said = t.run(kcat(t, "-P", "-t", topic), stdin=big, status=1).complaint
    expect("size too large" in said, f"kcat was not told that the message is too large: {said}")
    said = t.cli("produce", "--topic", topic, stdin=big + b"\n", status=1).complaint
    expect(re.fullmatch(r"penstock: [^\n]*large[^\n]*\n", said.lower()), f"one sentence that says too large, not {said!r}")
    Kcat.write(t, topic, [(None, b"small")])
    expect_equal([r.value for r in Cli.read(t, topic)], [b"small"], "what is in the topic")
    return "both are told"


@case("records")
def times_of_creation(t: Stage) -> str:
    "Timestamps are the producer's time of the call"
    topic = t.topic()
    for writer in BOTH:
        before = time.time_ns() // 1_000_000
        writer.write(t, topic, [(None, b"x")] * 10)
        after = time.time_ns() // 1_000_000
        for reader in BOTH:
            for record in reader.read(t, topic)[-10:]:
                expect(before <= record.timestamp <= after, f"{record.timestamp} is between {before} and {after}")
    return "20 records"


@case("records")
def times_of_appending(t: Stage) -> str:
    "In a topic of log append time, the time is the broker's and never goes back"
    topic = t.topic(message_timestamp_type="LogAppendTime")
    before = time.time_ns() // 1_000_000
    for codec in t.codecs:
        for writer in BOTH:
            writer.write(t, topic, [(None, b"x")] * 10, codec)
    after = time.time_ns() // 1_000_000
    for reader in BOTH:
        times = [r.timestamp for r in reader.read(t, topic)]
        expect_equal(times, sorted(times), f"timestamps read by {reader.name}")
        expect_equal(len(times), 20 * len(t.codecs), f"number of records read by {reader.name}")
        expect(before <= times[0] and times[-1] <= after, f"{times} are all of {before}..{after}")
    return f"{20 * len(t.codecs)} records"


@case("records", CODECS[1:], since=ZSTD)
def codec_of_the_topic(t: Stage, codec: str) -> str:
    "A topic's own compression.type is used for what comes otherwise"
    topic, sent = t.topic(compression_type=codec), assorted(500, codec)
    Kcat.write(t, topic, sent[:250], "none")
    Cli.write(t, topic, sent[250:], "gzip" if codec != "gzip" else "lz4")
    for reader in BOTH:
        expect_equal([r.pair for r in reader.read(t, topic)], sent, f"read by {reader.name}")
    return f"{len(sent)} records"


@case("records")
def keys_choose_the_same_partition(t: Stage) -> str:
    "The command line puts a key where Kafka's partitioner puts it (kcat's murmur2_random)"
    topics = t.topic(partitions=12), t.topic(partitions=12)
    sent = [(b"key %d" % n + b"x" * (n % 7), b"%d" % n) for n in range(400)]
    Kcat.write(t, topics[0], sent, options=("-X", "topic.partitioner=murmur2_random"))
    Cli.write(t, topics[1], sent)
    where = [{r.key: r.partition for r in Kcat.read(t, topic)} for topic in topics]
    expect_equal(where[1], where[0], "partition of each key")
    return f"{len(where[0])} keys over {len(set(where[0].values()))} partitions"


@case("records")
def a_chosen_partition(t: Stage) -> str:
    "A record goes to the partition that was asked for, and is read from there alone"
    topic = t.topic(partitions=5)
    for partition in range(5):
        for writer in BOTH:
            writer.write(t, topic, [(b"k", b"%d" % partition)] * 3, options=("-p", str(partition)))
    for reader in BOTH:
        for partition in range(5):
            seen = reader.read(t, topic, "-p", str(partition))
            expect_equal([(r.partition, r.offset, r.value) for r in seen],
                         [(partition, n, b"%d" % partition) for n in range(6)], f"partition {partition} by {reader.name}")
    return "5 partitions"


@case("records")
def many_partitions(t: Stage) -> str:
    "A topic of 100 partitions"
    topic = t.topic(partitions=100)
    sent = [(b"key-%d" % (n % 1000), b"%d" % n) for n in range(4000)]
    Kcat.write(t, topic, sent[:2000], "lz4", ("-X", "topic.partitioner=murmur2_random"))
    Cli.write(t, topic, sent[2000:], "snappy")
    for reader in BOTH:
        check_all_there(reader.read(t, topic), sent, reader.name)
    return f"{len(sent)} records"


@case("records", ("0", "1", "all"))
def acknowledgements(t: Stage, acks: str) -> str:
    "kcat's acks are honoured"
    topic = t.topic()
    Kcat.write(t, topic, [(None, b"%d" % n) for n in range(200)], options=("-X", f"topic.acks={acks}"))
    # Nothing tells the producer of acks=0 when the broker is through with them.
    seen = await_until(lambda: (s := Kcat.read(t, topic)) and len(s) == 200 and s, "200 records were there", 20)
    expect_equal([r.value for r in seen], [b"%d" % n for n in range(200)], "records in order")
    return "200 records"


@case("records", since="0.11")
def idempotent_kcat(t: Stage) -> str:
    "kcat as an idempotent producer with five requests in flight"
    topic = t.topic(partitions=2)
    sent = [(b"key-%d" % (n % 10), b"%d" % n) for n in range(5000)]
    Kcat.write(t, topic, sent, "lz4", ("-X", "enable.idempotence=true", "-X", "batch.num.messages=50"))
    for reader in BOTH:
        check_all_there(reader.read(t, topic), sent, reader.name)
    return f"{len(sent)} records in batches of 50"


@case("records")
def compacted_topic_wants_keys(t: Stage) -> str:
    "A compacted topic refuses a record without a key"
    topic = t.topic(cleanup_policy="compact")
    Kcat.write(t, topic, [(b"k", b"1")])
    said = t.run(kcat(t, "-P", "-t", topic), stdin=b"no key", status=1).complaint
    expect(re.search("failed to validate record|Invalid message", said), f"kcat is told of a broken record: {said}")
    said = t.cli("produce", "--topic", topic, stdin=b"no key\n", status=1).complaint
    expect(re.fullmatch(r"penstock: [^\n]+\n", said), f"one sentence, not {said!r}")
    expect_equal([r.pair for r in Cli.read(t, topic)], [(b"k", b"1")], "what is in the topic")
    return "both are told"


def one_batch(t: Stage, topic: str, values: list[bytes], codec: str = "none") -> None:
    """Writes them so that they share one batch: kcat waits for them all."""
    Kcat.write(t, topic, [(None, value) for value in values], codec, ("-X", "linger.ms=500"))


@case("offsets", ("none", "zstd"), since=ZSTD)
def from_the_middle_of_a_batch(t: Stage, codec: str) -> str:
    "A fetch from the middle of a batch begins with the record asked for"
    topic = t.topic()
    one_batch(t, topic, [b"%d" % n for n in range(100)], codec)
    for start in (0, 1, 50, 99):
        seen = Kcat.read(t, topic, "-p", "0", "-o", str(start))
        expect_equal([r.offset for r in seen], list(range(start, 100)), f"offsets from {start}")
    expect_equal(Kcat.read(t, topic, "-p", "0", "-o", "100"), [], "records from the end")
    expect_equal([r.offset for r in Kcat.read(t, topic, "-p", "0", "-o", "-7")], list(range(93, 100)), "the last seven")
    return "100 records in a batch"


@case("offsets")
def a_count_stops_the_cli(t: Stage) -> str:
    "--count stops the command line in the middle of a batch"
    topic = t.topic()
    one_batch(t, topic, [b"%d" % n for n in range(100)])
    done = t.cli("consume", "--topic", topic, "--from-beginning", "--count", "42", "--format", r"%o\n")
    expect_equal(done.text.split(), [str(n) for n in range(42)], "offsets")
    return "42 of 100"


def three_moments(t: Stage, topic: str, writer) -> list[int]:
    """Ten records at each of three times; the times of the first of each ten."""
    starts = []
    for moment in range(3):
        if starts:
            last = Kcat.read(t, topic)[-1].timestamp
            await_until(lambda: time.time_ns() // 1_000_000 > last + 1, "the clock went on", 5)
        writer.write(t, topic, [(None, b"%d-%d" % (moment, n)) for n in range(10)])
        starts.append(Kcat.read(t, topic)[-10].timestamp)
    return starts


@case("offsets")
def by_time(t: Stage) -> str:
    "kcat finds offsets by time: the first record not older, the end when there is none"
    for writer in BOTH:
        topic = t.topic()
        starts = three_moments(t, topic, writer)
        for moment, start in enumerate(starts):
            seen = Kcat.read(t, topic, "-p", "0", "-o", f"s@{start}")
            expect_equal([r.offset for r in seen], list(range(moment * 10, 30)), f"offsets from time {start}")
            answer = t.run(kcat(t, "-Q", "-t", f"{topic}:0:{start}")).text
            expect(f"offset {moment * 10}" in answer, f"offset {moment * 10} for time {start}, not {answer!r}")
        seen = Kcat.read(t, topic, "-p", "0", "-o", f"s@{starts[1]}", "-o", f"e@{starts[2]}")
        expect_equal([r.offset for r in seen], list(range(10, 20)), "offsets between two times")
        later = t.run(kcat(t, "-Q", "-t", f"{topic}:0:{starts[2] + 3_600_000}")).text
        expect("offset -1" in later or "offset 30" in later, f"the end for a time to come, not {later!r}")
    return "3 moments, from both writers"


@case("offsets")
def first_and_last(t: Stage) -> str:
    "kcat asks for the first and the last offset of partitions"
    topic = t.topic(partitions=2)
    Kcat.write(t, topic, [(None, b"x")] * 5, options=("-p", "1"))
    answer = t.run(kcat(t, "-Q", "-t", f"{topic}:0:-1", "-t", f"{topic}:1:-1")).text
    expect_equal(sorted(re.findall(r"\[(\d)\] offset (\d+)", answer)), [("0", "0"), ("1", "5")], "last offsets")
    answer = t.run(kcat(t, "-Q", "-t", f"{topic}:0:-2", "-t", f"{topic}:1:-2")).text
    expect_equal(sorted(re.findall(r"\[(\d)\] offset (\d+)", answer)), [("0", "0"), ("1", "0")], "first offsets")
    return "2 partitions"


@case("offsets")
def an_offset_that_is_not_there(t: Stage) -> str:
    "An offset beyond the end is out of range: kcat goes where its reset says"
    topic = t.topic()
    Kcat.write(t, topic, [(None, b"%d" % n) for n in range(10)])
    seen = Kcat.read(t, topic, "-p", "0", "-o", "500", "-X", "topic.auto.offset.reset=smallest")
    expect_equal([r.offset for r in seen], list(range(10)), "offsets after the reset")
    said = t.run(kcat(t, "-C", "-e", "-t", topic, "-p", "0", "-o", "500", "-X", "topic.auto.offset.reset=error"),
                 status=None).complaint
    expect("out of range" in said, f"kcat was told that the offset is out of range: {said}")
    return "reset and error"


@case("offsets")
def small_fetches(t: Stage) -> str:
    "Fetches smaller than a record still move on"
    topic = t.topic(partitions=2)
    sent = [(b"key-%d" % n, random_bytes(3000, n, b"\n<>")) for n in range(60)]
    Kcat.write(t, topic, sent, options=("-X", "batch.num.messages=4"))
    seen = Kcat.read(t, topic, "-X", "fetch.message.max.bytes=100", "-X", "fetch.max.bytes=1000",
                     "-X", "message.max.bytes=1000")
    check_all_there(seen, sent, "kcat with small fetches")
    return "60 records of 3000 bytes"


@case("offsets")
def a_fetch_waits_for_news(t: Stage) -> str:
    "A consumer at the end is told of a new record at once, not when its longest wait is over"
    topic = t.topic()
    Kcat.write(t, topic, [(None, b"first")])
    reader = t.start(kcat(t, "-C", "-u", "-q", "-t", topic, "-o", "beginning", "-X", "fetch.wait.max.ms=60000"))
    reader.wait_for_line("^first$")
    began = time.monotonic()
    Kcat.write(t, topic, [(None, b"second")])
    reader.wait_for_line("^second$", 20)
    took = time.monotonic() - began
    expect(took < 10, f"it took {took:.1f} s")
    cli = t.start([t.penstock, "consume", "--brokers", t.address, "--topic", topic, "--from-beginning"])
    cli.wait_for_line("^second$")
    Kcat.write(t, topic, [(None, b"third")])
    for running in (reader, cli):
        running.wait_for_line("^third$", 20)
    return f"after {took * 1000:.0f} ms"
