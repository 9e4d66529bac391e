#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checks find what they are there to find: each on a small tree with one thing wrong."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SCRIPTS))
import ctest_sums  # noqa: E402

LAYERS = (SCRIPTS.parent / "layers.txt").read_text(encoding="utf-8")


def run(script: str, tree: dict[str, str]) -> tuple[int, str]:
    with tempfile.TemporaryDirectory() as root:
        for name, text in tree.items():
            path = Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        done = subprocess.run([sys.executable, str(SCRIPTS / script), root], capture_output=True, text=True,
                              check=False)
        return done.returncode, done.stdout + done.stderr


class Layers(unittest.TestCase):
    def check(self, name: str, text: str) -> tuple[int, str]:
        return run("check_layers.py", {"layers.txt": LAYERS, name: text})

    def accept(self, name: str, text: str) -> None:
        self.assertEqual(self.check(name, text), (0, ""))

    def refuse(self, name: str, text: str, sentence: str) -> None:
        status, output = self.check(name, text)
        self.assertEqual(status, 1, output)
        self.assertIn(sentence, output)

    def test_the_four_edges_that_never_exist(self):
        self.refuse("src/engine/a.cc", '#include "client/fetcher.h"\n', "engine must never include client")
        self.refuse("src/engine/a.cc", '\n#include "wire/reader.h"\n', "a.cc:2: engine must never include wire")
        self.refuse("src/engine/a.cc", "#include <penstock/kafka/producer.h>\n", "engine must never include client")
        self.refuse("src/broker/a.cc", '#include "engine/task.h"\n', "broker must never include engine")
        self.refuse("src/broker/a.cc", '#include "client/fetcher.h"\n', "broker must never include client")
        self.refuse("src/state/a.cc", '#include "engine/task.h"\n', "state must never include engine")
        self.refuse("src/state/a.cc", '#include "wire/reader.h"\n', "state must never include wire")
        self.refuse("src/wire/a.cc", '#include "io/file.h"\n', "wire must never include io")

    def test_a_lower_room_does_not_see_a_higher_one(self):
        self.refuse("src/base/a.h", '#include "io/clock.h"\n', "base must not include io, which stands above it")
        self.accept("src/io/a.h", '#include "base/bytes.h"\n')
        self.accept("src/connectors/kafka/a.cc", '#include "client/fetcher.h"\n#include "engine/task.h"\n')

    def test_a_room_nobody_named(self):
        self.refuse("src/misc/a.cc", "\n", "does not say which room")
        self.refuse("include/penstock/elsewhere/a.h", "\n", "does not say which room")

    def test_only_io_touches_the_world(self):
        self.refuse("src/wire/a.cc", "#include <sys/socket.h>\n", "only io may include <sys/socket.h>")
        self.refuse("src/log/a.cc", "#include <fstream>\n", "only io may include <fstream>")
        self.refuse("src/client/a.cc", "#include <boost/asio/ip/tcp.hpp>\n", "only io and http may include")
        self.refuse("src/engine/a.cc", "int f() {\n  auto t = std::chrono::steady_clock::now();\n}\n",
                    "src/engine/a.cc:2: only io may call steady_clock::now")
        self.refuse("src/client/a.cc", "std::random_device d;\n", "only io may call random_device")
        self.accept("src/io/a.cc", "#include <fcntl.h>\nauto t = std::chrono::steady_clock::now();\n")

    def test_comments_and_strings_are_no_code(self):
        self.accept("src/engine/a.cc", '// steady_clock::now\n/* #include "client/x.h"\n#include "wire/y.h" */\n'
                    'const char* s = "random_device";\n')

    def test_tests_may_touch_the_world_but_not_the_layers(self):
        self.accept("src/log/a_test.cc", "#include <filesystem>\n#include <unistd.h>\n")
        self.refuse("src/broker/a_test.cc", '#include "client/fetcher.h"\n', "broker must never include client")

    def test_public_headers_include_public_headers(self):
        self.refuse("include/penstock/stream.h", '#include "engine/task.h"\n', "includes public headers only")
        self.refuse("include/penstock/result.h", "#include <boost/asio.hpp>\n", "must not include <boost/asio.hpp>")
        self.accept("include/penstock/result.h", "#include <tl/expected.hpp>\n")

    def test_examples_use_what_a_user_has(self):
        self.refuse("examples/a/main.cc", '#include "client/fetcher.h"\n', "examples use the public headers only")
        self.accept("examples/a/main.cc", '#include <penstock/penstock.h>\n#include "job.h"\n')

    def test_exceptions_hold_for_one_file(self):
        layers = LAYERS + "\nexcept src/log/a.cc fcntl.h\n"
        text = "#include <fcntl.h>\n"
        self.assertEqual(run("check_layers.py", {"layers.txt": layers, "src/log/a.cc": text})[0], 0)
        self.assertEqual(run("check_layers.py", {"layers.txt": layers, "src/log/b.cc": text})[0], 1)


class Tidy(unittest.TestCase):
    SPDX = "// SPDX-License-Identifier: Apache-2.0\n"

    def refuse(self, name: str, text: str, sentence: str) -> None:
        status, output = run("check_tidy.py", {name: text})
        self.assertEqual(status, 1, output)
        self.assertIn(sentence, output)

    def test_lapses(self):
        self.refuse("a.cc", "int a;\n", "SPDX")
        self.refuse("a.cc", self.SPDX + "int a; \n", "a.cc:2: blanks at the end of the line")
        self.refuse("a.cc", self.SPDX + "\tint a;\n", "a tab")
        self.refuse("a.cc", self.SPDX + "int a;", "ends with a line break")
        self.refuse("a.cc", self.SPDX + "// TODO\n", "TODO")
        self.refuse("a.md", "See /home/somebody/notes.\n", "a path of somebody's machine")
        self.refuse("a.py", "# SPDX-License-Identifier: Apache-2.0\nopen('/tmp/x')\n", "a fixed path")

    def test_a_clean_file(self):
        clean = {"a.cc": self.SPDX + "int a;\n", "examples/x/data/a.csv": "a \t"}
        self.assertEqual(run("check_tidy.py", clean), (0, ""))


class CtestSums(unittest.TestCase):
    def test_passed_failed_skipped(self):
        text = ("1/3 Test #1: a ...   Passed    0.01 sec\n2/3 Test #2: b ...***Failed    0.01 sec\n"
                "3/3 Test #3: c ...***Skipped   0.01 sec\n\n67% tests passed, 1 tests failed out of 3\n")
        self.assertEqual(ctest_sums.sums(text), (1, 1, 1))

    def test_a_run_that_broke_off(self):
        self.assertIsNone(ctest_sums.sums("1/3 Test #1: a ...   Passed    0.01 sec\n"))


if __name__ == "__main__":
    unittest.main()
