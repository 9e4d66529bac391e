#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the command line changes, Apache Kafka's own tools see, and the other way round. Rights need a real Kafka, which
is started with an authorizer and with everybody as super user.

  tests/conformance/admin.py [--penstock build/dev/penstock] [--only NAME] [--against 4.1.0]
"""

import re
import sys

from harness import CASES, KAFKA, ROOT, Kafka, Missing, Penstock, Stage, case, expect, expect_equal, main
from kafka_tools import JAVA, SECONDS, TOOLS, JavaMember, groups_tool, tool
from peers import Kcat

CASES.clear()  # those of kafka_tools.py are its own
AUTHORIZER = ("authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
              "super.users=User:ANONYMOUS")


@case("admin")
def topic_settings(t: Stage) -> str:
    "topic alter and configs agree with kafka-configs and kafka-topics"
    topic = t.topic(partitions=2)

    def configs() -> str:
        return tool(t, "kafka.admin.ConfigCommand", "--describe", "--topic", topic).text
    t.cli("topic", "alter", topic, "--config", "retention.ms=3600000", "--config", "cleanup.policy=compact,delete",
          "--partitions", "5")
    shown = configs()
    for setting in ("retention.ms=3600000", "cleanup.policy=compact,delete"):
        expect(setting in shown, f"{setting} is shown: {shown}")
    expect("PartitionCount: 5" in tool(t, "TopicCommand", "--describe", "--topic", topic).text, "five partitions")
    tool(t, "kafka.admin.ConfigCommand", "--alter", "--topic", topic, "--add-config", "max.message.bytes=4321")
    ours = t.cli("topic", "configs", topic).text
    expect("max.message.bytes=4321  (topic)" in ours, f"ours shows what Java set: {ours}")
    t.cli("topic", "alter", topic, "--reset", "retention.ms")
    shown = configs()
    expect("retention.ms" not in shown and "max.message.bytes=4321" in shown, f"one went back to its default: {shown}")
    return "5 changes"


@case("admin")
def group_offsets(t: Stage) -> str:
    "group reset-offsets and delete agree with kafka-consumer-groups"
    topic, group = t.topic(partitions=2), f"group-{t.name}"
    for partition in range(2):
        Kcat.write(t, topic, [(None, b"%d" % n) for n in range(30)], options=("-p", str(partition)))

    def committed() -> dict[str, str]:
        rows = [line.split() for line in groups_tool(t, "--describe", "--group", group, "--offsets").splitlines()]
        return {row[2]: row[3] for row in rows if topic in row}
    for to, offsets in (("7", "7"), ("earliest", "0"), ("latest", "30"), ("@0", "0"), ("99", "30")):
        t.cli("group", "reset-offsets", group, "--topic", topic, "--to", to)
        expect_equal(committed(), {"0": offsets, "1": offsets}, f"committed offsets after --to {to}")
    t.cli("group", "delete", group)
    expect(group not in groups_tool(t, "--list").split(), "Java lists it no more")
    return "6 changes"


@case("admin")
def members_are_removed(t: Stage) -> str:
    "group remove-members throws a Java consumer out, which joins again under another name"
    topic, group = t.topic(partitions=3), f"group-{t.name}"
    java = JavaMember(t, group, topic)
    java.wait_assigned(3)

    def members() -> list[str]:
        return re.findall(r"^member (\S+)", t.cli("group", "describe", group).text, re.M)
    before = members()
    expect_equal(len(before), 1, "members")
    refused = t.cli("group", "delete", group, status=1).complaint
    expect("NON_EMPTY_GROUP" in refused, f"a group with members is not deleted: {refused}")
    t.cli("group", "remove-members", group, "--member", before[0], "--reason", "a test")
    java.running.wait_for(lambda: len(java.events("partitions_revoked")) >= 1 and members() not in ([], before),
                          "the member came back", 60)
    java.running.stop(seconds=60)
    return "1 member"


@case("admin")
def rights(t: Stage) -> str:
    "acl add, list and remove agree with kafka-acls"
    if isinstance(t.broker, Penstock):
        raise Missing("the embedded broker has no rights")

    def java(*arguments: str) -> str:
        return tool(t, "AclCommand", *arguments).text
    t.cli("acl", "add", "--resource", "topic", "--name", "orders", "--principal", "User:alice", "--operation", "read",
          "--operation", "describe")
    t.cli("acl", "add", "--resource", "group", "--name", "team-", "--pattern", "prefixed", "--principal", "User:bob",
          "--operation", "all", "--host", "127.0.0.1", "--deny")
    shown = java("--list")
    for operation in ("READ", "DESCRIBE"):
        right = f"(principal=User:alice, host=*, operation={operation}, permissionType=ALLOW)"
        expect(right in shown, f"{right}: {shown}")
    expect("resourceType=GROUP, name=team-, patternType=PREFIXED" in shown, f"the prefix: {shown}")
    expect("(principal=User:bob, host=127.0.0.1, operation=ALL, permissionType=DENY)" in shown, f"the denial: {shown}")
    java("--add", "--allow-principal", "User:carol", "--operation", "Write", "--transactional-id", "tx")
    rows = [line.split() for line in t.cli("acl", "list", "--principal", "User:carol").text.splitlines()[1:]]
    expect_equal(rows, [["TRANSACTIONAL_ID", "LITERAL", "tx", "User:carol", "WRITE", "ALLOW", "*"]], "what Java added")
    gone = t.cli("acl", "remove", "--resource", "topic", "--name", "orders").text
    expect_equal(len(gone.splitlines()), 2, "rights removed")
    expect("alice" not in java("--list"), "Java lists them no more")
    t.cli("acl", "remove", "--principal", "User:bob")
    t.cli("acl", "remove", "--principal", "User:carol")
    expect_equal(java("--list").strip(), "", "nothing is left")
    return "6 changes"


@case("admin")
def clusters(t: Stage) -> str:
    "cluster describe names the cluster as kafka-cluster does"
    ours = t.cli("cluster", "describe").text
    theirs = t.run([sys.executable, str(ROOT / "scripts" / "kafka"), "tool", KAFKA, TOOLS + "ClusterTool", "cluster-id",
                    "--bootstrap-server", t.address], seconds=SECONDS, env=JAVA).text
    wanted = re.search(r"^Cluster ID: (\S+)$", theirs, re.M)
    expect(wanted and f"cluster {wanted[1]}  controller" in ours, f"the same id: {ours} and {theirs}")
    expect(t.address in ours, f"the broker's address: {ours}")
    return "1 broker"


if __name__ == "__main__":
    Kafka.settings = AUTHORIZER
    sys.exit(main(__doc__, "kcat", "java", "mvn"))
