# SPDX-License-Identifier: Apache-2.0
"""The embedded broker as a process of its own, to measure with."""
import pathlib
import subprocess
import tempfile

from peers.contest import cpu_of
from peers.kafka import in_memory

ROOT = pathlib.Path(__file__).resolve().parents[2]
PENSTOCK = ROOT / "build/release/penstock"


class Embedded:
    """Started by `with`. Its log lies in memory if that has room, as that of peers.kafka.Kafka."""

    def __init__(self, log_bytes):
        self.where = in_memory(log_bytes)
        self.folder = tempfile.TemporaryDirectory(prefix="penstock-bench-", dir=self.where)
        self.home = pathlib.Path(self.folder.name)

    def __enter__(self):
        self.process = subprocess.Popen([PENSTOCK, "broker", "--dir", self.home / "broker", "--listen", "127.0.0.1:0"],
                                        stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.brokers = self.process.stdout.readline().removeprefix("listening on ").strip()
        return self

    def cpu(self):
        """Seconds that the broker has used so far."""
        return cpu_of(self.pid)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        self.folder.cleanup()
