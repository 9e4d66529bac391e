# SPDX-License-Identifier: Apache-2.0
"""Cases: groups, and clients over restarts of the broker."""

import re
import signal
import time

from harness import Penstock, Stage, await_until, case, expect, expect_equal
from peers import Cli, Kcat, Member, assorted, by_partition, kcat, wait_for_all


def numbered(first: int, count: int) -> list[bytes]:
    return [b"%d" % n for n in range(first, first + count)]


def send(t: Stage, topic: str, values: list[bytes], partitions: int) -> None:
    """Spreads them over all partitions in turn."""
    for partition in range(partitions):
        Kcat.write(t, topic, [(None, v) for v in values[partition::partitions]], options=("-p", str(partition)))


def kcat_outlives_restarts(t: Stage) -> bool:
    """A Kafka with ZooKeeper knows no topics for a moment after its start, and kcat's consumers end then."""
    return t.has("3.3")


def check_once(members: list[Member], values: list[bytes]) -> None:
    seen = sorted((int(v) for m in members for v in m.values()))
    expect_equal(seen, sorted(int(v) for v in values), "records over all members, each once")


@case("groups", ("range", "roundrobin", "cooperative-sticky"))
def two_members(t: Stage, assignor: str) -> str:
    "Two members of kcat's share the partitions: each record goes to one of them, once, also while one joins and leaves"
    topic, group = t.topic(partitions=4), f"group-{t.name}"
    option = ("-X", f"partition.assignment.strategy={assignor}")
    values = numbered(0, 400)
    send(t, topic, values, 4)
    first = Member.kcat(t, group, topic, *option)
    first.wait_assigned(4)
    wait_for_all([first], values)
    second = Member.kcat(t, group, topic, *option)
    second.wait_assigned(2)
    first.wait_assigned(2)
    expect_equal(sorted(first.assigned() + second.assigned()), [0, 1, 2, 3], "partitions of both")
    more = numbered(400, 400)
    send(t, topic, more, 4)
    wait_for_all([first, second], values + more)
    expect_equal(len(second.values()), 200, "records of the second")
    second.stop()
    first.wait_assigned(4)
    last = numbered(800, 40)
    send(t, topic, last, 4)
    wait_for_all([first], last)
    first.stop()
    check_once([first, second], values + more + last)
    return f"{len(values + more + last)} records, 4 partitions"


@case("groups", ("range", "roundrobin", "cooperative-sticky"))
def a_mixed_group(t: Stage, assignor: str) -> str:
    "kcat and the command line in one group: each record goes to one of them, once"
    topic, group = t.topic(partitions=4), f"group-{t.name}"
    ours = Member.cli(t, group, topic, "--assignor", assignor)
    values = numbered(0, 400)
    send(t, topic, values, 4)
    wait_for_all([ours], values)
    theirs = Member.kcat(t, group, topic, "-X", f"partition.assignment.strategy={assignor}")
    theirs.wait_assigned(2)
    more = numbered(400, 400)
    send(t, topic, more, 4)
    wait_for_all([ours, theirs], values + more)
    expect_equal(len(theirs.values()), 200, "records of kcat")
    described = t.cli("group", "describe", group).text
    expect_equal(len(re.findall(r"^member ", described, re.M)), 2, "members in its description")
    ours.stop()
    theirs.wait_assigned(4)
    last = numbered(800, 40)
    send(t, topic, last, 4)
    wait_for_all([theirs], last)
    theirs.stop()
    check_once([ours, theirs], values + more + last)
    return f"{len(values + more + last)} records"


