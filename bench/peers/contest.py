# SPDX-License-Identifier: Apache-2.0
"""What the contests with peers have in common: programs run for their figures, and contestants compared in turns."""
import json
import os
import pathlib
import statistics
import subprocess
import sys


def output_of(*command, timeout=1800):
    """What a program prints; if it fails, its words end this one."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout, check=False)
    if done.returncode != 0:
        sys.exit(f"{pathlib.Path(command[0]).name} failed with status {done.returncode}: "
                 f"{(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def measure(*command):
    """Runs a program that prints one JSON line of figures last."""
    return json.loads(output_of(*command).strip().splitlines()[-1])


def cpu_of(pid):
    """Seconds of CPU time that a process has used so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def create_topic(penstock, brokers, name, partitions):
    # Event time may be long ago, and retention goes by it.
    output_of(penstock, "topic", "create", name, "--partitions", partitions, "--config", "retention.ms=-1", "--brokers",
              brokers)
    return name


def compare(what, rounds, contestants, one, say=print):
    """All contestants in each round. `contestants`: (label, what to run) pairs, ours first; `one(title, round, run)`
    measures, prints and returns the figures of one. Prints the medians, and ours against each as the median of the
    rounds' ratios."""
    figures = {label: [] for label, _ in contestants}
    for number in range(rounds):
        for label, run in contestants:
            figures[label].append(one(f"{label} {what}", number, run))
    ours = contestants[0][0]
    median = lambda label, name: statistics.median(f[name] for f in figures[label])
    say(f"{what}, medians of {rounds}:")
    for label, _ in contestants:
        ratio = statistics.median(a["records_per_second"] / b["records_per_second"]
                                  for a, b in zip(figures[ours], figures[label]))
        against = "" if label == ours else f", {ours} {ratio:.2f} x"
        say(f"  {label}: {median(label, 'records_per_second') / 1e6:.3f} M/s, "
            f"{median(label, 'cpu_ns_per_record'):.0f} ns CPU a record, "
            f"the broker's {median(label, 'broker_ns'):.0f}{against}")
    say("")
