# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink for files: one for each day, as lines of JSON or as CSV; days that are over are packed."""

import os
import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs

from btcore import (
    Batch,
    Claim,
    Context,
    Delivery,
    DiagnosisContext,
    Duration,
    Finding,
    Problem,
    Serials,
    hookimpl,
    plugin,
    setting,
)
from btmon_pipe.day_file import PACKED, UNFINISHED, DayFile, pack, written
from btmon_pipe.records import LAYOUTS, Form, Layout, Record
from btmon_pipe.sink import LineSink, count_readings

DAY = 86_400.0


def check_name(_instance: object, _attribute: Any, text: str) -> None:  # noqa: ANN401 - attrs' own type
    """Raise ValueError for what no name of a file can begin with."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", text):
        raise ValueError("expected letters, digits, points, hyphens and underscores")


@plugin(api=1, delivery=Delivery(flush_interval=Duration(10)))
class PipeFile(LineSink):
    """Writes samples into files, one for each day: as lines of JSON, or as CSV."""

    dir: Path = setting(help="the directory of the files; created if it does not exist", example="/var/lib/energy")
    name: str = setting(
        default="energy", help="what the files are called, as in energy-2026-06-21.jsonl", validator=check_name
    )
    format: Form = setting(
        default="json", help="json: a line for each sample; csv: a row for each channel and sensor of it"
    )
    compress: bool = setting(default=True, help="compress the files of days that are over (gzip)")
    retention: Duration = setting(default=Duration(0), help="delete files of days that are older; 0: never")
    serials: Serials = setting(
        default="full", help="how meters are named: full, the serial number; short, XXX and the last three digits"
    )
    _days: dict[date, DayFile] = attrs.field(init=False, factory=dict, repr=False)

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        if self.format == "csv" and self.content == "readings":
            yield Problem("CSV has samples only", "content")
        if 0 < self.retention < DAY:
            yield Problem("expected at least one day", "retention")

    def claims(self) -> Iterator[Claim]:
        """Claim the files."""
        yield Claim(f"files {self.name}-DAY{self._layout.suffix} in {os.path.realpath(self.dir)}", key="dir")

    def diagnose(self, _context: DiagnosisContext) -> Iterable[Finding]:
        """Find a directory that is not there, or may not be written."""
        existing = next(folder for folder in (self.dir, *self.dir.absolute().parents) if folder.exists())
        if not existing.is_dir():
            yield Finding("sink-directory", f"{existing} is no directory", "Correct `dir`")
        elif not os.access(existing, os.W_OK | os.X_OK):
            advice = "Give the directory to the user that btcore runs as, or set another `dir`"
            yield Finding("sink-rights", f"this user may not write into {existing}", advice)

    @hookimpl
    def open(self, context: Context) -> None:
        """Create the directory, and remove what a kill has left unfinished."""
        self._prepare(context, self.serials, self.format)
        if context.dry_run:
            return
        self.dir.mkdir(parents=True, exist_ok=True)
        for _, path in self._files(f"(?:{re.escape(PACKED)})?{re.escape(UNFINISHED)}"):
            path.unlink(missing_ok=True)

    @hookimpl
    def close(self) -> None:
        """Close the files."""
        for file in self._days.values():
            file.close()
        self._days.clear()

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Append a batch; return of how many readings something was written. Raises OSError or Stop."""
        records = self._records(batch)
        days = by_day(records)
        try:
            for day, own in days.items():
                self._open(day).append(own)
            if days:
                self._finish_days(days)
        except BaseException:
            self.close()  # what is in them is read again: a part of a line may be
            raise
        return count_readings(batch, records)

    @hookimpl
    def find_stored(self, batch: Batch) -> Iterable[tuple[str, int]]:
        """Return what is in the files."""
        found = []
        for day, own in by_day(self._records(batch)).items():
            there = written(self._path(day), self._layout)
            found += [(one.reading.serial, one.reading.key) for one in own if not there.missing(one)]
        return found

    @property
    def _layout(self) -> Layout:
        return LAYOUTS[self.format]

    def _path(self, day: date) -> Path:
        return self.dir / f"{self.name}-{day.isoformat()}{self._layout.suffix}"

    def _open(self, day: date) -> DayFile:
        if day not in self._days:
            self._days[day] = file = DayFile(self._path(day), self._layout)
            if file.cut:
                self._context.log.info("%s: a half-written line of %d bytes was cut off", file.path, file.cut)
        return self._days[day]

    def _finish_days(self, current: Iterable[date]) -> None:
        """Close the files of other days than those that are written now; pack earlier days, delete old ones."""
        for day in set(self._days) - set(current):
            self._days.pop(day).close()
        there = list(self._files(f"(?:{re.escape(PACKED)})?"))
        newest = max(day for day, _ in there)
        oldest = _today() - timedelta(seconds=self.retention)
        for day, path in there:
            if day in self._days:
                continue
            if self.retention and day < oldest:
                path.unlink()
            elif self.compress and day < newest and path.suffix != PACKED:
                pack(path)

    def _files(self, more: str) -> Iterator[tuple[date, Path]]:
        """Yield the files that are named as ours, with their days; `more` is how their names go on."""
        pattern = re.compile(rf"{re.escape(self.name)}-(\d{{4}}-\d\d-\d\d){re.escape(self._layout.suffix)}{more}")
        for path in sorted(self.dir.iterdir()):
            if (found := pattern.fullmatch(path.name)) and (day := _day(found[1])):
                yield day, path


def by_day(records: Iterable[Record]) -> dict[date, list[Record]]:
    """Return records by the day, of this computer's time zone, in which they end."""
    days: dict[date, list[Record]] = {}
    for record in records:
        days.setdefault(record.time.astimezone().date(), []).append(record)
    return days


def _today() -> date:
    return datetime.now().astimezone().date()


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
