# SPDX-License-Identifier: GPL-3.0-or-later
"""Soak: 300 meters on bad connections for ten minutes. No packet may be lost, and memory must not grow.

    nox -s soak                      # ten minutes
    nox -s soak -- --seconds 120     # two

Prints what was sent, what went wrong, what came in, and memory and open files over time; the exit code is 1 for a loss.
"""

import argparse
import asyncio
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.database_rows import table_rows
from soak.meters import FORMATS, Meter, Tally

from btcore.testing import BtcoreProcess

SITE = """
state = "state"
[source.panel]
use = "tcp-server"
host = "127.0.0.1"
port = 0
idle_timeout = "20s"
max_new_meters_per_day = 0
[sink.sqlite]
file = "energy.db"
"""

MAX_GROWTH = 1.10
"""By how much more memory there may be in the last third than in the one before, and as many MiB on top as follow."""
SLACK = 4.0

PATIENCE = 120.0
"""Seconds for which what was sent last is waited for."""


@attrs.frozen
class Level:
    """What the process uses at one moment."""

    seconds: float
    memory: float
    files: int


async def load(process: BtcoreProcess, tally: Tally, options: argparse.Namespace) -> list[Level]:
    """Send for so long, and look at the process meanwhile."""
    over, began, levels = asyncio.Event(), time.monotonic(), list[Level]()
    port = process.port()
    meters = [Meter(number, port, options.interval, tally) for number in range(1, options.meters + 1)]
    running = [asyncio.create_task(meter.run(over)) for meter in meters]
    while (elapsed := time.monotonic() - began) < options.seconds:
        levels.append(level(process.process.pid, elapsed))
        await asyncio.sleep(min(1.0, options.seconds / 60))
    over.set()
    for task in running:  # a meter that failed is a mistake of this program
        await task
    for line in tally.half_open:
        line.close()
    return levels


def level(pid: int, seconds: float) -> Level:
    """Look at a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return Level(seconds, pages * resource.getpagesize() / 2**20, files)


def stored(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield serial number and seconds counter of what is in the database."""
    for name in sorted(set(FORMATS)):
        yield from ((serial, int(secs)) for serial, secs in table_rows(folder / "energy.db", f"{name}_counters"))


def wait_for_all(folder: Path, tally: Tally) -> set[tuple[str, int]]:
    """Wait until all that was sent is stored; return what is missing."""
    deadline = time.monotonic() + PATIENCE
    while (missing := tally.sent - set(stored(folder))) and time.monotonic() < deadline:
        time.sleep(0.5)
    return missing


def report(tally: Tally, levels: list[Level], folder: Path, missing: set[tuple[str, int]]) -> bool:
    """Print what came of it; return whether it is good."""
    third = len(levels) // 3
    before, after = (statistics.median(one.memory for one in part) for part in (levels[third:-third], levels[-third:]))
    faults = ", ".join(f"{count} {fault or 'as they should be'}" for fault, count in sorted(tally.faults.items()))
    strangers = {serial for serial, _ in stored(folder)} - {serial for serial, _ in tally.sent}
    print(f"packets sent to the last byte: {len(tally.sent)}; sendings: {faults}")
    print(f"lost: {len(missing)} {sorted(missing)[:5] if missing else ''}")
    print(f"meters that there are not: {len(strangers)} {sorted(strangers)[:5] if strangers else ''}")
    print("seconds  MiB   open files")
    for one in levels[:: max(1, len(levels) // 10)]:
        print(f"{one.seconds:7.0f}  {one.memory:5.1f} {one.files:5}")
    print(f"memory: {before:.1f} MiB in the middle, {after:.1f} MiB at the end")
    return not missing and not strangers and after <= before * MAX_GROWTH + SLACK


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600, help="how long (default: 600)")
    parser.add_argument("--meters", type=int, default=300, help="how many meters, each on a connection (default: 300)")
    parser.add_argument("--interval", type=float, default=5, help="seconds between two packets of each (default: 5)")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    with tempfile.TemporaryDirectory() as name, BtcoreProcess(Path(name), SITE) as process:
        tally, folder = Tally(), Path(name)
        levels = asyncio.run(load(process, tally, options))
        missing = wait_for_all(folder, tally)
        is_good = report(tally, levels, folder, missing)
        code = process.stop()
        print(process.log if missing or code else "")
    print("good" if is_good and not code else "NOT GOOD")
    return 0 if is_good and not code else 1


if __name__ == "__main__":
    sys.exit(main())
