# SPDX-License-Identifier: Apache-2.0
"""Cases: metadata, the life of topics, and what the command line says when something cannot be."""

import json
import re
import time

from harness import Stage, await_until, case, expect, expect_equal
from peers import BOTH, Cli, Kcat, kcat


def listed(t: Stage, topic: str = "") -> dict:
    """What kcat -L has: {"brokers": ..., "topics": ...}."""
    return json.loads(t.run(kcat(t, "-L", "-J", *(("-t", topic) if topic else ()))).out)


def partitions_of(t: Stage, topic: str) -> int:
    """As kcat sees it; 0 when there is no such topic."""
    return next((len(entry["partitions"]) for entry in listed(t)["topics"] if entry["topic"] == topic), 0)


@case("topics")
def metadata(t: Stage) -> str:
    "kcat -L shows the broker at the address it was found at, and all partitions with their leader"
    topic = t.topic(partitions=7)
    seen = listed(t)
    expect_equal([broker["name"] for broker in seen["brokers"]], [t.address], "brokers")
    node = seen["brokers"][0]["id"]
    expect_equal(seen["controllerid"], node, "controller")
    entry = next(entry for entry in seen["topics"] if entry["topic"] == topic)
    expect_equal([(p["partition"], p["leader"], p["replicas"], p["isrs"]) for p in entry["partitions"]],
                 [(n, node, [{"id": node}], [{"id": node}]) for n in range(7)], "partitions")
    return "1 broker, 7 partitions"


@case("topics")
def a_topic_lives(t: Stage) -> str:
    "The command line makes, lists, describes and deletes a topic, and kcat sees it come and go"
    name = f"{t.name}-made"
    t.cli("topic", "create", name, "--partitions", "6", "--replication-factor", "1")
    expect_equal(partitions_of(t, name), 6, "partitions that kcat sees")
    Kcat.write(t, name, [(None, b"x")] * 4, options=("-p", "2"))
    expect(name in t.cli("topic", "list").text.splitlines(), "it is listed")
    table = t.cli("topic", "describe", name).text.splitlines()
    rows = [line.split()[:4] for line in table if re.match(r" *\d", line)]
    expect_equal([(row[0], row[2], row[3]) for row in rows],
                 [(str(n), "0", "4" if n == 2 else "0") for n in range(6)], "partition, first offset, end")
    t.cli("topic", "delete", name)
    await_until(lambda: partitions_of(t, name) == 0, "kcat saw that it was gone")
    expect(name not in t.cli("topic", "list").text.splitlines(), "it is listed no more")
    t.cli("topic", "describe", name, status=1)
    return "6 partitions"


@case("topics")
def made_again(t: Stage) -> str:
    "A topic that was deleted and made again is empty, and has the new number of partitions"
    name = f"{t.name}-again"
    for partitions in (3, 1, 2):
        create = [t.penstock, "topic", "create", name, "--partitions", str(partitions), "--replication-factor", "1",
                  "--brokers", t.address]
        # A Kafka with ZooKeeper may refuse the name for a moment after it has told clients that the topic is gone.
        await_until(lambda words=create: t.run(words, status=None).status == 0, "the topic could be made", 20)
        await_until(lambda n=partitions: partitions_of(t, name) == n, "kcat saw it")
        for reader in BOTH:
            expect_equal(reader.read(t, name), [], f"records at first, read by {reader.name}")
        Kcat.write(t, name, [(None, b"%d" % partitions)] * 5, options=("-p", "0"))
        expect_equal([r.value for r in Cli.read(t, name)], [b"%d" % partitions] * 5, "records of its own")
        t.cli("topic", "delete", name)
        await_until(lambda: partitions_of(t, name) == 0, "kcat saw that it was gone")
    return "3 lives"


