# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are brought into the journal, each by a source of its own that is in no configuration.

So their readings become entries as those of any source do: with their times, each once however often it comes.
"""

import os
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from btcore.capture.files import CaptureError
from btcore.classes import define, field
from btcore.config.site import Site, Source, context_of
from btcore.decode.decoders import Decoders
from btcore.errors import Stop, Unavailable, WrongUse
from btcore.hookspecs import hookimpl
from btcore.imports.energies import EnergyCounters
from btcore.imports.files import ImportFile
from btcore.imports.options import ImportOptions
from btcore.journal import Journal
from btcore.journal.keys import append_once_per_time
from btcore.mending.redelivery import REPORT_INTERVAL
from btcore.records import Chunk, Reading
from btcore.sources.worker import SourceWorker
from btcore.text import describe_error

NAME = "import"
"""The name of the source, which its entries have."""

GRACE = 15.0
"""Seconds for which an import tries a failing journal when the program stops."""

MAX_REPORTED = 5
"""Parts of a file that cannot be read and are reported one by one; more are only counted."""


@define(eq=False, slots=False)
class RecordedFile:
    """A file of what meters sent elsewhere, or before: hosted services do not get it."""

    file: ImportFile
    unread: int = 0  # parts of the file that cannot be read
    reported: list[str] = field(factory=list)

    origin = "recorded"

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Chunk | Reading]:
        """Yield what the file has; what cannot be read of it is counted. Raises Stop."""
        try:
            for item in self.file.read(self._note):
                if stop.is_set():
                    return
                yield item
        except (EOFError, zlib.error) as error:  # of gzip
            self._note(CaptureError(f"{self.file.path.name}: damaged or cut off from here on: {describe_error(error)}"))
        except OSError as error:
            raise Stop(f"it cannot be read: {error.strerror or error}") from error

    def _note(self, error: CaptureError) -> None:
        self.unread += 1
        if self.unread <= MAX_REPORTED:
            self.reported.append(str(error))


class LiveFile(RecordedFile):
    """A file of what meters sent this site, or one that it takes the place of: every sink gets it."""

    origin = "live"


def import_files(site: Site, journal: Journal, stop: Event, request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Bring files in, one after the other; yield how far each is until it is done. Raises Unavailable, WrongUse."""
    paths = [Path(str(name)) for name in request.get("files", ())]
    for path in paths:
        if not os.access(path, os.R_OK) or not path.is_file():
            raise Unavailable(f"{path} is no file that btcore can read")
    options, counters = _options(site, request), EnergyCounters()
    for path in paths:
        file = ImportFile(path, options, counters)
        yield from _import(site, journal, stop, LiveFile(file) if request.get("live") else RecordedFile(file))


def _options(site: Site, request: Mapping[str, Any]) -> ImportOptions:
    name = str(request.get("zone") or "")
    try:
        zone = ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise WrongUse(f"{name!r} is no time zone; expected one such as Europe/Berlin, or UTC") from None
    return ImportOptions(
        zone=zone,
        serial=str(request.get("serial") or ""),
        columns=dict(request.get("columns") or {}),
        time_format=str(request.get("time_format") or ""),
        polarity="btmon" if (request.get("polarity") or site.polarity) == "btmon" else "brultech",
        names=_channels_by_name(site.channels),
    )


def _channels_by_name(channels: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """Return the channels by meter and name: a log has the names in place of the channels."""
    parts = ((*key.rpartition("_")[::2], name) for key, name in channels.items())
    return {(serial, name): channel for serial, channel, name in parts}


def _import(site: Site, journal: Journal, stop: Event, recorded: RecordedFile) -> Iterator[Mapping[str, Any]]:
    # it takes all meters, at any rate
    source = Source(NAME, f"source.{NAME}", NAME, recorded, max_new_meters_per_day=0, max_packets_per_second=0.0)
    decoders = Decoders(
        [one.instance for one in site.decoders],
        (),
        [context_of(site, one) for one in site.decoders],
        name_meter=site.meters.current_serial,
    )
    worker = SourceWorker(source, journal, decoders, context_of(site, source), stop, once=True, grace=GRACE)
    worker.append_by(partial(append_once_per_time, journal.append))
    worker.thread.start()
    while worker.thread.is_alive():
        yield _progress(worker, recorded, is_finished=False)
        worker.thread.join(REPORT_INTERVAL)
    if worker.failure:
        raise Unavailable(f"{recorded.file.path} was not brought in to its end: {worker.failure}")
    yield _progress(worker, recorded, is_finished=not stop.is_set())


def _progress(worker: SourceWorker, recorded: RecordedFile, *, is_finished: bool) -> Mapping[str, Any]:
    status = worker.status()
    return {
        "file": str(recorded.file.path),
        "readings": (status.packets or 0) + worker.without_packets,
        "kept": status.kept or 0,
        "duplicates": status.duplicates or 0,
        "refused": status.refused or 0,
        "unread": recorded.unread,
        "reported": recorded.reported[:],
        "done": recorded.file.size if is_finished else recorded.file.done,
        "finished": is_finished,
    }
