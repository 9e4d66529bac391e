# SPDX-License-Identifier: Apache-2.0
"""What the conformance tests share: brokers as processes, programs run and watched, cases and their report.

A test program declares cases and hands over to main():

    @case("records", each=CODECS)
    def kcat_to_cli(t, codec):
        "kcat writes, the command line reads"
        ...
        return f"{n} records"

    sys.exit(main(__doc__))

Each case prints one line. A case that fails prints the commands it ran with what they said, and the next one goes on.
"""

import argparse
import contextlib
import dataclasses
import inspect
import json
import os
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "penstock"
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
KAFKA = "4.1.0"
SECONDS = 60  # the longest that a program may take that is not told otherwise
SKIPPED = 77  # exit status: what the test needs is not on this machine


class Failed(Exception):
    """What a case expected and did not see."""


class NotThere(Exception):
    """The broker does not have what the case is about."""


class Missing(Exception):
    """A program that the case needs is not on this machine."""


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise Missing(f"{program} is not installed")


def expect(truth: object, sentence: str) -> None:
    if not truth:
        raise Failed(sentence)


def expect_equal(seen: object, expected: object, what: str) -> None:
    if seen != expected:
        raise Failed(f"{what}: expected {shortened(repr(expected))}, saw {shortened(repr(seen))}")


def shortened(text: str, most: int = 1500) -> str:
    return text if len(text) <= most else f"{text[:most * 2 // 3]} ... [{len(text)} characters] ... {text[-most // 3:]}"


def few_lines(text: str, most: int = 24) -> str:
    lines = text.rstrip().split("\n")
    if len(lines) > most:
        lines[most // 2:-most // 2] = [f"... [{len(lines)} lines] ..."]
    return "\n    ".join(lines)


def shown(command: Iterable[object]) -> str:
    return shlex.join(str(word) for word in command)


# --- programs ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Done:
    """A program that has ended."""
    command: list[str]
    status: int
    out: bytes
    err: bytes
    fed: bytes = b""

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def complaint(self) -> str:
        return self.err.decode(errors="replace")

    def __str__(self) -> str:
        lines = [f"$ {shortened(shown(self.command))}"]
        if self.fed:
            lines.append(f"  standard input, {len(self.fed)} bytes: {shortened(repr(self.fed), 400)}")
        lines.append(f"  exit status {self.status}")
        for name, text in (("output", self.out), ("errors", self.err)):
            if text:
                lines.append(f"  {name}: {few_lines(shortened(text.decode(errors='backslashreplace'), 1200))}")
        return "\n".join(lines)


class Running:
    """A program at work; its lines are collected as they come, and can be waited for."""

    def __init__(self, command: list[str], env: dict[str, str] | None = None, cwd: Path | None = None):
        self.command = [str(word) for word in command]
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=env, cwd=cwd)
        self.out: list[bytes] = []
        self.err: list[bytes] = []
        self.news = threading.Condition()
        self.readers = [threading.Thread(target=self._collect, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))]
        for reader in self.readers:
            reader.start()

    def _collect(self, pipe, lines: list[bytes]) -> None:
        for line in pipe:
            with self.news:
                lines.append(line)
                self.news.notify_all()
        with self.news:
            self.news.notify_all()

    def feed(self, data: bytes) -> None:
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def end_of_input(self) -> None:
        self.process.stdin.close()

    def over(self) -> bool:
        return self.process.poll() is not None and not any(reader.is_alive() for reader in self.readers)

    def wait_for(self, condition: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
        """Returns when the condition on what was collected holds; fails when the program ends or time runs out."""
        deadline = time.monotonic() + seconds
        with self.news:
            while not condition():
                if self.over():
                    raise Failed(f"{self.command[0]} ended before {what}\n{self}")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failed(f"{seconds:g} s passed before {what}\n{self}")
                self.news.wait(min(left, 0.2))

    def wait_for_line(self, pattern: str, seconds: float = SECONDS) -> str:
        """The first line of either output that the pattern is found in."""
        found: list[str] = []

        def seen() -> bool:
            found[:] = [line.decode(errors="replace") for line in self.out + self.err
                        if re.search(pattern, line.decode(errors="replace"))]
            return bool(found)
        self.wait_for(seen, f"it said {pattern!r}", seconds)
        return found[0].rstrip("\n")

    def wait(self, seconds: float = SECONDS) -> Done:
        """Waits until it ends by itself."""
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"it had not ended after {seconds:g} s\n{self}") from None
        for reader in self.readers:
            reader.join(timeout=10)
        return self.so_far()

    def stop(self, with_signal: int = signal.SIGTERM, seconds: float = 30) -> Done:
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        return self.wait(seconds)

    def kill(self) -> None:
        """Whatever happened: afterwards it is gone."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join(timeout=10)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(OSError):
                pipe.close()

    def so_far(self) -> Done:
        status = self.process.returncode
        return Done(self.command, -999 if status is None else status, b"".join(self.out), b"".join(self.err))

    def __str__(self) -> str:
        return str(self.so_far()).replace("exit status -999", "(still running)")


def await_until(condition: Callable[[], object], what: str, seconds: float = SECONDS) -> object:
    """Asks again and again, for what nobody tells us of; returns the first answer that is true."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Failed(f"{seconds:g} s passed before {what}")
        time.sleep(0.02)


