# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a directory of RRD files back into readings: all that there is, then what is added.

How rows become readings is in `history.py`. A checkpoint has how far each meter is read, and its counters then: a run
that comes after reads on from there, with the same counters, so that what it reads twice is the same.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from logging import Logger
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import unquote

import attrs

from btcore import ImportProgress, Reading, Retry, SourceCheckpoint
from btmon_rrd.archive import File, Rows, read_file, read_rows
from btmon_rrd.history import Meter, Progress, Window, first_counter, format_of, windows
from btmon_rrd.layout import joined
from btmon_rrd.rrdcached import Address, connect, line
from btmon_rrd.store import FileProblem

ROWS = 5_000
"""Rows that are read at once, and readings after which it is remembered how far they are."""

MUCH = 10_000
"""Rows of a meter from which on it is told how far the reading is."""

LIVE = 3600
"""Seconds after which a reading counts as recorded."""

SILENT = 600
"""Seconds by which a file may be behind the others of its meter before they are read without it."""

Files = Mapping[str, File]
"""The files of a meter, by label."""


@attrs.define(eq=False)
class Directory:
    """The files of a directory, of all meters."""

    path: Path
    log: Logger
    format: str = ""
    daemon: Address | None = None
    timeout: float = 15.0
    _meters: dict[str, Meter] = attrs.field(factory=dict)
    _reported: set[str] = attrs.field(factory=set)

    def restore(self, remembered: Mapping[str, Any]) -> None:
        """Go on from what an earlier run remembered."""
        if remembered.get("directory") != str(self.path):
            return
        for serial, of_meter in remembered["meters"].items():
            form = format_of(of_meter["counters"], of_meter["format"])
            if form is not None:
                progress = Progress(of_meter["time"], of_meter["counters"], frozenset(of_meter["known"]))
                self._meters[serial] = Meter.at(serial, form, progress)

    def checkpoint(self) -> SourceCheckpoint:
        """Return how far all meters are read."""
        meters = {
            serial: {
                "format": one.format.name,
                "time": one.progress.time,
                "counters": dict(one.progress.counters),
                "known": sorted(one.progress.known),
            }
            for serial, one in self._meters.items()
        }
        return SourceCheckpoint(json.dumps({"directory": str(self.path), "meters": meters}))

    def new_readings(self, stop: Event) -> Iterator[Reading]:
        """Yield the readings that were not read yet, of each meter in order. Raises Retry or Stop."""
        for serial, paths in self._paths().items():
            files = self._files(paths)
            if files and not stop.is_set():
                yield from self._of_meter(serial, files, stop)

    def _paths(self) -> dict[str, dict[str, Path]]:
        """Return the files of each meter, by label."""
        found: dict[str, dict[str, Path]] = {}
        try:
            paths = sorted(self.path.iterdir())
        except OSError as error:
            raise Retry(f"{self.path} cannot be read: {error.strerror or error}") from None
        for path in paths:
            serial, _, label = unquote(path.stem).partition("_")
            if path.suffix == ".rrd" and label:
                found.setdefault(serial, {})[label] = path
        if not found:
            self._report("nothing", "%s has no RRD files", self.path)
        return found

    def _files(self, paths: Mapping[str, Path]) -> dict[str, File]:
        """Return what the files are that can be made into readings."""
        power = {label for label in paths if label.endswith("_w")}
        if power:
            text = "%s: %s not read: net power does not tell import from export, and energy was in no counter"
            self._report("power", text, self.path, joined(paths[label].name for label in power))
        if self.daemon is not None:
            with closing(connect(self.daemon, self.timeout)) as connection:
                connection.batch([line("FLUSH", str(path)) for path in paths.values()])
        found = {label: self._read(path) for label, path in paths.items() if label not in power}
        return {label: file for label, file in found.items() if file is not None and file.archives}

    def _read(self, path: Path) -> File | None:
        """Return what a file is; None where it was deleted, or cannot be read, which is reported."""
        try:
            return read_file(path)
        except FileProblem as error:
            self._report(path.name, "%s; it is left out, and the other files are read", error)
            return None

    def _of_meter(self, serial: str, files: Files, stop: Event) -> Iterator[Reading]:
        form = format_of(files, self.format)
        if form is None:
            text = "%s: the files of %s are of no Brultech meter, and are not read; `format` may say which it is like"
            self._report(serial, text, self.path, serial)
            return
        files = {label: file for label, file in files.items() if label in form.labels}
        until, meter = frontier(files), self._meters.get(serial)
        plan = windows(next(iter(files.values())), meter.progress.time if meter else None, until)
        is_first = meter is None
        if meter is None:
            meter = self._meters[serial] = Meter.at(serial, form, Progress(plan[0].start if plan else until, {}))
            self._describe(serial, files, plan)
        for label, file in files.items():
            if file.is_counter and label not in meter.counters:
                meter.counters[label] = first_counter(file, risen(file, plan))
        progress = self._progress(serial, plan)
        for window in (part for one in plan for part in one.slices(ROWS)):
            for reading in meter.readings(window, self._rows(files, window), is_first=is_first):
                if stop.is_set():
                    return
                yield with_origin(reading)
            is_first = False
            if progress:
                progress.add(window.rows)
        if progress:
            progress.finish()

    def _progress(self, serial: str, plan: Sequence[Window]) -> ImportProgress | None:
        """Return what tells how far the reading is, where that is much."""
        rows = sum(window.rows for window in plan)
        return ImportProgress(rows, self.log, f"reading {self.path}, meter {serial}") if rows >= MUCH else None

    def _rows(self, files: Files, window: Window) -> dict[str, Rows]:
        """Return the rows of a window, by label, and the one behind it, which shows with what it begins."""
        found: dict[str, Rows] = {}
        for label, file in files.items():
            rows = read_rows(file.path, window.seconds, window.start, window.end + window.seconds)
            if rows is None:
                text = "%s has no rows of %d s, which other files of the meter have: it is left out where they are read"
                self._report(file.path.name, text, file.path, window.seconds)
            found[label] = rows or {}
        return found

    def _describe(self, serial: str, files: Files, plan: Sequence[Window]) -> None:
        spans = ", ".join(f"{one.seconds} s a row from {_day(one.start)} on" for one in plan)
        self.log.info(
            "meter %s: %d files: %s. Each reading is the end of a row, which is a mean: power within it is not known,"
            " and a row of which half is unknown counts as known; the meter's own seconds are not in the files",
            *(serial, len(files), spans or "no rows yet"),
        )

    def _report(self, what: str, text: str, *arguments: object) -> None:
        if what not in self._reported:
            self._reported.add(what)
            self.log.warning(text, *arguments)


