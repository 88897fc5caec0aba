# SPDX-License-Identifier: GPL-3.0-or-later
"""A month of four GEMs, every ten seconds, as fast as it is stored: 1,036,800 packets. Memory must stay level.

    nox -s soak -- --month               # some minutes
    nox -s soak -- --month --days 3      # a tenth of that

The readings have the times of the meters' own clocks, which are a month behind at first. The journal is small, so that
it forgets all the time what every sink has had. The meters are never far ahead: in a real month little waits in memory
either, and how much waits would be all that is measured. Prints memory and the sizes of the files day by day; the exit
code is 1 where memory grew, or a packet was lost.
"""

import argparse
import socket
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))

from soak.run import Level, level

from btcore import pack
from btcore.testing import BtcoreProcess

METERS = 4
INTERVAL = 10
PER_DAY = 86_400 // INTERVAL
"""Packets of a meter in a day."""

SITE = """
state = "state"
max_journal_bytes = 100_000_000
[source.panel]
use = "tcp-server"
host = "127.0.0.1"
port = 0
clock = "device-utc"
max_packets_per_second = 0
[sink.sqlite]
file = "energy.db"
flush_interval = "1s"
[sink.intervals]
use = "sqlite"
file = "intervals.db"
schema = "samples"
interval = "5m"
flush_interval = "1s"
"""

MAX_GROWTH = 1.10
"""By how much more memory there may be in the last third than in the one before, and as many MiB on top as follow."""
SLACK = 4.0

AT_ONCE = 50
"""Packets that are sent over one connection before the next one's turn."""

AHEAD = 0.1
"""Days by which the meters are ahead of what is stored: some 3,500 packets."""

OF_INTERVALS = 300
"""Seconds of an interval."""

PATIENCE = 600.0
"""Seconds for which nothing may come into the database."""

NEWEST = {
    "energy.db": "SELECT max(id) / 1e6 FROM gem48ptbin_counters",
    "intervals.db": f"SELECT strftime('%s', max(time)) + {OF_INTERVALS} FROM samples",
}
"""Until when a sink has everything, in seconds since 1970: the last interval is perhaps not over."""
COUNT = "SELECT count(*), count(DISTINCT serial || ' ' || secs), max(ch1_aws) - min(ch1_aws) FROM gem48ptbin_counters"

CHANNEL, SECONDS, CLOCK = slice(5, 10), slice(585, 588), slice(616, 622)
"""Where the counter of channel 1, the seconds and the clock are in a packet of BIN48-NET-TIME (GEM-PKT 2.1)."""


