# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal by itself: appending a packet at a time, beside trimming, and reading a backlog."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from bench.micro import ECM, START, decoders
from bench.program import packet
from bench.reference import beside
from bench.rows import Must, Row, reckoned
from bench.timing import Spread, seconds_each

from btcore.journal import Checkpoint, Entry, Retention
from btcore.sqlite_journal.journal import SqliteJournal

PORTION = 500
BACKLOG = 100_000
"""Entries that are in the journal while it is trimmed; `--entries` of the command line takes another number."""


@contextmanager
def journal() -> Iterator[SqliteJournal]:
    """Open a journal in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        made = SqliteJournal(Path(folder) / "journal.db")
        try:
            yield made
        finally:
            made.close()


def make_entry(number: int, raw: bytes = ECM, form: str = "ecm1240bin") -> Entry:
    """Make an entry whose key nobody has."""
    return Entry(START + number, "panel", "355555", form, raw)


def fill(made: SqliteJournal, entries: int) -> None:
    """Fill a journal."""
    for first in range(0, entries, PORTION):
        made.append([make_entry(number) for number in range(first, min(first + PORTION, entries))])


def append_rates(rounds: int = 5) -> list[tuple[float, float]]:
    """Return how many packets a second are appended, one at a time, with the speed of the machine beside each."""
    with journal() as made:
        numbers = iter(range(1 << 40))
        raw = packet(7, 0)

        def work() -> int:
            return len(made.append([make_entry(next(numbers), raw, "gem48ptbin")]).kept)

        return [beside(lambda: 1 / seconds_each(work)) for _ in range(rounds)]


def longest_waits(entries: int) -> tuple[float, float]:
    """Return the longest and the usual (99 of 100) wait of an append, in ms, while what was delivered is forgotten."""
    with journal() as made:
        fill(made, entries)
        made.commit("sink.a", Checkpoint(made.newest()))
        over = Event()

        def trim() -> None:
            for _ in made.apply_retention(["sink.a"], Retention(-3600)):
                time.sleep(0)
            over.set()

        trimming = Thread(target=trim)
        trimming.start()
        waits = []
        number = entries
        while not over.is_set():
            began = time.perf_counter()
            made.append([make_entry(number := number + 1)])
            waits.append(1000 * (time.perf_counter() - began))
            time.sleep(0.002)  # meters are not in a hurry
        trimming.join()
        waits.sort()
        return waits[-1], waits[int(0.99 * len(waits))]


def catch_up(entries: int) -> float:
    """Return the seconds of the processor for a reading, read and recalled from a backlog of so many."""
    with journal() as made:
        fill(made, entries)
        decoder, after, done = decoders(), 0, 0
        began = time.process_time()
        while found := made.read(after, PORTION):
            done += sum(decoder.read_entry(one) is not None for one in found)
            after = found[-1].offset
        return (time.process_time() - began) / done


def rows(entries: int = BACKLOG) -> list[Row]:
    """Measure all."""
    waits = [longest_waits(entries) for _ in range(3)]
    return [
        reckoned("journal, a packet at a time", "/s", append_rates(), Must(30_000)),
        Row(
            f"longest wait of an append beside trimming {entries:,} entries",
            "ms",
            Spread.of([one for one, _ in waits]),
            Must(20, is_cost=True),
        ),
        Row("the same, of 99 in 100", "ms", Spread.of([one for _, one in waits])),
    ]