# --- brokers ----------------------------------------------------------------------------------------------------------


class Penstock:
    """`penstock broker`, the program under test, on a free port that it keeps over restarts."""

    name = "penstock broker"
    version = "99"  # newer than every Kafka: it has what they have
    patience = 30.0  # seconds within which clients have got over a restart

    def __init__(self, binary: str, directory: Path, *options: str):
        self.binary, self.directory, self.options = binary, directory, options
        self.port, self.running = 0, None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [self.binary, "broker", "--dir", str(self.directory), "--listen", self.address, *self.options]

    def start(self) -> None:
        self.running = Running(self.command())
        line = self.running.wait_for_line(r"^listening on 127\.0\.0\.1:\d+$", 30)
        self.port = int(line.rsplit(":", 1)[1])

    def stop(self) -> float:
        """Seconds that the clean stop took."""
        began = time.monotonic()
        done = self.running.stop(seconds=30)
        took = time.monotonic() - began
        if (done.status, done.err) != (0, b""):
            raise Failed(f"the broker did not stop clean on SIGTERM\n{done}")
        return took

    def kill(self) -> None:
        self.running.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        if self.running is not None:
            self.running.kill()


class Kafka:
    """A real Apache Kafka, started by scripts/kafka; keeps port and data over restarts."""

    patience = 120.0
    settings: tuple[str, ...] = ()  # KEY=VALUE, over those of scripts/kafka: a test program may set them for its brokers

    def __init__(self, version: str, directory: Path):
        need("java", "mvn")
        self.version, self.directory = version, directory
        self.name, self.port = f"Apache Kafka {version}", 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def script(self, *arguments: str) -> Done:
        done = subprocess.run([sys.executable, str(ROOT / "scripts" / "kafka"), *arguments], capture_output=True,
                              timeout=900, check=False, stdin=subprocess.DEVNULL)
        result = Done(["scripts/kafka", *arguments], done.returncode, done.stdout, done.stderr)
        if done.returncode != 0:
            raise Failed(f"Apache Kafka could not be started or stopped\n{result}")
        return result

    def start(self) -> None:
        # Before Kafka 0.11 a client cannot ask for a topic without making it: the broker has to be told. Later ones
        # with ZooKeeper try to make one that is there when they are asked in the first moments after a start, before
        # they have heard of it and of themselves: "Invalid replication factor", and librdkafka gives its records up.
        strict = ("auto.create.topics.enable=false",) if numbers(self.version) < (3, 3) else ()
        settings = [word for s in (*strict, *self.settings) for word in ("--set", s)]
        done = self.script("start", self.version, "--port", str(self.port), "--dir", str(self.directory),
                           "--seconds", "1800", "--heap", "768", *settings)
        self.port = int(done.text.strip().rsplit(":", 1)[1])

    def stop(self) -> float:
        began = time.monotonic()
        self.script("stop", "--dir", str(self.directory))
        return time.monotonic() - began

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        if self.port:
            with contextlib.suppress(Failed):
                self.stop()


