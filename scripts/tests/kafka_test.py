#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/kafka itself: what it refuses and how it says so; with --run, that each tested version starts, takes a
property of its own, survives a restart with its data and stops without leaving anything running."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "kafka"
sys.path.insert(0, str(SCRIPT.parent))
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("kafka_script", str(SCRIPT))
kafka = importlib.util.module_from_spec(importlib.util.spec_from_loader("kafka_script", loader))
loader.exec_module(kafka)
import kafka_versions  # noqa: E402


def script(*arguments: str, env: dict[str, str] | None = None, seconds: float = 300) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=seconds, check=False, env=env)


def left_of_group(pid: int) -> list[str]:
    """The command lines of what still runs in the process group of that process."""
    alive = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
                if command and os.getpgid(int(entry.name)) == pid:  # without one it has ended and is not reaped yet
                    alive.append(command.replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
    return alive


class Versions(unittest.TestCase):
    def test_a_series_stands_for_its_tested_version(self):
        for version in kafka_versions.TESTED:
            self.assertEqual(kafka_versions.full(version), version)
            self.assertEqual(kafka_versions.full(version.rsplit(".", 1)[0]), version)
        self.assertEqual(kafka_versions.full("3.3.2"), "3.3.2")

    def test_zookeeper_before_3_3(self):
        self.assertEqual([kafka_versions.needs_zookeeper(v) for v in ("0.10.2.2", "2.8.2", "3.2.3", "3.3.1", "4.1.0")],
                         [True, True, True, False, False])

    def test_each_tested_version_has_jars_and_properties(self):
        for version in kafka_versions.TESTED:
            self.assertTrue(all(len(d) == 3 for d in kafka_versions.dependencies(version)))
            values = kafka_versions.broker_properties(version, 1, 2, Path("data"))
            self.assertIn("127.0.0.1:1", values["advertised.listeners"])
            self.assertEqual("zookeeper.connect" in values, kafka_versions.needs_zookeeper(version))
            self.assertNotEqual("zookeeper.connect" in values, "process.roles" in values)


class Complaints(unittest.TestCase):
    def check(self, sentence: str, *arguments: str, env: dict[str, str] | None = None):
        done = script(*arguments, env=env)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(sentence, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_versions(self):
        self.check("kafka: new is not a version of Apache Kafka", "start", "new")
        self.check("kafka: Kafka 0.9.0.1 is older than 0.10.2", "start", "0.9.0.1")

    def test_nothing_to_stop(self):
        self.check("no broker of this script runs on port 1", "stop", "--port", "1")

    def test_missing_programs(self):
        with tempfile.TemporaryDirectory() as empty:
            self.check("java is not installed", "fetch", "4.1.0", env={"PATH": empty, "XDG_CACHE_HOME": empty})

    def test_properties(self):
        with self.assertRaisesRegex(kafka.Failure, "--set takes KEY=VALUE, not x"):
            kafka.overrides(["x"])
        self.assertEqual(kafka.overrides(["a=b=c"]), {"a": "b=c"})

    def test_nobody_answers(self):
        self.assertFalse(kafka.answers(kafka.free_ports(1)[0]))


def run(version: str) -> None:
    """Starts, changes, restarts and stops one version."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "broker"
        start = ["start", version, "--dir", str(home), "--seconds", "300", "--heap", "512", "--set", "num.partitions=7"]
        began = time.monotonic()
        done = script(*start)
        if done.returncode != 0:
            sys.exit(f"{version} did not start: {done.stderr}")
        took, address = time.monotonic() - began, done.stdout.strip()
        pids = [int((home / f"{what}.pid").read_text()) for what in ("zookeeper", "server")
                if (home / f"{what}.pid").exists()]
        try:
            listed = script("list").stdout
            assert f"{address} {version} {pids[-1]} {home}" in listed, listed
            assert script(*start).returncode == 1, "a second broker in the same folder was not refused"
            topic = ["kcat", "-b", address, "-t", "t"]
            subprocess.run([*topic, "-P", "-p", "6"], input=b"kept\n", check=True, timeout=60)  # made with 7 partitions
            assert script("stop", "--dir", str(home)).returncode == 0
            left = [line for pid in pids for line in left_of_group(pid)]
            assert not left, left
            port = address.rsplit(":", 1)[1]
            assert script(*start, "--port", port).stdout.strip() == address
            pids = [int((home / f"{what}.pid").read_text()) for what in ("zookeeper", "server")
                    if (home / f"{what}.pid").exists()]
            seen = subprocess.run([*topic, "-C", "-e", "-q", "-o", "beginning"], capture_output=True, check=True,
                                  timeout=60).stdout
            assert seen == b"kept\n", seen
            began = time.monotonic()
            assert script("stop", "--port", port).returncode == 0
            left = [line for pid in pids for line in left_of_group(pid)]
            assert not left, left
            print(f"{version}: started in {took:.1f} s, stopped in {time.monotonic() - began:.1f} s", flush=True)
        finally:
            script("stop", "--dir", str(home))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        if any(kafka.shutil.which(program) is None for program in ("java", "mvn", "kcat")):
            print("skipped: java, mvn or kcat is not installed")
            sys.exit(77)
        for one in sys.argv[2:] or kafka_versions.TESTED:
            run(one)
    else:
        unittest.main()