@case("groups", ("range", "cooperative-sticky"))
def the_command_line_joins_kcat(t: Stage, assignor: str) -> str:
    "kcat leads the group, the command line comes and goes: kcat gives up no more than it has to"
    topic, group = t.topic(partitions=4), f"group-{t.name}"
    theirs = Member.kcat(t, group, topic, "-X", f"partition.assignment.strategy={assignor}")
    theirs.wait_assigned(4)
    # It has to have found where each partition begins: when librdkafka 2.0 gives one up while it still looks for that,
    # and has it again later, it begins at the late answer instead of at the committed offset.
    first = numbered(0, 40)
    send(t, topic, first, 4)
    wait_for_all([theirs], first)
    ours = Member.cli(t, group, topic, "--assignor", assignor)
    theirs.wait_assigned(2)
    values = numbered(40, 400)
    send(t, topic, values, 4)
    wait_for_all([ours, theirs], values)
    expect_equal(len(ours.values()), 200, "records of the command line")
    ours.stop()
    theirs.wait_assigned(4)
    last = numbered(440, 40)
    send(t, topic, last, 4)
    wait_for_all([theirs], last)
    theirs.stop()
    check_once([ours, theirs], first + values + last)
    revoked = [line for line in theirs.running.err if b"incremental revoke" in line]
    if assignor == "cooperative-sticky":
        expect(len(revoked) <= 2, f"kcat gave two partitions up, and its rest at the end: {revoked}")
    return f"{len(first + values + last)} records"


@case("groups", since="2.3")
def our_static_member_comes_back(t: Stage) -> str:
    "A static member of the command line that comes back within its session has its partitions, kcat notices nothing"
    topic, group = t.topic(partitions=2), f"group-{t.name}"
    kcats = Member.kcat(t, group, topic, "-X", "session.timeout.ms=30000", "-X", "group.instance.id=one", "-X",
                        "partition.assignment.strategy=range")
    kcats.wait_assigned(2)
    ours = Member.cli(t, group, topic, "--instance-id", "two")
    kcats.wait_assigned(1)
    values = numbered(0, 20)
    send(t, topic, values, 2)
    wait_for_all([kcats, ours], values)
    said = len(kcats.running.err)
    ours.stop()
    again = Member.cli(t, group, topic, "--instance-id", "two")
    more = numbered(20, 20)
    send(t, topic, more, 2)
    wait_for_all([kcats, ours, again], values + more)
    expect_equal([line for line in kcats.running.err[said:] if b"rebalanced" in line], [], "rebalances of kcat")
    for member in (kcats, again):
        member.stop()
    check_once([kcats, ours, again], values + more)
    return "2 partitions"


@case("groups")
def two_of_ours(t: Stage) -> str:
    "Two members of the command line share the partitions, and each takes over from the other"
    topic, group = t.topic(partitions=4), f"group-{t.name}"
    options = ("--assignor", "cooperative-sticky")
    first, second = Member.cli(t, group, topic, *options), Member.cli(t, group, topic, *options)

    def shared() -> bool:
        text = t.cli("group", "describe", group, status=None).text
        return re.findall(r"partitions (\d+)$", text, re.M) == ["2", "2"]
    await_until(shared, "both members had two partitions", 30)
    values = numbered(0, 400)
    send(t, topic, values, 4)
    wait_for_all([first, second], values)
    expect_equal(len(first.values()), 200, "records of the first")
    first.stop()
    more = numbered(400, 40)
    send(t, topic, more, 4)
    wait_for_all([second], more)
    second.stop()
    check_once([first, second], values + more)
    return f"{len(values + more)} records"


@case("groups")
def commits_pass_between(t: Stage) -> str:
    "What one has committed, the other goes on from: kcat and the command line in turn"
    topic, group = t.topic(), f"group-{t.name}"
    send(t, topic, numbered(0, 100), 1)
    at = 0
    for count in (7, 20, 3, 31):
        by_cli = t.cli("consume", "--topic", topic, "--group", group, "--from-beginning", "--count", str(count)).text
        expect_equal(by_cli.split(), [str(n) for n in range(at, at + count)], "records of the command line")
        at += count
        by_kcat = t.run(kcat(t, "-G", group, "-c", "4", "-X", "auto.offset.reset=earliest", topic)).text
        expect_equal(by_kcat.split(), [str(n) for n in range(at, at + 4)], "records of kcat")
        at += 4
    described = t.cli("group", "describe", group).text
    expect(re.search(rf"^{topic} +0 +{at} +100 +{100 - at} ", described, re.M), f"{at} is committed: {described}")
    expect(group in t.cli("group", "list").text.splitlines(), "the group is listed")
    return f"{at} records in 8 turns"


