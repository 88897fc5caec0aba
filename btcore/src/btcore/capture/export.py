# SPDX-License-Identifier: GPL-3.0-or-later
"""A part of the journal, for others: as a capture, which `use = "file"`, `btcore decode` and `btcore import` read.

A stream of the capture is the way that readings came: the name of the source, and the address within it. Or only what
identifies readings.
"""

from collections.abc import Iterator, Sequence

from btcore.capture.files import capture_line
from btcore.classes import frozen
from btcore.journal import START, Entry, Journal
from btcore.records import MAX_STREAM_NAME, Chunk, from_microseconds

READ = 500
"""Journal entries read at once."""


@frozen
class Span:
    """Which readings are wanted: keys of the first and the last one, and meters by serial number (empty: all)."""

    since: int | None = None
    until: int | None = None
    meters: Sequence[str] = ()

    def has(self, entry: Entry) -> bool:
        """Whether an entry is in it."""
        return (
            (self.since is None or entry.key >= self.since)
            and (self.until is None or entry.key <= self.until)
            and (not self.meters or entry.serial in self.meters)
        )


@frozen
class Exported:
    """A portion of a capture, and how many readings were left out, as they came without a packet."""

    lines: Sequence[str]
    without_packet: int


def export(journal: Journal, span: Span) -> Iterator[Exported]:
    """Yield the readings of a span as lines of a capture, in the order of the journal. Raises Unavailable."""
    after, end = START, journal.newest()
    while entries := [one for one in journal.read(after, READ) if one.offset <= end]:
        after = entries[-1].offset
        wanted = [entry for entry in entries if span.has(entry)]
        lines = [_line(entry) for entry in wanted if not entry.packetless]
        yield Exported(lines, len(wanted) - len(lines))


def identities(journal: Journal, span: Span) -> Iterator[list[tuple[str, int, str]]]:
    """Yield serial number, key and packet format of the readings of a span, in portions. Raises Unavailable."""
    after, end = START, journal.newest()
    while entries := [one for one in journal.read(after, READ) if one.offset <= end]:
        after = entries[-1].offset
        yield [(one.serial, one.key, one.format) for one in entries if span.has(one)]


def _line(entry: Entry) -> str:
    stream = f"{entry.source} {entry.address}".strip()[:MAX_STREAM_NAME]
    return capture_line(Chunk(entry.raw, stream, from_microseconds(entry.key)))
