# SPDX-License-Identifier: Apache-2.0
"""The proxy that knows Kafka's frames (kafka_proxy, see proxy_main.cc), for tests in Python."""

import re
import subprocess
import threading


class Proxy:
    """A proxy process before one broker; ends with close().

        proxy = Proxy("build/dev/tests/support/kafka_proxy", "127.0.0.1:9092", seed=7)
        number = proxy.rule("cut-after api=produce")
        proxy.wait_met(number, 5)
    """

    def __init__(self, program: str, broker: str, seed: int = 1):
        self.process = subprocess.Popen([program, broker, "0", str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1)
        self.news = threading.Condition()
        self.events: list[dict[str, str]] = []
        self.answers: list[str] = []
        self.ended = False
        first = self.process.stdout.readline()
        found = re.fullmatch(r"listening on (127\.0\.0\.1:\d+)\n", first)
        if found is None:
            self.close()
            raise RuntimeError(f"the proxy did not start: {first!r}")
        self.address = found[1]
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            with self.news:
                if line.startswith("event "):
                    kind, *pairs = line.split()[1:]
                    self.events.append({"kind": kind, **dict(pair.split("=", 1) for pair in pairs)})
                else:
                    self.answers.append(line.rstrip("\n"))
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    def command(self, line: str) -> str:
        """Its answer; one thread at a time."""
        with self.news:
            before = len(self.answers)
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            self.news.wait_for(lambda: len(self.answers) > before or self.ended, 20)
            answer = self.answers[before] if len(self.answers) > before else "nothing"
        if not answer.startswith("ok"):
            raise RuntimeError(f"the proxy answered {line!r} with {answer!r}")
        return answer

    def rule(self, words: str) -> int:
        return int(self.command(f"rule {words}").removeprefix("ok rule="))

    def wait_met(self, rule: int, seconds: float) -> bool:
        """Until a request met the rule."""
        def met() -> bool:
            return any(e["kind"] == "met" and e["rule"] == str(rule) for e in self.events)
        with self.news:
            return self.news.wait_for(lambda: met() or self.ended, seconds) and met()

    def close(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if hasattr(self, "reader"):
            self.reader.join(10)
        self.process.stdout.close()