@case("groups")
def a_member_dies(t: Stage) -> str:
    "A member that dies without a word loses its partitions when its session ends"
    topic, group = t.topic(partitions=2), f"group-{t.name}"
    first, second = Member.kcat(t, group, topic), Member.kcat(t, group, topic)
    first.wait_assigned(1)
    second.wait_assigned(1)
    second.running.stop(signal.SIGKILL)
    began = time.monotonic()
    first.wait_assigned(2, 30)
    took = time.monotonic() - began
    values = numbered(0, 20)
    send(t, topic, values, 2)
    wait_for_all([first], values)
    first.stop()
    expect(3 < took < 15, f"a session of 6 s ended after {took:.1f} s")
    return f"after {took:.1f} s"


@case("groups", since="2.3")
def a_static_member_comes_back(t: Stage) -> str:
    "A static member of kcat's that comes back within its session has its partitions at once, the other notices nothing"
    topic, group = t.topic(partitions=2), f"group-{t.name}"
    options = ("-X", "session.timeout.ms=30000", "-X")
    first = Member.kcat(t, group, topic, *options, "group.instance.id=one")
    second = Member.kcat(t, group, topic, *options, "group.instance.id=two")
    first.wait_assigned(1)
    second.wait_assigned(1)
    rebalances, had = len(first.running.err), second.assigned()
    second.running.stop(signal.SIGKILL)
    second = Member.kcat(t, group, topic, *options, "group.instance.id=two")
    second.wait_assigned(1, 20)
    expect_equal(second.assigned(), had, "partitions of the one that came back")
    values = numbered(0, 20)
    send(t, topic, values, 2)
    wait_for_all([first, second], values)
    said = [line for line in first.running.err[rebalances:] if b"rebalanced" in line]
    expect_equal(said, [], "rebalances of the other")
    for member in (first, second):
        member.stop()
    return "2 partitions"


@case("restarts")
def everything_is_there_again(t: Stage) -> str:
    "Topics, settings, records and committed offsets survive a clean restart"
    topic, group = t.topic(partitions=3, retention_ms="7200000"), f"group-{t.name}"
    sent = assorted(600, "restart")
    Kcat.write(t, topic, sent, t.codecs[-1])
    before = Kcat.read(t, topic)
    counted = t.topic()
    send(t, counted, numbered(0, 50), 1)
    t.run(kcat(t, "-G", group, "-c", "17", "-X", "auto.offset.reset=earliest", counted))
    t.broker.restart()
    await_until(lambda: t.has_leaders(topic, 3) and t.has_leaders(counted, 1), "the topics had leaders again")
    expect_equal(by_partition(Kcat.read(t, topic)), by_partition(before), "records after the restart, read by kcat")
    expect_equal(by_partition(Cli.read(t, topic)), by_partition(before), "records after the restart, read by penstock")
    if t.has("0.11"):
        expect("retention.ms=7200000" in t.cli("topic", "describe", topic).text, "the setting is there")
    seen = t.run(kcat(t, "-G", group, "-c", "3", "-X", "auto.offset.reset=earliest", counted)).text
    expect_equal(seen.split(), ["17", "18", "19"], "records behind the committed offset")
    seen = t.cli("consume", "--topic", counted, "--group", group, "--from-beginning", "--count", "2").text
    expect_equal(seen.split(), ["20", "21"], "records behind kcat's commit, for the command line")
    return f"{len(sent)} records, 1 group"