@case("topics", since="0.11")  # older brokers make it again for kcat, who asks for it
def deleted_under_a_consumer(t: Stage) -> str:
    "A consumer whose topic is deleted is told so"
    topic = t.topic()
    Kcat.write(t, topic, [(None, b"first")])
    readers = [t.start(kcat(t, "-C", "-u", "-t", topic, "-o", "beginning")),
               t.start([t.penstock, "consume", "--brokers", t.address, "--topic", topic, "--from-beginning"])]
    for reader in readers:
        reader.wait_for_line("^first$")
    t.cli("topic", "delete", topic)
    done = readers[0].wait()
    expect(done.status != 0 and re.search("[Uu]nknown (topic|partition)", done.complaint), f"kcat says why:\n{done}")
    done = readers[1].wait()
    expect(done.status == 1 and re.fullmatch(rf"penstock: [^\n]*{topic}[^\n]*\n", done.complaint),
           f"the command line names the topic in one sentence:\n{done}")
    return "kcat and the command line"


@case("topics")
def names_that_cannot_be(t: Stage) -> str:
    "Names and numbers that cannot be are refused with one sentence"
    numbers = ("--partitions", "1", "--replication-factor")
    for name in ("a b", "a/b", ".", "..", "x" * 250, "ü"):
        said = t.cli("topic", "create", name, *numbers, "1", status=1).complaint
        expect(re.fullmatch(r"penstock: [^\n]+\n", said), f"one sentence about {name!r}, not {said!r}")
    said = t.cli("topic", "create", f"{t.name}-rf", *numbers, "3", status=1).complaint
    expect(re.fullmatch(r"penstock: [^\n]*replication[^\n]*\n", said.lower()), f"about the replication factor, not {said!r}")
    topic = t.topic()
    said = t.cli("topic", "create", topic, *numbers, "1", status=1).complaint
    expect(re.fullmatch(rf"penstock: [^\n]*{topic}[^\n]*\n", said), f"it says that {topic} exists, not {said!r}")
    return "8 refusals"


@case("topics", only_on="penstock")
def made_on_first_use(t: Stage) -> str:
    "Topics are made on first use, with the broker's number of partitions, unless it was told not to"
    willing, strict = t.own_broker("--partitions", "3"), t.own_broker("--no-auto-create")
    for number, broker in enumerate((willing, strict)):
        produce = ["kcat", "-P", "-b", broker.address, "-X", "message.timeout.ms=3000", "-X",
                   "topic.metadata.propagation.max.ms=1000", "-t"]
        t.run([*produce, "by-kcat"], stdin=b"x\n", status=number)
        t.cli("produce", "--topic", "by-cli", stdin=b"x\n", status=number, at=broker.address)
        listing = t.cli("topic", "list", at=broker.address).text.split()
        expect_equal(listing, [] if number else ["by-cli", "by-kcat"], "topics")
    told = t.cli("topic", "describe", "by-kcat", at=willing.address).text
    expect_equal(len(re.findall(r"^ *\d+ ", told, re.M)), 3, "partitions of the one that was made")
    t.cli("consume", "--topic", "by-reading", status=1, at=willing.address)
    expect("by-reading" not in t.cli("topic", "list", at=willing.address).text, "a consumer makes no topic")
    return "made, and refused"


@case("topics", since="0.11")
def settings(t: Stage) -> str:
    "Settings of a topic are kept and shown; unknown ones and wrong values are refused"
    name = f"{t.name}-set"
    one = ("--partitions", "1", "--replication-factor", "1")
    t.cli("topic", "create", name, *one, "-c", "retention.ms=3600000", "-c", "cleanup.policy=compact")
    shown = t.cli("topic", "describe", name).text
    for setting in ("retention.ms=3600000", "cleanup.policy=compact"):
        expect(setting in shown, f"{setting} is shown")
    for wrong in ("no.such.setting=1", "retention.ms=soon", "cleanup.policy=shred"):
        said = t.cli("topic", "create", f"{t.name}-wrong", *one, "-c", wrong, status=1).complaint
        expect(re.fullmatch(r"penstock: [^\n]+\n", said) and wrong.split("=")[0] in said,
               f"one sentence about {wrong}, not {said!r}")
    return "2 kept, 3 refused"


