#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares every query with SQLite over the same events.

    nexmark_test.py NEXMARK [--events 20000] [--lanes 1,2] [--seed 7] [--penstock PENSTOCK]

Twice: on events that are out of order by less than the watermark allows, all queries; and on events that are late,
with times as numbers, those with windows. With the command line's program, some queries from a topic in its broker too.
"""
import argparse
import collections
import contextlib
import datetime
import decimal
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import answers

TIMES = {"dateTime", "expires", "starttime", "endtime", "stime", "bid_dateTime", "auction_dateTime"}
TEXTS = {"extra", "name", "city", "state", "channel", "url", "day", "minute", "itemName", "description", "bid_extra",
         "auction_extra", "dir1", "dir2", "dir3"}
EPOCH = datetime.datetime(1970, 1, 1)


def to_ms(time):
    if isinstance(time, int):
        return time
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", time), time
    return (datetime.datetime.strptime(time, "%Y-%m-%d %H:%M:%S.%f") - EPOCH) // datetime.timedelta(milliseconds=1)


def value_of(query, column, value):
    """A column's value as SQLite has it; complains about a type that is not the benchmark's."""
    if column in TIMES:
        assert isinstance(value, str), f"{query}: {column} is no text: {value!r}"
        return to_ms(value)
    if column in TEXTS:
        none = value is None and column.startswith("dir")
        assert none or isinstance(value, str), f"{query}: {column} is no text: {value!r}"
        return value
    if query == "q1" and column == "price":
        assert isinstance(value, decimal.Decimal) and value.as_tuple().exponent == -3, f"q1: no three decimals: {value!r}"
        return int(value * 1000)
    assert type(value) is int, f"{query}: {column} is no integer: {value!r}"
    return value


def rows_of(query, path, columns):
    """The rows that a query wrote; of those that it wrote again, the last."""
    rows, last = [], {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line, parse_float=decimal.Decimal)
        assert list(row) == columns, f"{query}: columns {list(row)}, not {columns}"
        values = tuple(value_of(query, c, v) for c, v in row.items())
        if query in answers.KEYS:
            last[tuple(row[k] for k in answers.KEYS[query])] = values
        else:
            rows.append(values)
    return rows + list(last.values())


def by_clock(path):
    """q12: the sum over the windows, each of which is ten seconds of the clock."""
    sums = collections.Counter()
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert list(row) == ["bidder", "bid_count", "starttime", "endtime"], row
        start = to_ms(row["starttime"])
        assert start % 10_000 == 0 and to_ms(row["endtime"]) == start + 10_000, row
        sums[row["bidder"]] += row["bid_count"]
    return list(sums.items())


def compare(query, got, wanted):
    got, wanted = collections.Counter(got), collections.Counter(wanted)
    if got == wanted:
        return True
    for what, rows in (("missing", wanted - got), ("too many", got - wanted)):
        print(f"{query}: {sum(rows.values())} rows {what}, such as {list(rows)[:2]}")
    return False


def run(*command):
    subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL, timeout=900)


@contextlib.contextmanager
def broker(penstock, directory):
    """The address of a broker on loopback."""
    process = subprocess.Popen([penstock, "broker", "--dir", directory, "--listen", "127.0.0.1:0"],
                               stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on 127.0.0.1:"), line
        yield line.removeprefix("listening on ").strip()
    finally:
        process.terminate()
        process.communicate(timeout=60)


def check(nexmark, source, db, queries, lanes, directory):
    """`source`: the arguments that say where the events come from, the same as those in `db`."""
    wrong = 0
    for query in queries:
        columns, wanted = answers.answer(db, query)
        assert wanted, f"{query}: the events give no row at all"
        for n in lanes:
            out = directory / f"{query}.ndjson"
            run(nexmark, "--query", query, *source, "--output", out, "--lanes", n)
            got = by_clock(out) if query == "q12" else rows_of(query, out, columns)
            equal = compare(query, got, wanted)
            wrong += not equal
            lane = "lane: " if n == 1 else "lanes:"
            print(f"{query:>4}, {n} {lane} {len(wanted)} rows {'equal' if equal else 'WRONG'}", flush=True)
    return wrong


def times_as_numbers(source, target):
    with open(source, encoding="utf-8") as lines, open(target, "w", encoding="utf-8") as out:
        for line in lines:
            out.write(re.sub(r'"(dateTime|expires)":"([^"]*)"', lambda m: f'"{m[1]}":{to_ms(m[2])}', line))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nexmark", type=pathlib.Path)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--lanes", default="1,2")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--penstock", type=pathlib.Path)
    args = parser.parse_args()
    lanes = [int(n) for n in args.lanes.split(",")]
    rate = max(400, args.events // 100)  # windows and pauses between sessions
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        ordered, late, numbers = (directory / f"{n}.ndjson" for n in ("events", "late", "numbers"))
        make = [args.nexmark, "--seed", args.seed, "--generate", args.events, "--rate", rate,
                "--start", "2015-07-15 23:59:45"]  # two days, for the statistics by day
        disorder = ["--out-of-order", rate * 3]
        run(*make, *disorder, "--output", ordered)
        run(*make, "--out-of-order", rate * 15, "--output", late)
        times_as_numbers(late, numbers)
        print(f"{args.events} events, {rate} a second, seed {args.seed}")
        db = answers.load(ordered, to_ms)
        wrong = check(args.nexmark, ["--input", ordered], db, answers.QUERIES, lanes, directory)
        if args.penstock:
            print("from a topic")
            with broker(args.penstock, directory / "broker") as address:
                topic = ["--brokers", address]
                run(*make, *disorder, *topic, "--partitions", 3)
                wrong += check(args.nexmark, topic, db, ["q3", "q5", "q11"], lanes, directory)
        print("late events")
        db = answers.load(numbers, to_ms)
        wrong += check(args.nexmark, ["--input", numbers], db, answers.WINDOWED, lanes, directory)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