@case("restarts", since="0.11")  # without idempotence a restart may double records
def clients_ride_through(t: Stage) -> str:
    "Producers and consumers of both kinds go on over a restart of the broker: nothing lost, nothing twice"
    topics = {"kcat": t.topic(), "penstock": t.topic()}
    producers = {
        "kcat": t.start(kcat(t, "-P", "-E", "-t", topics["kcat"], "-X", "enable.idempotence=true")),
        "penstock": t.start([t.penstock, "produce", "--brokers", t.address, "--topic", topics["penstock"]]),
    }
    readers = []
    if kcat_outlives_restarts(t):
        readers += [t.start(kcat(t, "-C", "-E", "-u", "-q", "-t", topic, "-o", "beginning")) for topic in topics.values()]
    readers += [t.start([t.penstock, "consume", "--brokers", t.address, "--topic", topic, "--from-beginning", *t.patient])
                for topic in topics.values()]
    sent = 0
    for _ in range(3):
        for producer in producers.values():
            producer.feed(b"".join(b"%d\n" % n for n in range(sent, sent + 500)))
        sent += 500
        if sent == 500:
            for reader in readers:  # everybody is connected and has read something
                reader.wait_for(lambda r=reader: r.out, "it had read something")
        if not isinstance(t.broker, Penstock):  # whose start may take longer than a delivery may
            for reader in readers[-1:]:
                reader.wait_for(lambda r=reader: len(r.out) >= sent, f"it had read {sent} records", t.broker.patience)
        if sent < 1500:
            t.broker.restart()
    for producer in producers.values():
        producer.end_of_input()
    for name, producer in producers.items():
        done = producer.wait()
        expect_equal(done.status, 0, f"exit status of the producer {name}: {done.complaint}")
    for reader in readers:
        reader.wait_for(lambda r=reader: len(r.out) >= sent, f"it had read {sent} records", t.broker.patience)
        expect_equal([int(line) for line in reader.out], list(range(sent)), f"records of {reader.command[:4]}")
    for topic in topics.values():
        expect_equal([int(r.value) for r in Kcat.read(t, topic)], list(range(sent)), "records in the topic")
    return f"{sent} records of each, 2 restarts"


@case("restarts")
def a_group_rides_through(t: Stage) -> str:
    "The members of a group go on over a restart of the broker"
    topic, group = t.topic(partitions=2), f"group-{t.name}"
    with_kcat = kcat_outlives_restarts(t)
    first = (Member.kcat(t, group, topic, "-E", "-X", "auto.commit.interval.ms=200") if with_kcat
             else Member.cli(t, group, topic))
    members = [first, Member.cli(t, group, topic)]
    if with_kcat:
        first.wait_assigned(1)
    values = numbered(0, 100)
    send(t, topic, values, 2)
    wait_for_all(members, values)
    t.broker.restart()
    more = numbered(100, 100)
    send(t, topic, more, 2)
    wait_for_all(members, values + more, t.broker.patience)
    if with_kcat:  # which leaves without a commit where it has not found its coordinator again
        def committed() -> bool:
            text = t.cli("group", "describe", group).text
            own = first.assigned()
            return bool(own) and all(re.search(rf"^{topic} +{n} +100 +100 +0 ", text, re.M) for n in own)
        await_until(committed, "kcat had committed what it read")
    for member in members:
        member.stop()
    expect_equal(sorted({int(v) for m in members for v in m.values()}), list(range(200)), "all records")
    last = numbered(200, 10)
    send(t, topic, last, 2)
    rest = Member.kcat(t, group, topic)
    wait_for_all([rest], last)
    rest.stop()
    check_once([rest], last)
    return "2 members, 1 restart"


@case("restarts", only_on="penstock")
def a_reader_outlives_what_it_asks_for(t: Stage) -> str:
    "A member of the command line goes on when the broker was away for longer than its requests may take"
    topic, group = t.topic(partitions=2), f"group-{t.name}"
    member = Member.cli(t, group, topic, "-X", "default.api.timeout.ms=2000", "-X", "request.timeout.ms=1000")
    values = numbered(0, 50)
    send(t, topic, values, 2)
    wait_for_all([member], values)
    t.broker.stop()
    time.sleep(9)  # it commits every five seconds
    expect(not member.running.over(), "the member has not ended")
    t.broker.start()
    more = numbered(50, 50)
    send(t, topic, more, 2)
    wait_for_all([member], values + more)
    member.stop()
    check_once([member], values + more)
    return "9 s away, 2 s for a request"


