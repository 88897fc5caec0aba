# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture that is brought into the journal, by a source of its own that is in no configuration.

So its readings become entries as those of `use = "file"` do: with their times, each once however often it comes.
"""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import attrs

from btcore.capture.files import CaptureError, read_capture
from btcore.config.site import Source
from btcore.hookspecs import hookimpl
from btcore.records import Chunk

NAME = "import"
"""The name of the source, which its entries have."""


@attrs.define(eq=False, slots=False)
class RecordedCapture:
    """A capture of a meter: hosted services do not get it."""

    path: Path
    unread: int = 0  # parts of the capture that cannot be read

    origin = "recorded"

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Chunk]:
        """Yield the chunks of the file; what cannot be read of it is counted."""
        for chunk in read_capture(self.path, damaged=self._note):
            if stop.is_set():
                return
            yield chunk

    def _note(self, _error: CaptureError) -> None:
        self.unread += 1


class LiveCapture(RecordedCapture):
    """A capture of what meters sent this site, or one that it takes the place of: every sink gets it."""

    origin = "live"


def capture_source(capture: RecordedCapture) -> Source:
    """Return the source that brings a capture in; it takes all meters, at any rate."""
    return Source(NAME, f"source.{NAME}", NAME, capture, max_new_meters_per_day=0, max_packets_per_second=0.0)