def follow(
    directory: Directory, checkpoint: str, stop: Event, poll_interval: float, *, once: bool
) -> Iterator[Reading | SourceCheckpoint]:
    """Yield all readings of a directory, then those that are added until `stop` is set; with `once`, return then.

    `checkpoint` is the last that an earlier run has yielded.
    """
    directory.restore(parse_checkpoint(checkpoint))
    while not stop.is_set():
        for count, reading in enumerate(directory.new_readings(stop), 1):
            yield reading
            if count % ROWS == 0:
                yield directory.checkpoint()
        yield directory.checkpoint()
        if once or stop.wait(poll_interval):
            return


def parse_checkpoint(text: str) -> Mapping[str, Any]:
    """Return what an earlier run has remembered; nothing where that was nothing, or is not understood."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def frontier(files: Files) -> int:
    """Return the second up to which all files have rows, but for those that are not updated any more."""
    newest = max(file.last for file in files.values())
    return min(file.end for file in files.values() if file.last > newest - SILENT)


def risen(file: File, plan: Sequence[Window]) -> float:
    """Return by how much a counter rose in the windows of a plan, and from there to its last complete row."""
    until = [Window(file.step, plan[-1].end, file.end)] if plan and plan[-1].end < file.end else []
    return sum(
        rate * window.seconds
        for window in (*plan, *until)
        for rate in (read_rows(file.path, window.seconds, window.start, window.end) or {}).values()
    )


def with_origin(reading: Reading) -> Reading:
    """Return a reading, marked as recorded unless it is of now."""
    if time.time() - reading.timestamp < LIVE:
        return reading
    return attrs.evolve(reading, origin="recorded", numbers=reading.numbers)


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