def one_sentence(t: Stage, command: list[str], *words: str, stdin: bytes = b"", status: int = 1) -> None:
    done = t.run([t.penstock, *command], stdin=stdin, status=status)
    expect_equal(done.out, b"", f"output of {command}")
    expect(re.fullmatch(r"penstock: [^\n]+\n", done.complaint), f"one plain sentence, not {done.complaint!r}")
    for word in words:
        expect(word in done.complaint, f"it names {word}: {done.complaint!r}")


@case("errors")
def what_is_not_there(t: Stage) -> str:
    "Topics, partitions and groups that are not there"
    at, topic = ["--brokers", t.address], t.topic(partitions=2)
    one_sentence(t, ["consume", "--topic", "nowhere", *at], "nowhere")
    one_sentence(t, ["consume", "--topic", topic, "--partition", "2", *at], topic, "2")
    one_sentence(t, ["produce", "--topic", topic, "--partition", "2", *at], topic, "2", stdin=b"x\n")
    one_sentence(t, ["topic", "describe", "nowhere", *at], "nowhere")
    one_sentence(t, ["topic", "delete", "nowhere", *at], "nowhere")
    one_sentence(t, ["group", "describe", "nobody", *at], "nobody")
    return "6 errors"


@case("errors", only_on="penstock")
def nobody_there(t: Stage) -> str:
    "Addresses where nobody answers, or somebody who does not speak Kafka"
    gone = t.own_broker()
    gone.stop()
    began = time.monotonic()
    nobody, nowhere = ("--brokers", gone.address), ("--brokers", "no.such.host.invalid:9092")
    running = [t.start([t.penstock, *command]) for command in (
        ("topic", "list", *nobody), ("consume", "--topic", "t", *nobody), ("group", "list", *nobody),
        ("produce", "--topic", "t", *nobody), ("topic", "list", *nowhere))]
    for one in running:
        done = one.wait(30)
        expect_equal((done.status, done.out), (1, b""), f"status and output of {done.command}")
        expect(re.fullmatch(r"penstock: [^\n]+\n", done.complaint), f"one plain sentence, not {done.complaint!r}")
        where = done.command[-1].split(":")[0]
        expect(where in done.complaint, f"it names {where}: {done.complaint!r}")
    took = time.monotonic() - began
    return f"5 errors in {took:.1f} s"


@case("errors", only_on="penstock")
def a_broker_that_cannot_be(t: Stage) -> str:
    "Directories and addresses that the broker cannot use"
    file = t.directory / f"{t.name}-file"
    file.write_text("in the way")
    one_sentence(t, ["broker", "--dir", str(file), "--listen", "127.0.0.1:0"], str(file))
    one_sentence(t, ["broker", "--dir", str(file / "below"), "--listen", "127.0.0.1:0"], str(file))
    one_sentence(t, ["broker", "--dir", str(t.directory / "d"), "--listen", "192.0.2.1:0"], "192.0.2.1")
    return "3 errors"


@case("errors")
def wrong_usage(t: Stage) -> str:
    "A wrong command line is status 2, with a word on what is wrong"
    at = ["--brokers", t.address]
    for command in ([], ["nonsense"], ["topic"], ["topic", "create", *at], ["consume", *at], ["produce", "--topic", "t"],
                    ["produce", "--topic", "t", *at, "-z", "rar"], ["topic", "create", "t", *at, "--partitions", "0"],
                    ["topic", "create", "t", *at, "--partitions", "many"], ["broker", "--listen", "127.0.0.1:0"],
                    ["consume", "--topic", "t", *at, "--count", "-1"], ["perf"], ["topic", "list", *at, "--loud"]):
        done = t.run([t.penstock, *command], status=2)
        expect(done.err and not done.out, f"what is wrong goes to standard error: {done}")
    return "13 command lines"