@attrs.define
class Gem:
    """One GEM: the packets that it sends, of which only time, seconds and channel 1 change."""

    number: int
    start: datetime
    _raw: bytearray = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make a packet with eight channels in use."""
        values = {"volts": 120.0} | {f"ch{n}_aws": 10**9 * n for n in range(1, 9)}
        self._raw = bytearray(pack("gem48ptbin", f"0100{self.number:04}", values, clock=self.start))

    def packet(self, step: int) -> bytes:
        """Return the packet after so many intervals: 500 W at channel 1."""
        raw, at = self._raw, self.start + timedelta(seconds=INTERVAL * step)
        raw[CHANNEL] = (10**9 + 500 * INTERVAL * step).to_bytes(5, "little")
        raw[SECONDS] = (1000 + INTERVAL * step).to_bytes(3, "little")
        raw[CLOCK] = bytes((at.year - 2000, at.month, at.day, at.hour, at.minute, at.second))
        raw[-1] = sum(raw[:-1]) & 0xFF
        return bytes(raw)


class Progress:
    """Up to which day everything is stored."""

    def __init__(self) -> None:
        """Begin with the first."""
        self._days = 0.0
        self._is_over = False
        self._changed = threading.Condition()

    def reach(self, days: float) -> None:
        """Take note of how many days are stored."""
        with self._changed:
            self._days = days
            self._changed.notify_all()

    def end(self) -> None:
        """Send nothing more."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def wait_for(self, days: float) -> bool:
        """Wait until so many days are stored; return False where nothing more is to be sent."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._days >= days)
            return not self._is_over


def send(port: int, start: datetime, days: int, progress: Progress) -> None:
    """Send all packets of all meters, each over a connection of its own, in turns."""
    gems = [Gem(number, start) for number in range(1, METERS + 1)]
    lines = [socket.create_connection(("127.0.0.1", port)) for _ in gems]
    for begin in range(0, days * PER_DAY, AT_ONCE):
        if not progress.wait_for(begin / PER_DAY - AHEAD):
            return
        for gem, line in zip(gems, lines, strict=True):
            line.sendall(b"".join(gem.packet(step) for step in range(begin, min(begin + AT_ONCE, days * PER_DAY))))
    for line in lines:
        line.close()


def day_stored(folder: Path, start: datetime) -> float:
    """Return of how many days the readings are in both databases."""
    return max(0.0, min((_newest(folder / name) - start.timestamp() + INTERVAL) / 86_400 for name in NEWEST))


def _newest(file: Path) -> float:
    with closing(sqlite3.connect(file, timeout=60)) as connection:
        try:
            return float(connection.execute(NEWEST[file.name]).fetchone()[0] or 0.0)
        except sqlite3.OperationalError:
            return 0.0


def days(
    process: BtcoreProcess, folder: Path, start: datetime, wanted: int, progress: Progress
) -> Iterator[tuple[int, Level]]:
    """Yield what the process uses when each day is stored."""
    day, began, moved, before = 1, time.monotonic(), time.monotonic(), 0.0
    while day <= wanted:
        time.sleep(0.2)
        stored = day_stored(folder, start)
        progress.reach(stored)
        moved, before = (time.monotonic(), stored) if stored > before else (moved, before)
        if time.monotonic() - moved > PATIENCE or process.process.poll() is not None:
            raise AssertionError(f"nothing is stored any more:\n{process.log[-2000:]}")
        while day <= wanted and stored >= day:
            yield day, level(process.process.pid, time.monotonic() - began)
            day += 1


def size(file: Path) -> float:
    """Return the MiB of a file and its log."""
    return sum(one.stat().st_size for one in (file, Path(f"{file}-wal")) if one.exists()) / 2**20


def run(folder: Path, wanted: int) -> list[str]:
    """Run the month; return what is wrong."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=wanted + 1)
    levels: dict[int, Level] = {}
    progress = Progress()
    with BtcoreProcess(folder, SITE) as process:
        sending = threading.Thread(target=send, args=(process.port(), start, wanted, progress), daemon=True)
        sending.start()
        print("day   seconds   MiB of memory   files   journal, MiB   energy.db, MiB", flush=True)
        try:
            for day, found in days(process, folder, start, wanted, progress):
                levels[day] = found
                sizes = f"{size(folder / 'state' / 'journal.db'):12.1f} {size(folder / 'energy.db'):16.1f}"
                print(f"{day:3} {found.seconds:9.0f} {found.memory:15.1f} {found.files:7} {sizes}", flush=True)
        finally:
            progress.end()
        code = process.stop()
        log = process.log
    with closing(sqlite3.connect(folder / "energy.db")) as connection:
        rows, different, moved = connection.execute(COUNT).fetchone()
    sent = wanted * PER_DAY * METERS
    print(f"packets sent {sent}, stored {rows}, of which different {different}; channel 1 moved by {moved} Ws")
    memory, third = [levels[day].memory for day in sorted(levels)], max(1, wanted // 3)
    before, after = statistics.median(memory[third:-third] or memory), statistics.median(memory[-third:])
    print(f"memory: {before:.1f} MiB in the middle third, {after:.1f} MiB in the last, {max(memory):.1f} MiB at most")
    wrong = [f"btcore ended with {code}"] if code else []
    wrong += [f"{sent - different} packets are missing, {rows - different} are there twice"] if rows != sent else []
    wrong += ["the energy is wrong"] if moved != 500 * INTERVAL * (wanted * PER_DAY - 1) else []
    wrong += ["memory grew"] if after > before * MAX_GROWTH + SLACK else []
    return wrong + (["there is a traceback in the log"] if "Traceback" in log else [])


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--month", action="store_true", help="this, and not the bad connections")
    parser.add_argument("--days", type=int, default=30, help="how many days (default: 30)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        wrong = run(Path(name), options.days)
    print("\n".join([*wrong, "NOT GOOD" if wrong else "good"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
