# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `file`: replays a capture. The core reads captures of all kinds."""

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import timedelta
from logging import Logger
from pathlib import Path
from threading import Event
from typing import Literal

from btcore import (
    CaptureError,
    Chunk,
    Context,
    DiagnosisContext,
    Duration,
    Finding,
    Problem,
    Stop,
    hookimpl,
    plugin,
    read_capture,
)
from btcore.light import define, evolve, gt, setting
from btmon_simulator.pace import with_recorded_pauses
from btmon_simulator.times import parse_time, validate_start

MAX_STREAMS = 1000
"""Streams that are open at once; above it, the longest silent one is closed."""


@plugin(api=1)
class File:
    """Replays a capture: lines of JSON, or the plain bytes that a meter sent."""

    origin = "recorded"

    path: Path = setting(
        help="the capture; a relative path starts at the directory of the configuration", example="capture.json"
    )
    start: str = setting(
        default="",
        help="time of the first packet of a plain binary file, as 2026-06-21T06:00:00; empty: when it was changed last",
        validator=validate_start,
    )
    interval: Duration = setting(
        default=Duration(10),
        help="time between two packets of a plain binary file",
        validator=gt(0),
    )
    pace: Literal["fast", "recorded"] = setting(
        default="fast", help="fast: as fast as the file can be read; recorded: with the pauses of the recording"
    )

    def check(self) -> Iterator[Problem]:
        """Warn of a capture that does not exist or cannot be read: it may be there when the program runs."""
        if problem := _path_problem(self.path):
            yield Problem(f"{self.path}: {problem}", key="path", warning=True)

    def diagnose(self, _context: DiagnosisContext) -> Iterable[Finding]:
        """Find out whether the capture can be read."""
        if problem := _path_problem(self.path):
            yield Finding("capture-file", f"{self.path}: {problem}", "Correct `path`, or put the capture there")

    @hookimpl
    def open(self, context: Context) -> None:
        """Check that the file can be read. Raises Stop when a person has to act."""
        self._log = context.log
        if problem := _path_problem(self.path):
            raise Stop(
                f"{self.path}: {problem}. Correct 'path' in [{context.name}], or put the capture there; then restart"
            )

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Chunk]:
        """Yield the chunks of the file once, then an end for each stream."""
        damage_reporter = DamageReporter(self._log)
        streams: OrderedDict[str, Chunk] = OrderedDict()
        for chunk in self._chunks(damage_reporter, stop):
            if stop.is_set():
                return
            yield chunk
            streams[chunk.stream] = _end(chunk)
            streams.move_to_end(chunk.stream)
            if len(streams) > MAX_STREAMS:
                yield streams.popitem(last=False)[1]
        yield from streams.values()
        damage_reporter.log_total()

    def _chunks(self, damage_reporter: "DamageReporter", stop: Event) -> Iterator[Chunk]:
        start = parse_time(self.start) if self.start else None
        interval = timedelta(seconds=self.interval)
        chunks = read_capture(self.path, start=start, interval=interval, damaged=damage_reporter)
        return with_recorded_pauses(chunks, interval, stop) if self.pace == "recorded" else chunks


@define
class DamageReporter:
    """Reports lines that could not be read: the first is logged at once, the others are counted."""

    log: Logger
    lines: int = 0

    def __call__(self, error: CaptureError) -> None:
        """Log the first line, count the others."""
        self.lines += 1
        if self.lines == 1:
            self.log.warning("%s; the line is skipped, and others like it are counted", error)

    def log_total(self) -> None:
        """Log the number of lines, if there were several."""
        if self.lines > 1:
            self.log.warning("%d damaged lines of the capture were skipped", self.lines)


def _path_problem(path: Path) -> str:
    if not path.exists():
        return "the file does not exist"
    if path.is_dir():
        return "this is a directory, not a capture"
    return "" if os.access(path, os.R_OK) else "this user has no permission to read it"


def _end(chunk: Chunk) -> Chunk:
    """End the stream of a chunk, at its time: what was held back may still hold a packet."""
    return evolve(chunk, data=b"", end=True)