def request(address: str, key: int, version: int, body: bytes) -> bytes:
    """One request with the classic header on a connection of its own; the answer behind its correlation id."""
    host, port = address.rsplit(":", 1)
    message = struct.pack(">hhih", key, version, 1, 4) + b"test" + body
    with socket.create_connection((host, int(port)), timeout=10) as s:
        s.settimeout(30)
        s.sendall(struct.pack(">i", len(message)) + message)
        reply = b""
        while len(reply) < 4 or len(reply) < 4 + struct.unpack(">i", reply[:4])[0]:
            part = s.recv(65536)
            if not part:
                raise Failed(f"{address} closed the connection instead of answering request {key} version {version}")
            reply += part
    return reply[8:]


def offered(address: str, key: int) -> tuple[int, int]:
    """The versions of a request that the broker offers; (-1, -1) when it has none."""
    reply = request(address, 18, 0, b"")
    count, = struct.unpack_from(">i", reply, 2)
    apis = {api: (low, high) for api, low, high in struct.iter_unpack(">hhh", reply[6:6 + 6 * count])}
    return apis.get(key, (-1, -1))


def wire_string(text: str) -> bytes:
    return struct.pack(">h", len(text.encode())) + text.encode()


def make_topic(address: str, name: str, partitions: int, configs: dict[str, str]) -> None:
    """CreateTopics, version 1 or 2, which ask the same: owes nothing to the programs under test."""
    version = min(2, offered(address, 19)[1])
    body = struct.pack(">i", 1) + wire_string(name) + struct.pack(">ihii", partitions, 1, 0, len(configs))
    body += b"".join(wire_string(key) + wire_string(value) for key, value in configs.items())
    reply = request(address, 19, version, body + struct.pack(">ib", 30_000, 0))
    throttle_time = 4 if version >= 2 else 0
    error, = struct.unpack_from(">h", reply, throttle_time + 4 + 2 + len(name.encode()))
    expect_equal(error, 0, f"the error code of CreateTopics for {name}")


# --- cases ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Case:
    section: str
    function: Callable
    each: tuple
    only_on: str  # "penstock": needs our own broker; "": any
    since: str | dict  # the oldest Kafka that has the feature; for some values, by their value


CASES: list[Case] = []


def case(section: str, each: Iterable = (), only_on: str = "", since: str | dict = "") -> Callable:
    """Declares a case; with `each`, one for each of these values, which the function gets."""
    def declare(function: Callable) -> Callable:
        CASES.append(Case(section, function, tuple(each), only_on, since))
        return function
    return declare


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version))


def available(what: Case, value: object, broker) -> bool:
    since = what.since.get(value, "") if isinstance(what.since, dict) else what.since
    return not since or numbers(broker.version) >= numbers(since)


