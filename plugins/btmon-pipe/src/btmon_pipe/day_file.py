# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of one day: mended when it is opened, appended to, and packed when the day is over.

What is in it already is known by what its lines begin with, so nothing is written twice. A half-written line at its
end, as of a program that was killed, is cut off.
"""

import gzip
import os
import shutil
import zlib
from collections.abc import Iterable
from io import FileIO
from pathlib import Path

import attrs

from btcore import Stop
from btmon_pipe.records import Layout, Record, Row

PACKED = ".gz"
UNFINISHED = ".part"
BLOCK = 1 << 20
DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)


@attrs.define(eq=False)
class Written:
    """What a file has: which records, and how far its lines are complete. Raises Stop for a file that is not ours."""

    layout: Layout
    end: int = attrs.field(init=False, default=0)
    """The bytes of all complete lines."""
    _known: set[int] = attrs.field(init=False, factory=set, repr=False)
    """Hashes of the records that are complete; a few bytes for each of a day."""
    _last: tuple[bytes, set[bytes]] = attrs.field(init=False, factory=lambda: (b"", set()), repr=False)
    """The last record, with those of its lines that are there: it may be incomplete."""

    def read(self, lines: Iterable[bytes], path: Path) -> None:
        """Note all lines of a file up to one without an end."""
        for line in lines:
            if not line.endswith(b"\n"):
                break
            if self.end == 0 and self.layout.header not in (b"", line):
                raise Stop(f"{path} has other columns than this program writes: move it away")
            self.end += len(line)
            if found := self.layout.identify(line):
                self.note(*found)

    def note(self, record: bytes, part: bytes) -> None:
        """Note a line. Those of a record follow each other, so the one before is complete."""
        last, parts = self._last
        if record == last:
            parts.add(part)
        else:
            if last:
                self._known.add(hash(last))
            self._last = (record, {part})

    def missing(self, record: Record) -> list[Row]:
        """Return the lines of a record that are not there."""
        last, parts = self._last
        if hash(record.rows[0].record) in self._known:
            return []
        return [row for row in record.rows if row.record != last or row.part not in parts]


@attrs.define(eq=False)
class DayFile:
    """An open file. Raises OSError, or Stop if it is not ours."""

    path: Path
    layout: Layout
    cut: int = attrs.field(init=False, default=0)
    """How many bytes of a half-written line were cut off when it was opened."""
    _stream: FileIO = attrs.field(init=False, repr=False)
    _written: Written = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Open and mend it."""
        if not self.path.exists() and packed(self.path).exists():
            unpack(self.path)
        self._written = Written(self.layout)
        if self.path.exists():
            self._mend()
        # without a buffer: what a full disk does not take must not be in one when the file is closed
        self._stream = self.path.open("ab", buffering=0)

    def append(self, records: Iterable[Record]) -> None:
        """Write what is not there yet, and have it on the disk."""
        new = bytearray()
        for record in records:
            for row in self._written.missing(record):
                self._written.note(row.record, row.part)
                new += row.line
        if not new:
            return
        left = memoryview((b"" if self._stream.tell() else self.layout.header) + new)
        while left:
            left = left[self._stream.write(left) :]
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Close it."""
        self._stream.close()

    def _mend(self) -> None:
        with self.path.open("r+b") as stream:
            self._written.read(stream, self.path)
            self.cut = stream.seek(0, os.SEEK_END) - self._written.end
            if self.cut:
                stream.truncate(self._written.end)


def written(path: Path, layout: Layout) -> Written:
    """Return what the file of a day has, packed or not, without a change to it; nothing if there is none."""
    found = Written(layout)
    try:
        if path.exists():
            with path.open("rb") as plain:
                found.read(plain, path)
        elif packed(path).exists():
            with gzip.open(packed(path), "rb") as source:
                found.read(source, path)
    except DAMAGE as error:
        raise _damaged(path, error) from None
    return found


def packed(path: Path) -> Path:
    """Return what the file of a day is called when it is packed."""
    return path.with_name(path.name + PACKED)


def pack(path: Path) -> None:
    """Compress the file of a day that is over. It is there throughout: packed, unpacked, or, after a kill, both."""
    unfinished = path.with_name(path.name + PACKED + UNFINISHED)
    with path.open("rb") as plain, unfinished.open("wb") as raw:
        with gzip.GzipFile(path.name, "wb", fileobj=raw, mtime=0) as target:
            shutil.copyfileobj(plain, target, BLOCK)
        raw.flush()
        os.fsync(raw.fileno())
    unfinished.replace(packed(path))
    path.unlink()


def unpack(path: Path) -> None:
    """Decompress the file of a day that gets a line after all. Raises Stop if it is damaged."""
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        with gzip.open(packed(path), "rb") as source, unfinished.open("wb") as target:
            shutil.copyfileobj(source, target, BLOCK)
            target.flush()
            os.fsync(target.fileno())
    except DAMAGE as error:
        unfinished.unlink(missing_ok=True)
        raise _damaged(path, error) from None
    unfinished.replace(path)
    packed(path).unlink()


def _damaged(path: Path, error: Exception) -> Stop:
    return Stop(f"{packed(path)} is damaged ({error}): move it away")
