# SPDX-License-Identifier: GPL-3.0-or-later
"""Many readings at once: imported, and waiting in the journal while the program starts. Rates, memory, lateness."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from bench.micro import NOW, START, decoders
from bench.program import (
    BETWEEN,
    SETTLE,
    SITE,
    connected,
    honest_packet,
    packet,
    port_of,
    stored,
    wait_for_row,
)
from bench.reference import beside, speed
from bench.rows import Must, Row, reckoned
from bench.timing import Spread, memory_of, used_by

from btcore import pack
from btcore.calculate.chains import Chains
from btcore.calculate.sampling import Consecutive, SampleCache
from btcore.journal import Entry
from btcore.records import reading_of
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing import BtcoreProcess

SECOND = 1_000_000
INTERVAL = 10
"""Seconds between two packets of a meter."""
DAY, WEEK = 8640, 7 * 8640
"""Packets of one meter."""
PORTION = 500
METERS = 20
PATIENCE = 600.0
LIVE = 10
"""Packets of a live meter of which the lateness is measured."""
TABLE = "ecm1240bin_counters"

LATE = '[sink.late{number}]\nuse = "sqlite"\nfile = "late{number}.db"\n'
LIVE_SINK = '[sink.live]\nuse = "sqlite"\nfile = "live.db"\nflush_interval = "0s"\nstart_at = "end"\n'
DOWN = '[sink.down]\nuse = "sqlite"\nfile = "nowhere/down.db"\n'
"""A sink that cannot deliver: its file is in a directory that is not there."""


def house(meter: int, number: int) -> bytes:
    """Make a packet of an ECM-1240."""
    second = 100 + INTERVAL * number
    return pack("ecm1240bin", f"3{meter:05}", {"volts": 120.0, "secs": second, "ch1_aws": 10_000 + 700 * second})


def bulk(packets: int, *, all_values: bool) -> float:
    """Return how many packets of GEMs become samples for a second of the processor: framed, decoded, and followed."""
    each = packets // METERS
    data = [packet(meter, INTERVAL * number) for number in range(each) for meter in range(METERS)]
    lines = [b"".join(data[at : at + PORTION]) for at in range(0, len(data), PORTION)]
    stream, sampler = decoders().stream(), Consecutive("brultech", Chains({}), SampleCache(1))
    done, found, began = 0, 0, time.process_time()
    for line in lines:
        for one, _ in stream.feed(line, NOW):
            when = NOW + timedelta(seconds=INTERVAL * (found // METERS))
            reading = reading_of(one, when, one.serial, "file", found := found + 1)
            for step in sampler.feed(reading):
                done += sum(not all_values or len(sample.values) > 0 for sample in step.samples)
    used = time.process_time() - began
    if done != packets - METERS:
        raise SystemExit(f"{packets - METERS} samples were expected, found {done}")
    return done / used


def fill(file: Path, entries: int) -> None:
    """Fill a journal with the readings of several meters."""
    file.parent.mkdir(parents=True, exist_ok=True)
    made = SqliteJournal(file)
    try:
        first = START - entries // METERS * INTERVAL * SECOND
        for at in range(0, entries, PORTION):
            made.append([_entry(first, number) for number in range(at, min(at + PORTION, entries))])
    finally:
        made.close()


def _entry(first: int, number: int) -> Entry:
    meter, key = number % METERS, first + number // METERS * INTERVAL * SECOND + number % METERS
    return Entry(key, "panel", f"3{meter:05}", "ecm1240bin", house(meter, number // METERS))


@contextmanager
def running(site: str, entries: int) -> Iterator[tuple[int, Path]]:
    """Run the program with so many readings in its journal, as a start finds them on the disk."""
    with tempfile.TemporaryDirectory() as name:
        if entries:
            fill(Path(name, "state", "journal.db"), entries)
        with BtcoreProcess(Path(name), site, "--quiet") as process:
            yield process.process.pid, Path(name)


def day_of_load() -> float:
    """Return by how many MB a program has grown after a day's packets, with a week's readings waiting for a sink."""
    site = SITE + LIVE_SINK + DOWN
    with running(site, 0) as (pid, _):
        port_of(pid)
        time.sleep(SETTLE)
        before = memory_of(pid)
    with running(site, WEEK) as (pid, folder):
        line = connected(port_of(pid), 1)
        for at in range(0, DAY, PORTION):
            line.sendall(b"".join(house(1, WEEK // METERS + one) for one in range(at, min(at + PORTION, DAY))))
            wait_for_rows(folder / "live.db", min(at + PORTION, DAY))
        return memory_of(pid) - before


def catching_up(entries: int, sinks: int) -> tuple[float, float, list[float]]:
    """Return readings a second of the processor, MB above those of a start, and the ms that live packets are late.

    The sinks come to a full journal; another one, that has nothing to catch up on, is given the live packets.
    """
    site = SITE + LIVE_SINK + "".join(LATE.format(number=number) for number in range(sinks))
    with running(site, 0) as (pid, _):
        port_of(pid)
        time.sleep(SETTLE)
        before = memory_of(pid)
    with running(site, entries) as (pid, folder):
        port = port_of(pid)
        began, waits, most = used_by(pid), [], 0.0
        meter = connected(port, 1)
        for number in range(LIVE):
            sent = time.perf_counter()
            meter.sendall(honest_packet(number))
            wait_for_row(folder / "live.db", "ecm1220bin_counters", number + 1)
            waits.append(1000 * (time.perf_counter() - sent))
            most = max(most, memory_of(pid))
            time.sleep(BETWEEN)
        for number in range(sinks):
            wait_for_rows(folder / f"late{number}.db", entries)
            most = max(most, memory_of(pid))
        return entries / (used_by(pid) - began), most - before, waits[1:]  # the first makes a table


def wait_for_rows(file: Path, rows: int) -> None:
    """Wait until a sink has so many rows."""
    deadline = time.monotonic() + PATIENCE
    while stored(file, TABLE) < rows:
        if time.monotonic() > deadline:
            raise SystemExit(f"{file} has not got {rows} rows")
        time.sleep(0.1)


def rows(entries: int) -> list[Row]:
    """Measure all."""
    found = [
        reckoned(
            "bulk: a capture to samples, no value asked",
            "/s",
            [beside(lambda: bulk(5000, all_values=False)) for _ in range(3)],
            Must(20_000),
        ),
        reckoned("the same, all values", "/s", [beside(lambda: bulk(5000, all_values=True)) for _ in range(3)]),
        Row(
            "growth by a day's load, with 7 days' backlog",
            "MB",
            Spread.of([day_of_load()]),
            Must(4, is_cost=True),
        ),
    ]
    for sinks in (1, 4):
        before = speed()
        rate, memory, waits = catching_up(entries, sinks)
        what = f"catching up {entries:,} readings, {sinks} sink{'s' if sinks > 1 else ''}"
        found += [
            reckoned(what, "/s", [(rate, (before + speed()) / 2)]),
            Row("memory meanwhile, above that of a start", "MB", Spread.of([memory])),
            Row(
                "a live packet meanwhile, until another sink has it",
                "ms",
                Spread(statistics.median(waits), min(waits), max(waits)),
                Must(100, is_cost=True),
            ),
        ]
    return found