class Stage:
    """What a case works with: the broker, topics of its own, and programs that are ended with the case."""

    def __init__(self, broker, penstock: str, directory: Path, name: str):
        self.broker, self.penstock, self.directory, self.name = broker, penstock, directory, name
        self.journal: list[Done | Running] = []
        self.processes: list[Running] = []
        self.brokers: list[Penstock] = []
        self.topics = 0
        self.settings: dict[str, object] = {}

    @property
    def address(self) -> str:
        return self.broker.address

    def has(self, since: str) -> bool:
        """Whether the broker is that version of Kafka, or newer (ours counts as such)."""
        return numbers(self.broker.version) >= numbers(since)

    @property
    def codecs(self) -> tuple[str, ...]:
        return CODECS if self.has("2.1") else tuple(codec for codec in CODECS if codec != "zstd")

    @property
    def produce_options(self) -> list[str]:
        """What the command line needs to write to this broker: Kafka 0.10 knows no producer ids."""
        return [] if self.has("0.11") else ["-X", "enable.idempotence=false"]

    @property
    def patient(self) -> list[str]:
        """What the command line needs to sit out a restart of this broker, which may take longer than a person waits."""
        return [] if isinstance(self.broker, Penstock) else ["-X", "default.api.timeout.ms=180000"]

    def run(self, command: list, stdin: bytes = b"", seconds: float = SECONDS, status: int | None = 0,
            env: dict[str, str] | None = None, cwd: Path | None = None) -> Done:
        """Runs a program to its end; fails unless it ends with that status."""
        words = [str(word) for word in command]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
                                   cwd=cwd)
        try:
            out, err = process.communicate(stdin, timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            self.journal.append(Done(words, process.returncode, out, err, stdin))
            raise Failed(f"{words[0]} had not ended after {seconds:g} s") from None
        done = Done(words, process.returncode, out, err, stdin)
        self.journal.append(done)
        if status is not None and done.status != status:
            raise Failed(f"{Path(words[0]).name} ended with status {done.status}, not {status}")
        return done

    def start(self, command: list, env: dict[str, str] | None = None) -> Running:
        running = Running(command, env)
        self.processes.append(running)
        self.journal.append(running)
        return running

    def cli(self, *arguments: str, stdin: bytes = b"", status: int = 0, at: str = "", seconds: float = SECONDS) -> Done:
        more = self.produce_options if arguments[0] == "produce" and not at else []
        return self.run([self.penstock, *arguments, "--brokers", at or self.address, *more], stdin, seconds, status)

    def topic(self, partitions: int = 1, **configs: str) -> str:
        """A fresh topic; a setting's dots are underscores here."""
        self.topics += 1
        name = f"{self.name}-{self.topics}"
        make_topic(self.address, name, partitions, {key.replace("_", "."): value for key, value in configs.items()})
        if not isinstance(self.broker, Penstock):
            await_until(lambda: self.has_leaders(name, partitions), f"topic {name} had leaders")
        return name

    def has_leaders(self, topic: str, partitions: int) -> bool:
        """Metadata, version 1, as the broker itself has it."""
        reply = request(self.address, 3, 1, struct.pack(">i", 1) + wire_string(topic))
        at, count = 4, struct.unpack_from(">i", reply)[0]
        for _ in range(count):  # brokers: id, host, port, rack
            at += 4 + 2 + struct.unpack_from(">h", reply, at + 4)[0] + 4
            at += 2 + max(0, struct.unpack_from(">h", reply, at)[0])
        at += 4 + 4  # controller, number of topics
        error, length = struct.unpack_from(">hh", reply, at)
        at += 4 + length + 1
        known, = struct.unpack_from(">i", reply, at)
        at += 4
        leaders = []
        for _ in range(known):
            leaders.append(struct.unpack_from(">h i i", reply, at)[2])
            at += 10
            for _ in range(2):  # replicas, those in sync
                at += 4 + 4 * struct.unpack_from(">i", reply, at)[0]
        return error == 0 and known == partitions and min(leaders) >= 0

    def own_broker(self, *options: str, directory: Path | None = None) -> Penstock:
        """A broker of the case alone, started; ended with the case."""
        where = directory or self.directory / f"{self.name}-broker-{len(self.brokers)}"
        broker = Penstock(self.penstock, where, *options)
        self.brokers.append(broker)
        broker.start()
        self.journal.append(broker.running)
        return broker

    def close(self) -> None:
        for running in self.processes:
            running.kill()
        for broker in self.brokers:
            broker.close()


def told(stage: Stage, failure: Exception) -> str:
    """All that is known of a failure: the last commands with their outputs."""
    parts = [f"  {type(failure).__name__}: {failure}" if not isinstance(failure, Failed) else f"  {failure}"]
    parts += [str(entry) for entry in stage.journal[-4:]]
    if isinstance(stage.broker, Penstock) and stage.broker.running is not None:
        if stage.broker.running.over() or stage.broker.running.err:
            parts.append(f"the broker: {stage.broker.running}")
    return "\n".join(parts).replace("\n", "\n  ")


def lines_of(running: Running) -> list[str]:
    return [line.decode(errors="replace").rstrip("\n") for line in list(running.out)]


@dataclasses.dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0


def run_cases(cases: list[tuple[Case, object]], broker, penstock: str, directory: Path, results: list[dict]) -> Counts:
    """Runs them in turn; a row for each goes to the results as soon as it is known."""
    counts = Counts()
    for number, (what, value) in enumerate(cases):
        values = [] if value is None else [str(v) for v in (value if isinstance(value, tuple) else (value,))]
        name = "-".join([what.function.__name__.replace("_", "-"), *values])
        feature = (inspect.getdoc(what.function) or name).splitlines()[0]
        title = feature + (f" ({', '.join(values)})" if values else "")
        row = {"section": what.section, "feature": feature, "value": ", ".join(values), "verdict": "not available"}
        results.append(row)
        if not available(what, value, broker):
            print(f"n/a  {title}", flush=True)
            continue
        stage = Stage(broker, penstock, directory, f"{number:02}-{name}")
        began = time.monotonic()
        try:
            note = what.function(stage) if value is None else what.function(stage, value)
            verdict, more = "ok", f": {note}" if note else ""
            counts.passed += 1
        except Missing as missing:
            verdict, more = "skip", f": {missing}"
            counts.skipped += 1
        except NotThere as why:
            verdict, more = "n/a", f": {why}"
        except (Failed, OSError, subprocess.SubprocessError, ValueError, struct.error, LookupError) as failure:
            verdict, more = "FAIL", "\n" + told(stage, failure)
            counts.failed += 1
        finally:
            stage.close()
        row["verdict"] = {"ok": "passed", "skip": "skipped", "FAIL": "failed", "n/a": "not available"}[verdict]
        print(f"{verdict:<4} {title}{more if verdict != 'FAIL' else ''} [{time.monotonic() - began:.1f} s]", flush=True)
        if verdict == "FAIL":
            print(more.lstrip("\n"), flush=True)
            if isinstance(broker, Penstock) and broker.running.over():
                print("     the broker is gone; it is started again for the next case", flush=True)
                broker.start()
    return counts


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("PENSTOCK") or str(ROOT / "build" / "dev" / "penstock")
    parser.add_argument("--penstock", default=default, help="the binary (default: $PENSTOCK, else build/dev/penstock)")
    parser.add_argument("--against", default="penstock", help="penstock (default), or a version of Apache Kafka")
    parser.add_argument("--section", action="append", default=[], help="only the cases of this section")
    parser.add_argument("--only", default="", help="only the cases whose function has this in its name")
    parser.add_argument("--results", help="a file for the verdicts, as JSON")
    parser.add_argument("--list", action="store_true", help="the sections and cases, and nothing else")
    return parser


def main(description: str, *needed: str) -> int:
    args = arguments(description).parse_args()
    ours = args.against == "penstock"
    chosen = [(c, v) for c in CASES for v in (c.each or (None,))
              if (not args.section or c.section in args.section) and args.only in c.function.__name__
              and (ours or c.only_on != "penstock")]
    if args.list:
        for c in CASES:
            print(f"{c.section:<12} {c.function.__name__}{f' {c.each}' if c.each else ''}")
        return 0
    if not chosen:
        print("no case is called that")
        return 2
    results: list[dict] = []
    began = time.monotonic()
    binary = os.path.abspath(args.penstock)
    if not os.access(binary, os.X_OK):
        print(f"{binary} is not there: build it, or say with --penstock where it is")
        return 2
    with tempfile.TemporaryDirectory(prefix="penstock-conformance-") as name:
        directory = Path(name)
        try:
            need(*needed)
            data = directory / "broker"
            broker = Penstock(binary, data) if ours else Kafka(args.against, data)
        except Missing as missing:
            print(f"skipped: {missing}")
            return SKIPPED
        try:
            broker.start()
            print(f"against {broker.name} at {broker.address}", flush=True)
            counts = run_cases(chosen, broker, binary, directory, results)
            if ours:
                broker.stop()
        except Failed as failure:
            print(f"FAIL {failure}")
            return 1
        finally:
            broker.close()
            if args.results:
                Path(args.results).write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(f"{counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped "
          f"in {time.monotonic() - began:.1f} s", flush=True)
    if counts.failed:
        return 1
    return 0 if counts.passed else SKIPPED
