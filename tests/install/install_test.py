#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""penstock::client as a program elsewhere has it: installed below a prefix, found and linked, and run.

  install_test.py BUILD SOURCE PENSTOCK     the build tree, the source tree, the program penstock
"""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SECONDS = 600


def run(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


class Installed(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory(prefix="penstock-install-")
        self.addCleanup(holder.cleanup)
        self.directory = Path(holder.name)

    def start_broker(self) -> str:
        broker = subprocess.Popen([PENSTOCK, "broker", "--dir", str(self.directory / "log"), "--listen", "127.0.0.1:0"],
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(broker.communicate, timeout=30)
        self.addCleanup(broker.terminate)
        return broker.stdout.readline().removeprefix("listening on ").strip()

    def check_program(self, program: Path):
        file = self.directory / "client.properties"
        file.write_text(f"bootstrap.servers={self.start_broker()}\nauto.offset.reset=earliest\nlinger.ms=0\n")
        printed = run(str(program), str(file), "orders")
        self.assertEqual(sorted(printed.split("\n")), ["", "one = hello", "three = hello", "two = hello"])

    def test_a_program_elsewhere_finds_it(self):
        prefix, build = self.directory / "prefix", self.directory / "build"
        run("cmake", "--install", BUILD, "--prefix", str(prefix), "--component", "client")
        headers = sorted(p.name for p in (prefix / "include" / "penstock" / "kafka").iterdir())
        self.assertIn("producer.h", headers)
        self.assertNotIn("sink.h", headers)
        run("cmake", "-S", f"{SOURCE}/examples/kafka_client", "-B", str(build), "-G", "Ninja",
            f"-DCMAKE_PREFIX_PATH={prefix}")
        run("cmake", "--build", str(build))
        commands = run("ninja", "-C", str(build), "-t", "commands")
        self.assertNotIn(f"{SOURCE}/src", commands)
        self.assertNotIn("-Werror", commands)
        self.check_program(build / "kafka_client")


if __name__ == "__main__":
    BUILD, SOURCE, PENSTOCK = sys.argv[1:4]
    unittest.main(argv=sys.argv[:1], verbosity=2)
