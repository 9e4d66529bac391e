#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line against the broker that it brings along, on loopback.

  PENSTOCK=build/dev/penstock tests/integration/cli_test.py
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

PENSTOCK = os.environ.get("PENSTOCK") or str(Path(__file__).resolve().parents[2] / "build" / "dev" / "penstock")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
SECONDS = 60


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess:
    return subprocess.run([PENSTOCK, *arguments], input=stdin, capture_output=True, text=True, timeout=SECONDS,
                          check=False)


class Broker:
    """`penstock broker` on a free port; knows its address when it is made."""

    def __init__(self, directory: str, *options: str):
        self.process = subprocess.Popen([PENSTOCK, "broker", "--dir", directory, "--listen", "127.0.0.1:0", *options],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening on 127.0.0.1:"):
            raise AssertionError(f"the broker said {line!r} and {self.process.communicate(timeout=SECONDS)[1]!r}")
        self.address = line.removeprefix("listening on ").strip()

    def stop(self, with_signal: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(with_signal)
        _, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, errors


class Cli(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="penstock-cli-")
        cls.broker = Broker(cls.directory.name)
        cls.at = ("--brokers", cls.broker.address)

    @classmethod
    def tearDownClass(cls):
        status, errors = cls.broker.stop()
        cls.directory.cleanup()
        if (status, errors) != (0, ""):
            raise AssertionError(f"the broker ended with status {status} and said {errors!r}")

    def succeed(self, *arguments: str, stdin: str = "") -> str:
        done = run(*arguments, *self.at, stdin=stdin)
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        return done.stdout

    def refuse(self, *arguments: str, stdin: str = "") -> str:
        """The one sentence that the command fails with."""
        done = run(*arguments, *self.at, stdin=stdin)
        self.assertEqual((done.returncode, done.stdout), (1, ""), arguments)
        self.assertRegex(done.stderr, r"\Apenstock: [^\n]+\n\Z")
        return done.stderr

    def topic(self, partitions: int = 1) -> str:
        name = f"topic-{self._testMethodName}"
        self.succeed("topic", "create", name, "--partitions", str(partitions))
        return name

    def read(self, topic: str, *options: str) -> str:
        return self.succeed("consume", "--topic", topic, "--from-beginning", "--until-end", *options)

    def test_topics_come_and_go(self):
        name = self.topic(partitions=3)
        self.assertIn(name, self.succeed("topic", "list").splitlines())
        self.assertIn("exist", self.refuse("topic", "create", name, "--partitions", "3"))
        self.succeed("topic", "create", name, "--partitions", "3", "--if-not-exists")
        described = self.succeed("topic", "describe", name).splitlines()
        self.assertIn(name, described[0])
        self.assertEqual([line.split()[0] for line in described[-3:]], ["0", "1", "2"])
        self.succeed("topic", "delete", name)
        self.assertNotIn(name, self.succeed("topic", "list").splitlines())
        self.assertIn(name, self.refuse("topic", "describe", name))

    def test_settings_of_a_topic(self):
        name = "compacted"
        self.succeed("topic", "create", name, "--partitions", "1", "--config", "cleanup.policy=compact")
        self.assertIn("cleanup.policy=compact", self.succeed("topic", "describe", name))
        self.assertIn("no.such.setting", self.refuse("topic", "create", "x", "--config", "no.such.setting=1"))

    def test_lines_become_records_and_lines_again(self):
        topic = self.topic()
        self.succeed("produce", "--topic", topic, stdin="one\n\ntwo words\nlast without a line break")
        self.assertEqual(self.read(topic), "one\n\ntwo words\nlast without a line break\n")

    def test_keys_nulls_and_formats(self):
        topic = self.topic()
        self.succeed("produce", "--topic", topic, "-K", ":", "--null", stdin="a:1\nb:x:y\nno key\nc:\n")
        self.assertEqual(self.read(topic, "--format", r"%t %p %o %k(%K)=%s(%S)\n"),
                         f"{topic} 0 0 a(1)=1(1)\n{topic} 0 1 b(1)=x:y(3)\n{topic} 0 2 (-1)=no key(6)\n"
                         f"{topic} 0 3 c(1)=(-1)\n")

    def test_every_codec(self):
        topic = self.topic()
        lines = "".join(f"line {i} of many that are alike\n" for i in range(2000))
        for codec in CODECS:
            self.succeed("produce", "--topic", topic, "-z", codec, stdin=lines)
        self.assertEqual(self.read(topic), lines * len(CODECS))

    def test_keys_choose_their_partition(self):
        topic = self.topic(partitions=4)
        pairs = [(f"key-{i % 50}", str(i)) for i in range(1000)]
        self.succeed("produce", "--topic", topic, "-K", "=", stdin="".join(f"{k}={v}\n" for k, v in pairs))
        partition_of, values = {}, {}
        for line in self.read(topic, "--format", r"%p %k %s\n").splitlines():
            partition, key, value = line.split()
            self.assertEqual(partition_of.setdefault(key, partition), partition)
            values.setdefault(key, []).append(value)
        self.assertEqual(values, {key: [v for k, v in pairs if k == key] for key, _ in pairs})
        self.assertGreater(len(set(partition_of.values())), 1)

    def test_topics_are_changed(self):
        name = self.topic(partitions=2)
        self.assertEqual(self.succeed("topic", "configs", name), "")
        self.succeed("topic", "alter", name, "--config", "retention.ms=60000", "-c", "max.message.bytes=5000",
                     "--partitions", "4")
        self.assertEqual(self.succeed("topic", "configs", name),
                         "max.message.bytes=5000  (topic)\nretention.ms=60000  (topic)\n")
        self.succeed("topic", "alter", name, "--reset", "retention.ms")
        self.assertNotIn("retention.ms", self.succeed("topic", "configs", name))
        self.assertRegex(self.succeed("topic", "configs", name, "--all"), r"(?m)^retention.ms=\d+  \(default\)$")
        self.assertIn("   3 ", self.succeed("topic", "describe", name))
        self.assertIn("nothing to change", self.refuse("topic", "alter", name))
        self.assertIn(name, self.refuse("topic", "alter", name, "--config", "retention.ms=soon"))

    def test_groups_are_changed(self):
        topic = self.topic(partitions=2)
        self.succeed("produce", "--topic", topic, "--partition", "0", stdin="".join(f"{n}\n" for n in range(10)))
        group = f"group-{self._testMethodName}"
        shown = self.succeed("group", "reset-offsets", group, "--topic", topic, "--to", "4", "--dry-run")
        self.assertEqual([line.split() for line in shown.splitlines()[1:]], [[topic, "0", "4"], [topic, "1", "0"]])
        self.assertNotIn(group, self.succeed("group", "list").splitlines())
        self.succeed("group", "reset-offsets", group, "--topic", topic, "--to", "7")
        self.assertEqual(self.succeed("consume", "--topic", topic, "--group", group, "--count", "3"), "7\n8\n9\n")
        shown = self.succeed("group", "reset-offsets", group, "--to", "earliest")
        self.assertEqual([line.split()[2] for line in shown.splitlines()[1:]], ["0", "0"])
        self.assertIn("not earliest, latest", self.refuse("group", "reset-offsets", group, "--to", "never"))
        self.assertIn("say which members", self.refuse("group", "remove-members", group))
        self.succeed("group", "delete", group)
        self.assertNotIn(group, self.succeed("group", "list").splitlines())
        self.assertIn(group, self.refuse("group", "delete", group))

    def test_transactions_are_seen_and_ended(self):
        topic, name = self.topic(), "cli-transaction"
        # Its producer dies in the middle of it.
        producer = subprocess.Popen(["kcat", "-P", "-b", self.broker.address, "-t", topic, "-X", f"transactional.id={name}",
                                     "-X", "linger.ms=0"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            producer.stdin.write(b"of an open transaction\n" * 60000)  # kcat waits for much of it before it sends
            producer.stdin.flush()
            until = time.monotonic() + SECONDS
            while not self.read(topic).startswith("of an open"):
                self.assertLess(time.monotonic(), until)
        finally:
            producer.kill()
            producer.wait()
            producer.stdin.close()
        self.assertEqual(self.read(topic, "--isolation", "read_committed"), "")
        listed = self.succeed("txn", "list", "--state", "Ongoing").splitlines()[1:]
        self.assertEqual([line.split()[::2] for line in listed], [[name, "Ongoing"]])
        self.assertNotIn(name, self.succeed("txn", "list", "--state", "Empty"))
        described = self.succeed("txn", "describe", name)
        self.assertRegex(described, rf"\Atransactional id {name}  state Ongoing  producer \d+  epoch 0 .* open since \d+\n")
        self.assertIn(topic, described.splitlines()[1])
        self.assertIn("not-there", self.refuse("txn", "describe", "not-there"))
        self.assertRegex(self.succeed("txn", "producers", "-t", topic, "-p", "0"), r"\n +\d+ +0 .* offset 0\n\Z")
        self.assertIn("begins at offset 7", self.refuse("txn", "abort", "-t", topic, "-p", "0", "--start-offset", "7"))
        self.assertIn("say which", self.refuse("txn", "abort", "-t", topic, "-p", "0"))
        self.succeed("txn", "abort", "-t", topic, "-p", "0", "--start-offset", "0")
        self.assertRegex(self.succeed("txn", "producers", "-t", topic, "-p", "0"), r"\n +\d+ +0 .* -\n\Z")
        self.succeed("produce", "--topic", topic, stdin="behind it\n")
        self.assertEqual(self.read(topic, "--isolation", "read_committed"), "behind it\n")
        self.assertRegex(self.succeed("txn", "fence", name), rf"\A{name}  producer \d+  epoch \d+\n\Z")

    def letter(self, dead: str, key_value: str, **headers: str) -> None:
        """A dead letter as a job writes it, of a KEY:VALUE that had headers of its own."""
        named = [f"penstock.{name}={text}" for name, text in headers.items()] + ["kind=order", "penstock.topic=theirs"]
        kcat = ["kcat", "-P", "-b", self.broker.address, "-t", dead, "-p", "0", "-K:"]
        subprocess.run([*kcat, *(x for h in named for x in ("-H", h))], input=key_value, text=True, check=True,
                       timeout=SECONDS)

    @unittest.skipUnless(shutil.which("kcat"), "kcat writes the letters and judges")
    def test_dead_letters_are_redriven_once(self):
        source, dead = self.topic(partitions=2), f"dead-{self._testMethodName}"
        self.succeed("topic", "create", dead)
        for n in range(3):
            self.letter(dead, f"k{n}:v{n}", operator="parse", step="decode", error=f"bad \"{n}\"", topic=source,
                        partition="1", offset=str(n))
        listed = [json.loads(line) for line in self.succeed("dlq", "list", "--topic", dead).splitlines()]
        self.assertEqual([(e["letter"], e["operator"], e["error"], e["partition"], e["offset"], e["redriven"])
                          for e in listed],
                         [(f"0:{n}", "parse", f'bad "{n}"', 1, n, False) for n in range(3)])
        shown = json.loads(self.succeed("dlq", "show", "--topic", dead, "0:1"))
        self.assertEqual((shown["key"], shown["value"]), ("k1", "v1"))
        self.assertEqual(shown["headers"], [{"key": "kind", "value": "order"}, {"key": "penstock.topic", "value": "theirs"}])

        self.assertEqual(json.loads(self.succeed("dlq", "redrive", "--topic", dead, "0:1")),
                         {"redriven": 1, "redriven_before": 0})
        for _ in range(2):
            again = json.loads(self.succeed("dlq", "redrive", "--topic", dead, "--all"))
        self.assertEqual(again, {"redriven": 0, "redriven_before": 3})
        reading = ["kcat", "-C", "-q", "-e", "-b", self.broker.address, "-t", source, "-p", "1", "-o", "beginning", "-X",
                   "isolation.level=read_committed", "-f", "%k %s %h\\n"]
        out = subprocess.run(reading, capture_output=True, text=True, check=True, timeout=SECONDS).stdout
        self.assertEqual(out.splitlines(), [f"k{n} v{n} kind=order,penstock.topic=theirs" for n in (1, 0, 2)])
        self.assertEqual(self.succeed("dlq", "list", "--topic", dead, "--open"), "")
        self.assertTrue(all(json.loads(line)["redriven"]
                            for line in self.succeed("dlq", "list", "--topic", dead).splitlines()))

        # Elsewhere, by its key; a letter without its record is looked up where it came from.
        self.succeed("topic", "create", f"{dead}-other")
        self.letter(dead, ":", operator="sum", step="reduce", error="no", topic=source, partition="1", offset="0",
                    record="not kept")
        last = json.loads(self.succeed("dlq", "list", "--topic", dead, "--open").splitlines()[0])["letter"]
        self.succeed("dlq", "redrive", "--topic", dead, last, "--to", f"{dead}-other")
        self.assertEqual(self.read(f"{dead}-other", "--format", "%k %s\n"), "k1 v1\n")
        self.assertIn("no letter 0:77", self.refuse("dlq", "redrive", "--topic", dead, "0:77"))
        self.assertIn("PARTITION:OFFSET", self.refuse("dlq", "show", "--topic", dead, "first"))
        self.assertIn("--all", self.refuse("dlq", "redrive", "--topic", dead))

    def test_the_first_records_of_a_partition_are_deleted(self):
        name = self.topic()
        self.succeed("produce", "--topic", name, stdin="a\nb\nc\n")
        self.succeed("topic", "delete-records", name, "--partition", "0", "--before", "2")
        self.assertEqual(self.read(name), "c\n")

    def test_the_cluster_is_described(self):
        self.assertIn(self.broker.address, self.succeed("cluster", "describe"))
        self.succeed("cluster", "features")

    def test_what_the_broker_does_not_have_is_named(self):
        self.assertIn("too old, it has no describe_acls", self.refuse("acl", "list"))
        self.assertIn("'fly' is no operation", self.refuse("acl", "list", "--operation", "fly"))
        self.assertIn("this would remove every right", self.refuse("acl", "remove"))

    def test_a_group_goes_on_where_it_stopped(self):
        topic = self.topic()
        self.succeed("produce", "--topic", topic, stdin="".join(f"{i}\n" for i in range(10)))
        member = ("consume", "--topic", topic, "--group", "readers", "--from-beginning", "--count")
        self.assertEqual(self.succeed(*member, "3"), "0\n1\n2\n")
        self.assertEqual(self.succeed(*member, "5"), "3\n4\n5\n6\n7\n")
        self.assertIn("readers", self.succeed("group", "list").splitlines())
        described = self.succeed("group", "describe", "readers")
        self.assertRegex(described, rf"{topic} +0 +8 +10 +2 ")

    def test_perf_prints_one_line_of_json(self):
        topic = self.topic(partitions=2)
        fields = ["records", "bytes", "seconds", "records_per_second", "megabytes_per_second", "cpu_ns_per_record",
                  "max_rss_kib"]
        for command in (("produce", "--records", "20000", "--size", "50", "--codec", "lz4"),
                        ("consume", "--records", "20000")):
            line = self.succeed("perf", *command, "--topic", topic)
            figures = json.loads(line)
            self.assertEqual(list(figures), fields)
            self.assertEqual((figures["records"], figures["bytes"]), (20000, 20000 * 50))
            for name in fields:
                self.assertGreater(figures[name], 0, name)

    def test_settings_by_kafkas_names(self):
        topic = self.topic()
        with tempfile.NamedTemporaryFile("w", suffix=".properties") as file:
            file.write(f"# for producers and consumers\nbootstrap.servers = {self.broker.address}\n"
                       "compression.type: gzip\ngroup.id=from-a-file\nauto.offset.reset=earliest\n")
            file.flush()
            with_file = ("--topic", topic, "--config-file", file.name)
            for more in ((), ("-X", "acks=1", "-X", "enable.idempotence=false")):
                done = run("produce", *with_file, *more, stdin="a line\n")
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
            done = run("consume", *with_file, "--count", "2")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "a line\na line\n", ""))
            self.assertIn("from-a-file", self.succeed("group", "list"))
            done = run("consume", *with_file, "--count", "2", "-X", "group.id=from-x")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "a line\na line\n", ""))

    def test_wrong_settings_are_told_together(self):
        told = self.refuse("produce", "--topic", "t", "-X", "lingr.ms=5", "-X", "acks=2", "-X", "stats_cb=x",
                           "-X", "group.id=g", "-X", "sasl.password=hunter2")
        for part in ("did you mean linger.ms?", "acks is", "stats_cb is not supported", "a setting of consumers"):
            self.assertIn(part, told)
        self.assertNotIn("hunter2", told)
        self.assertIn("name=value", self.refuse("topic", "list", "-X", "hunter2"))
        self.assertIn("no.such.file", self.refuse("topic", "list", "--config-file", "no.such.file"))

    def test_metrics_are_printed(self):
        topic = self.topic()
        at = ("--topic", topic, "--records", "1000", "--metrics")
        written, read = self.succeed("perf", "produce", *at), self.succeed("perf", "consume", *at)
        self.assertIn("\nproducer-metrics record-send-total 1000\n", written)
        self.assertIn(f"\nproducer-topic-metrics record-send-total{{topic={topic}}} 1000\n", written)
        self.assertIn("\nconsumer-fetch-manager-metrics records-consumed-total 1000\n", read)
        self.assertIn(f"\nconsumer-fetch-manager-metrics records-lag{{topic={topic},partition=0}} 0\n", read)
        self.assertIn("record-queue-time-avg", run("metrics").stdout)

    def test_settings_are_listed(self):
        shown = run("settings", "linger.ms", "acks")
        self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        self.assertIn("0 to 86400000; default: 5", shown.stdout)
        self.assertIn("all, 0, 1", shown.stdout)
        self.assertEqual(run("settings", "lingr.ms").stderr,
                         "penstock: there is no setting lingr.ms; did you mean linger.ms?\n")
        self.assertNotIn("linger.ms", run("settings", "--client", "consumer").stdout)

    def test_a_reader_that_goes_away(self):
        topic = self.topic()
        self.succeed("produce", "--topic", topic, stdin="x" * 100 + "\n")
        self.succeed("perf", "produce", "--topic", topic, "--records", "20000", "--size", "100")
        consumer = subprocess.Popen([PENSTOCK, "consume", "--topic", topic, "--from-beginning", *self.at],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(consumer.stdout.readline(), "x" * 100 + "\n")
        consumer.stdout.close()
        self.assertEqual((consumer.wait(timeout=SECONDS), consumer.stderr.read()), (0, ""))
        consumer.stderr.close()

    def test_a_consumer_stops_when_it_is_told(self):
        topic = self.topic()
        self.succeed("produce", "--topic", topic, stdin="first\n")
        consumer = subprocess.Popen([PENSTOCK, "consume", "--topic", topic, "--from-beginning", *self.at],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(consumer.stdout.readline(), "first\n")
        consumer.send_signal(signal.SIGINT)
        self.assertEqual((consumer.communicate(timeout=SECONDS), consumer.returncode), (("", ""), 0))

    def test_what_cannot_be_is_one_sentence(self):
        self.assertIn("nowhere", self.refuse("consume", "--topic", "nowhere", "--from-beginning"))
        self.assertIn("nobody", self.refuse("group", "describe", "nobody"))
        topic = self.topic()
        self.assertIn("partition 7", self.refuse("consume", "--topic", topic, "--partition", "7"))

    @unittest.skipUnless(shutil.which("kcat"), "kcat is not installed")
    def test_kcat_reads_and_writes_the_same_records(self):
        topic = self.topic()
        kcat = ["kcat", "-b", self.broker.address, "-t", topic, "-q"]
        for codec in CODECS:
            self.succeed("produce", "--topic", topic, "-K", ":", "-z", codec, stdin=f"{codec}:from the cli\n")
            subprocess.run([*kcat, "-P", "-K", ":", "-z", codec], input=f"{codec}:from kcat\n", text=True, check=True,
                           timeout=SECONDS)
        expected = "".join(f"{c}=from the cli\n{c}=from kcat\n" for c in CODECS)
        self.assertEqual(self.read(topic, "--format", r"%k=%s\n"), expected)
        seen = subprocess.run([*kcat, "-C", "-e", "-o", "beginning", "-f", r"%k=%s\n"], capture_output=True, text=True,
                              check=True, timeout=SECONDS)
        self.assertEqual(seen.stdout, expected)


class Usage(unittest.TestCase):
    def test_a_wrong_command_line_is_status_2(self):
        for arguments in ((), ("topic",), ("nonsense",), ("consume", "--topic", "t"), ("broker",),
                          ("broker", "--dir", "d", "--listen", "nowhere"),
                          ("produce", "--brokers", "b:1", "--topic", "t", "-z", "rar"),
                          ("consume", "--brokers", "b:1", "--topic", "t", "--format", "%q")):
            done = run(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertNotEqual(done.stderr, "")

    def test_help_is_no_error(self):
        for arguments in (("--help",), ("topic", "create", "--help"), ("--version",)):
            done = run(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
            self.assertIn("penstock" if arguments == ("--version",) else "--help", done.stdout)

    def test_nobody_listens(self):
        done = run("topic", "list", "--brokers", "127.0.0.1:1")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"\Apenstock: [^\n]*127\.0\.0\.1:1[^\n]*\n\Z")


class BrokerProcess(unittest.TestCase):
    def test_records_outlive_it(self):
        with tempfile.TemporaryDirectory(prefix="penstock-cli-") as directory:
            for how, expected in ((signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -signal.SIGKILL)):
                broker = Broker(directory)
                at = ("--brokers", broker.address)
                self.assertEqual(run("produce", "--topic", "kept", *at, stdin=f"{how}\n").returncode, 0)
                self.assertEqual(broker.stop(how), (expected, ""))
            broker = Broker(directory)
            seen = run("consume", "--topic", "kept", "--from-beginning", "--count", "3", "--brokers", broker.address)
            self.assertEqual(broker.stop(), (0, ""))
            self.assertEqual(seen.stdout.split(), [str(s) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)])

    def test_one_broker_a_directory(self):
        with tempfile.TemporaryDirectory(prefix="penstock-cli-") as directory:
            broker = Broker(directory)
            second = run("broker", "--dir", directory, "--listen", "127.0.0.1:0")
            self.assertEqual((second.returncode, second.stdout), (1, ""))
            self.assertIn(directory, second.stderr)
            self.assertEqual(broker.stop(), (0, ""))


if __name__ == "__main__":
    unittest.main(verbosity=2)
