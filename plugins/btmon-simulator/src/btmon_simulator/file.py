"""The source `file`: plays a capture again. What a capture is, and how it is read, is the core's."""

import os
from collections import OrderedDict
from collections.abc import Iterator
from datetime import timedelta
from logging import Logger
from pathlib import Path
from threading import Event
from typing import Literal

import attrs

from btcore import CaptureError, Chunk, Context, Duration, Problem, Stop, hookimpl, plugin, read_capture, setting
from btmon_simulator.pace import recorded
from btmon_simulator.times import instant, validate_start

MOST_STREAMS = 1000
"""Streams that are kept open at once; beyond that, the one that was silent for longest is closed."""


@plugin(api=1)
class File:
    """A capture, played again: lines of JSON, or the plain bytes that a meter sent."""

    origin = "recorded"

    path: Path = setting(
        help="the capture; a relative path starts at the directory of the configuration", example="capture.json"
    )
    start: str = setting(
        default="",
        help="time of the first packet of a plain binary file, as 2026-06-21T06:00:00; empty: when it was last changed",
        validator=validate_start,
    )
    interval: Duration = setting(
        default=Duration(10),
        help="time between two packets of a plain binary file",
        validator=attrs.validators.gt(0),
    )
    pace: Literal["fast", "recorded"] = setting(
        default="fast", help="fast: as quickly as it can be read; recorded: with the pauses of the recording"
    )

    def check(self) -> Iterator[Problem]:
        """Warn of a capture that is not there, or cannot be read: it may be there when it is to be played."""
        if trouble := _trouble(self.path):
            yield Problem(f"{self.path}: {trouble}", key="path", warning=True)

    @hookimpl
    def open(self, context: Context) -> None:
        """Look whether the file is there: raises Stop when a person has to act."""
        self._log = context.log
        if trouble := _trouble(self.path):
            raise Stop(
                f"{self.path}: {trouble}. Mend 'path' in [{context.name}], or put the capture there; then restart"
            )

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Chunk]:
        """Yield the chunks of the file once, then an end for each stream."""
        damage = Damage(self._log)
        streams: OrderedDict[str, Chunk] = OrderedDict()
        for chunk in self._chunks(damage, stop):
            if stop.is_set():
                return
            yield chunk
            streams[chunk.stream] = _end(chunk)
            streams.move_to_end(chunk.stream)
            if len(streams) > MOST_STREAMS:
                yield streams.popitem(last=False)[1]
        yield from streams.values()
        damage.summarise()

    def _chunks(self, damage: "Damage", stop: Event) -> Iterator[Chunk]:
        start = instant(self.start) if self.start else None
        interval = timedelta(seconds=self.interval)
        chunks = read_capture(self.path, start=start, interval=interval, damaged=damage)
        return recorded(chunks, interval, stop) if self.pace == "recorded" else chunks


@attrs.define
class Damage:
    """Lines that could not be read: the first is told at once, the others are counted."""

    log: Logger
    lines: int = 0

    def __call__(self, error: CaptureError) -> None:
        """Take note of a line."""
        self.lines += 1
        if self.lines == 1:
            self.log.warning("%s; the line is skipped, and others like it are counted", error)

    def summarise(self) -> None:
        """Tell how many there were, if the first was not the only one."""
        if self.lines > 1:
            self.log.warning("%d damaged lines of the capture were skipped", self.lines)


def _trouble(path: Path) -> str:
    if not path.exists():
        return "there is no such file"
    if path.is_dir():
        return "this is a directory, not a capture"
    return "" if os.access(path, os.R_OK) else "this user may not read it"


def _end(chunk: Chunk) -> Chunk:
    """End the stream of a chunk, at its time: what was held back may still hold a packet."""
    return attrs.evolve(chunk, data=b"", end=True)
