# SPDX-License-Identifier: Apache-2.0
"""Cases: kcat (librdkafka) as a transactional producer, and what read_committed and read_uncommitted readers see."""

from harness import Running, Stage, await_until, case, expect, expect_equal
from peers import Kcat, kcat

UNCOMMITTED = ("-X", "isolation.level=read_uncommitted")


def transactional(name: str) -> tuple[str, ...]:
    return ("-X", f"transactional.id={name}")


def values(t: Stage, topic: str, *options: str) -> list[bytes | None]:
    return [r.value for r in Kcat.read(t, topic, *options)]


def long_lines(name: bytes) -> list[bytes]:
    """More than kcat reads of its input before it sends the first."""
    return [name + b"-%d-" % n + b"x" * 4000 for n in range(1000)]


def open_transaction(t: Stage, topic: str, name: str, lines: list[bytes]) -> Running:
    """A kcat in the middle of a transaction, some records of which are there."""
    running = t.start(kcat(t, "-P", "-t", topic, *transactional(name)))
    running.feed(b"".join(line + b"\n" for line in lines))
    await_until(lambda: lines[0] in values(t, topic, *UNCOMMITTED), "the open transaction's records came", 20)
    return running


@case("transactions", since="0.11")
def a_commit(t: Stage) -> str:
    "A transaction of kcat over four partitions: its records and nothing else, its marker takes an offset"
    topic = t.topic(partitions=4)
    for part in range(3):
        sent = [(b"key-%d" % (n % 10), b"%d-%d" % (part, n)) for n in range(300)]
        Kcat.write(t, topic, sent, options=transactional(t.name))
    expected = sorted(b"%d-%d" % (part, n) for part in range(3) for n in range(300))
    for options in ((), UNCOMMITTED):
        expect_equal(sorted(values(t, topic, *options)), expected, f"records with {options or 'read_committed'}")
    return "900 records in 3 transactions"


@case("transactions", since="0.11")
def an_open_one_is_not_seen(t: Stage) -> str:
    "Records of an open transaction, and what was committed behind them, are held back until it ends"
    topic = t.topic()
    Kcat.write(t, topic, [(None, b"before")])
    running = open_transaction(t, topic, t.name, long_lines(b"open"))
    Kcat.write(t, topic, [(None, b"behind")])
    expect_equal(values(t, topic), [b"before"], "records while it is open")
    running.end_of_input()
    expect_equal(running.wait().status, 0, "exit status of the producer")
    expect_equal(sorted(values(t, topic)), sorted([b"before", b"behind", *long_lines(b"open")]), "records after the commit")
    return "seen after the commit"


@case("transactions", since="0.11")
def one_whose_producer_died(t: Stage) -> str:
    "The next producer of the id aborts what the killed one left, and its records are never seen"
    topic = t.topic()
    for attempt in range(3):
        open_transaction(t, topic, t.name, long_lines(b"lost-%d" % attempt)).kill()
        Kcat.write(t, topic, [(None, b"kept-%d" % attempt)], options=transactional(t.name))
        expect_equal(values(t, topic), [b"kept-%d" % n for n in range(attempt + 1)], "committed records")
    seen = values(t, topic, *UNCOMMITTED)
    expect(all(b"lost-%d-0-" % n + b"x" * 4000 in seen for n in range(3)), "the lost ones are there, read_uncommitted")
    return "3 producers killed"


@case("transactions", ("0", "2"), only_on="penstock")
def the_broker_dies(t: Stage, version: str) -> str:
    "The broker is killed in the middle of a transaction: what was committed is there, the rest is not, nobody waits"
    own = t.own_broker("--transaction-version", version)
    t.broker = own
    topic = t.topic(partitions=2)
    Kcat.write(t, topic, [(None, b"%d" % n) for n in range(100)], options=transactional(t.name))
    running = open_transaction(t, topic, t.name, long_lines(b"open"))
    own.kill()
    own.start()
    expect_equal(sorted(values(t, topic)), sorted(b"%d" % n for n in range(100)), "committed records")
    running.end_of_input()
    expect(running.wait().status != 0, "the producer is told that its transaction was not committed")
    Kcat.write(t, topic, [(None, b"next")], options=transactional(t.name))
    expect_equal(sorted(values(t, topic)), sorted([b"next"] + [b"%d" % n for n in range(100)]), "committed records")
    return "100 records"