@case("restarts", only_on="penstock")
def a_group_outlives_a_long_outage(t: Stage) -> str:
    "The members of a group find together again when the broker was away for longer than their sessions"
    topic, group = t.topic(partitions=2), f"group-{t.name}"
    members = [Member.kcat(t, group, topic, "-E"), Member.cli(t, group, topic)]
    members[0].wait_assigned(1)
    values = numbered(0, 100)
    send(t, topic, values, 2)
    wait_for_all(members, values)
    t.broker.stop()
    members[0].running.wait_for_line("SESSTMOUT")
    t.broker.start()
    more = numbered(100, 100)
    send(t, topic, more, 2)
    wait_for_all(members, values + more)
    for member in members:
        member.stop()
    expect_equal(sorted({int(v) for m in members for v in m.values()}), list(range(200)), "all records")
    return "2 members, a session of 6 s"


@case("restarts", only_on="penstock")
def stops_clean_and_quick(t: Stage) -> str:
    "SIGTERM and SIGINT end the broker quickly with clients connected, and it starts again at once on the same port"
    broker = t.own_broker()
    t.cli("topic", "create", "t", at=broker.address)
    consumers = [t.start(["kcat", "-C", "-b", broker.address, "-t", "t", "-X", "fetch.wait.max.ms=30000"]),
                 t.start(["kcat", "-b", broker.address, "-G", "g", "t"]),
                 t.start([t.penstock, "consume", "--brokers", broker.address, "--topic", "t"])]
    consumers[1].wait_for_line("assigned: t")
    slowest = 0.0
    for with_signal in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        began = time.monotonic()
        done = broker.running.stop(with_signal, 20)
        slowest = max(slowest, time.monotonic() - began)
        expect_equal((done.status, done.err), (0, b""), "status and errors of the broker")
        broker.start()
    expect(slowest < 5, f"a stop took {slowest:.1f} s")
    t.run(["kcat", "-P", "-b", broker.address, "-t", "t"], stdin=b"still here\n")
    return f"3 stops, {slowest * 1000:.0f} ms at most"


@case("restarts", only_on="penstock")
def one_directory_one_broker(t: Stage) -> str:
    "A second broker on a directory is refused with one sentence, also after the first was killed and started again"
    broker = t.own_broker()
    for _ in range(2):
        done = t.run([t.penstock, "broker", "--dir", broker.directory, "--listen", "127.0.0.1:0"], status=1)
        expect(re.fullmatch(rf"penstock: [^\n]*{re.escape(str(broker.directory))}[^\n]*\n", done.complaint),
               f"one sentence that names the directory, not {done.complaint!r}")
        expect_equal(done.out, b"", "its output")
        broker.kill()
        broker.start()
    done = t.run([t.penstock, "broker", "--dir", t.directory / "other", "--listen", broker.address], status=1)
    expect(re.fullmatch(rf"penstock: [^\n]*{re.escape(broker.address)}[^\n]*\n", done.complaint),
           f"one sentence that names the address, not {done.complaint!r}")
    return "refused twice, and a port in use"


@case("restarts", only_on="penstock")
def killed_and_back(t: Stage) -> str:
    "After kill -9 everything acknowledged is there, committed offsets too"
    broker = t.own_broker()
    at = ["-b", broker.address]
    for life in range(3):
        t.run(["kcat", "-P", *at, "-t", "t"], stdin=b"".join(b"%d\n" % n for n in range(life * 50, life * 50 + 50)))
        seen = t.run(["kcat", *at, "-G", "g", "-c", "20", "-X", "auto.offset.reset=earliest", "t"]).text
        expect_equal(seen.split(), [str(n) for n in range(life * 20, life * 20 + 20)], "records of the group")
        broker.kill()
        broker.start()
    seen = t.run(["kcat", "-C", "-q", "-e", *at, "-t", "t", "-o", "beginning"]).text
    expect_equal(seen.split(), [str(n) for n in range(150)], "records")
    return "3 kills"
