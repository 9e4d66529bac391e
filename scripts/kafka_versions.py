# SPDX-License-Identifier: Apache-2.0
"""What differs between the versions of Apache Kafka that scripts/kafka runs: their jars, Java's options, their
properties. Facts from the artifacts on Maven Central and from trying each of them on Java 17."""

import re
from pathlib import Path

# The versions that the tests run against (docs/reference/kafka-versions.md), the oldest first.
TESTED = ("0.10.2.2", "0.11.0.3", "1.1.1", "2.8.2", "3.9.1", "4.1.0", "4.3.1")
OLDEST = (0, 10, 2)

LOG4J2 = """rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %m (%c)%n
"""
LOG4J1 = """log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %m (%c)%n
"""

# Brokers of before Java 9 reach into buffers and channels that later Javas keep to themselves.
OPENED = ("java.base/java.nio", "java.base/sun.nio.ch", "java.base/java.lang")


class Failure(Exception):
    """One sentence for the user."""


def full(version: str) -> str:
    """The exact version: a series such as 3.9 stands for the one of it that is tested."""
    for known in TESTED:
        if known == version or known.startswith(version + "."):
            return known
    return version


def parsed(version: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+(\.\d+){2,3}", version):
        raise Failure(f"{version} is not a version of Apache Kafka, such as 4.1.0, nor one of these series: "
                      f"{', '.join(known.rsplit('.', 1)[0] for known in TESTED)}")
    numbers = tuple(int(n) for n in version.split("."))
    if numbers < OLDEST:
        raise Failure(f"Kafka {version} is older than {'.'.join(map(str, OLDEST))}, the oldest that this script runs")
    return numbers


def needs_zookeeper(version: str) -> bool:
    """Whether it is run with ZooKeeper: KRaft was ready for use in 3.3."""
    return parsed(version) < (3, 3)


def scala(version: str) -> str:
    return "2.13" if parsed(version) >= (2, 4) else "2.12"


def dependencies(version: str) -> list[tuple[str, str, str]]:
    """Group, artifact and version of what Maven fetches, with all that these need."""
    number = parsed(version)
    needed = [("org.apache.kafka", f"kafka_{scala(version)}", version), ("org.apache.kafka", "kafka-tools", version)]
    if number >= (4,):
        needed.append(("org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3"))
    elif number >= (2,):
        needed.append(("org.slf4j", "slf4j-reload4j", "1.7.36"))
    else:
        # ZooKeeper 3.4 brings log4j. The XML classes left Java in version 11.
        needed += [("javax.xml.bind", "jaxb-api", "2.3.1"), ("javax.activation", "javax.activation-api", "1.2.0")]
    return needed


def java_options(version: str, home: Path) -> list[str]:
    """Options of every Java program of that version; writes the logging configuration that they name."""
    options = []
    if parsed(version) >= (4,):
        (home / "log4j2.properties").write_text(LOG4J2, encoding="utf-8")
        options.append(f"-Dlog4j2.configurationFile={home / 'log4j2.properties'}")
    else:
        (home / "log4j.properties").write_text(LOG4J1, encoding="utf-8")
        options.append(f"-Dlog4j.configuration=file:{home / 'log4j.properties'}")
    if needs_zookeeper(version):
        options += [f"--add-opens={package}=ALL-UNNAMED" for package in OPENED]
        options.append("-Dzookeeper.sasl.client=false")
    return options


def broker_properties(version: str, port: int, other_port: int, data: Path) -> dict[str, str]:
    """For one broker on loopback; `other_port` is the controller's, or ZooKeeper's."""
    number = parsed(version)
    values = {
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "log.dirs": str(data),
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
    }
    if needs_zookeeper(version):
        values |= {
            "broker.id": "1",
            "listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "zookeeper.connect": f"127.0.0.1:{other_port}",
            "delete.topic.enable": "true",
        }
    else:
        values |= {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{other_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{other_port}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        }
    if number >= (0, 11):
        values |= {
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "group.initial.rebalance.delay.ms": "0",
        }
    if number >= (4, 1):
        values["share.coordinator.state.topic.replication.factor"] = "1"
        values["share.coordinator.state.topic.min.isr"] = "1"
    return values


def zookeeper_properties(port: int, data: Path) -> dict[str, str]:
    return {
        "dataDir": str(data),
        "clientPort": str(port),
        "clientPortAddress": "127.0.0.1",
        "tickTime": "2000",
        "maxClientCnxns": "0",
        "admin.enableServer": "false",
    }
