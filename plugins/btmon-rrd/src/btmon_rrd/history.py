# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes readings of rows: of each meter, at the end of each row, with the counters that its energy adds up to.

Pure: rows go in, readings come out. Where rows come from is `archive.py`'s, which of them and when, `source.py`'s.

An RRD file has rates, each the mean of a row, and its last counter. The counter at the end of a row is the last one
less what was counted since. Where nothing is known it stays as it is, and the reading has none, so that no power is
made of it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import attrs

from btcore import FORMATS, Format, Number, Reading
from btmon_rrd.archive import File, Rows

PULSE_BITS = 24


@attrs.frozen
class Window:
    """The time that is read from one archive: rows of so many seconds that end after `start`, the last at `end`."""

    seconds: int
    start: int
    end: int

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return (self.end - self.start) // self.seconds

    def slices(self, rows: int) -> Iterator["Window"]:
        """Yield windows of so many rows at most."""
        for start in range(self.start, self.end, self.seconds * rows):
            yield Window(self.seconds, start, min(start + self.seconds * rows, self.end))


def windows(file: File, since: int | None, until: int) -> list[Window]:
    """Return the archives to be read, the earliest first: of each time after `since` the finest that has it."""
    found: list[Window] = []
    before = until
    for archive in file.archives:
        seconds = archive.steps * file.step
        end = min(_up(before, seconds), until // seconds * seconds)
        start = file.last // seconds * seconds - archive.rows * seconds
        start = start if since is None else max(start, _up(since, seconds))
        if start < end:
            found.insert(0, Window(seconds, start, end))
            before = start
    return _without_overlap(found)


def _without_overlap(found: Sequence[Window]) -> list[Window]:
    """Have each window begin where the one before it, whose rows are longer, ends."""
    made: list[Window] = []
    for window in found:
        start = _up(max(window.start, made[-1].end) if made else window.start, window.seconds)
        if start < window.end:
            made.append(attrs.evolve(window, start=start))
    return made


def _up(time: int, seconds: int) -> int:
    """Return the next end of a row."""
    return -(-time // seconds) * seconds


def format_of(labels: Iterable[str], name: str = "") -> Format | None:
    """Return the format of a meter that has files of these labels; None where it is none of Brultech's."""
    if name:
        return FORMATS[name]
    known = set(labels)
    for guess in ("ecm1220bin", "ecm1240bin", "gem48pbin"):
        if known <= set(FORMATS[guess].labels):
            return FORMATS[guess]
    return None


@attrs.frozen
class Progress:
    """How far a meter was read: the second, its counters then, and which of them the reading had."""

    time: int
    counters: Mapping[str, float]
    known: frozenset[str] = frozenset()


@attrs.define
class Meter:
    """One meter: its format, its counters, and how far it was read."""

    serial: str
    format: Format
    counters: dict[str, float]
    progress: Progress

    @classmethod
    def at(cls, serial: str, format: Format, progress: Progress) -> "Meter":
        """Return a meter that was read so far."""
        return cls(serial, format, dict(progress.counters), progress)

    def readings(self, window: Window, rows: Mapping[str, Rows], *, is_first: bool) -> Iterator[Reading]:
        """Yield the readings of a window whose rows are given by label. `is_first`: nothing is known before it."""
        for time in self._times(window, rows, is_first=is_first):
            numbers = self._numbers(time, window.seconds, rows)
            was_known = self.progress.known
            known = frozenset(label for label in self.counters if numbers.get(label) is not None)
            self.progress = Progress(time, dict(self.counters), known)
            if was_known or any(value is not None for value in numbers.values()):
                yield self._reading(time, numbers)
        self.progress = Progress(window.end, dict(self.counters), self.progress.known)

    def _times(self, window: Window, rows: Mapping[str, Rows], *, is_first: bool) -> list[int]:
        """Return the ends of the rows of which something is known, and of those before and behind them."""
        first = window.start + (0 if is_first else window.seconds)
        known = {time for of_label in rows.values() for time in of_label}
        around = {time + by for time in known for by in (-window.seconds, 0, window.seconds)}
        if self.progress.known:
            around.add(first)
        return sorted(time for time in around if first <= time <= window.end)

    def _numbers(self, time: int, seconds: int, rows: Mapping[str, Rows]) -> dict[str, Number]:
        numbers: dict[str, Number] = {}
        for label, of_label in rows.items():
            rate = of_label.get(time)
            if label not in self.counters:
                numbers[label] = rate
            elif rate is not None:
                self.counters[label] += rate * seconds
                numbers[label] = self._overflowed(label)
            elif label not in self.progress.known and time + seconds in of_label:
                numbers[label] = self._overflowed(label)  # what the next row adds to
            else:
                numbers[label] = None
        return numbers

    def _overflowed(self, label: str) -> int:
        """Return a counter as the meter shows it: it overflows."""
        return round(self.counters[label]) % (1 << self.format.counters.get(label, PULSE_BITS))

    def _reading(self, time: int, numbers: Mapping[str, Number]) -> Reading:
        form = self.format
        own = {**numbers, "secs": time % (1 << form.seconds_bits)}
        at = datetime.fromtimestamp(time, UTC)
        return Reading(at, form, self.serial, b"", numbers=tuple(own.get(label) for label in form.labels))


def first_counter(file: File, rise: float) -> float:
    """Return the counter at the begin of what is read, in which it rose by so much."""
    return 0.0 if file.value is None else float(file.value) - file.pending - rise
