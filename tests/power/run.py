# SPDX-License-Identifier: GPL-3.0-or-later
"""Cuts the power of a simulated disk under the journal, many times: `nox -s power`; see docs/guarantees.md.

What it prints last are the seed and the counts, and for each failure the line that replays exactly that history.
"""

import argparse
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import attrs
from power.histories import Result, cuts
from power.mutants import MUTANTS, take_out
from power.recorder import MISSING, Recorder, compile_recorder

CUTS = 50
"""Power cuts of one recorded run."""

MOST_SHOWN = 20
"""Failures that are printed."""

PROGRESS = 5000
"""Histories after which it says how far it is."""

MEMORY = Path("/dev/shm")
"""Where the files are made: in memory, where there is such a disk."""


def run_of(seed: int, numbers: list[int], without: str) -> Result:
    """Record the run of a seed, and cut it; the recorder was preloaded into this process."""
    logging.disable()
    memory = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="power-", dir=memory) as folder, take_out(without) as is_lying:
        return cuts(Path(folder), Recorder(), seed, numbers, is_lying=is_lying)


def results(arguments: argparse.Namespace, library: Path) -> Iterator[Result]:
    """Yield what came out of each run, until there are enough, or the time is over."""
    os.environ["LD_PRELOAD"] = str(library)  # of the processes that are started from now on
    deadline = time.monotonic() + arguments.seconds
    numbers = [arguments.cut] if arguments.cut is not None else list(range(min(CUTS, arguments.histories)))
    runs = 1 if arguments.cut is not None else -(-arguments.histories // len(numbers))
    seeds = range(arguments.seed, arguments.seed + runs)
    with multiprocessing.get_context("spawn").Pool(min(arguments.jobs, runs)) as pool:
        for result in pool.imap_unordered(partial(run_of, numbers=numbers, without=arguments.without), seeds):
            yield result
            if time.monotonic() > deadline or (arguments.stop and result.failures):
                return


def parse(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Cut the power of a simulated disk under the journal.")
    parser.add_argument("--histories", type=int, default=5000, help="how many, at most (default: 5000)")
    parser.add_argument("--seconds", type=float, default=600, help="for how long, at most (default: 600)")
    parser.add_argument("--seed", type=int, default=None, help="of the first run (default: by the clock)")
    parser.add_argument("--cut", type=int, default=None, help="replay this cut of the run of --seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--stop", action="store_true", help="end with the first run in which a promise is broken")
    parser.add_argument("--without", choices=sorted(MUTANTS), default="", help="take this out of the journal first")
    arguments = parser.parse_args(words)
    if arguments.seed is None:
        arguments.seed = int(time.time())
    return arguments


def main(words: list[str]) -> int:
    """Do it; return 1 where a promise was broken."""
    arguments = parse(words)
    if MISSING:
        sys.exit(MISSING)
    began, total = time.monotonic(), Result()
    with tempfile.TemporaryDirectory(prefix="recorder-") as folder:
        for result in results(arguments, compile_recorder(Path(folder))):
            total.add(result)
            print_failures(result, total, arguments.without)
            if total.histories % PROGRESS < result.histories:
                print(f"{total.histories} histories, {len(total.failures)} failures", file=sys.stderr)
    print_counts(total, arguments.seed, time.monotonic() - began)
    return 1 if total.failures else 0


def print_failures(result: Result, total: Result, without: str) -> None:
    """Print what broke, and the line that does it again."""
    for one in result.failures[: max(0, MOST_SHOWN + len(result.failures) - len(total.failures))]:
        taken_out = f" --without {without}" if without else ""
        print(f"{one.text}\n    nox -s power -- --seed {one.seed} --cut {one.cut}{taken_out}", flush=True)


def print_counts(total: Result, seed: int, seconds: float) -> None:
    """Print what came out."""
    print(f"seed {seed}: {total.histories} histories in {seconds:.0f} s, {total.second_cuts} with a second cut")
    print("  " + ", ".join(f"{style}: {count}" for style, count in total.styles.items()))
    print("  " + ", ".join(f"{name}: {count}" for name, count in attrs.asdict(total.counts).items()))
    print(f"  failures: {len(total.failures)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
