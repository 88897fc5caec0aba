# SPDX-License-Identifier: GPL-3.0-or-later
"""The tail of the SQLite journal: a small file beside it with what was kept last, each record written once.

SQLite writes pages: a commit for each packet would write ten times what a packet has. So packets are appended here,
compressed, and committed many at a time. A record that is written survives the death of this process; the system brings
it to the disk within about half a minute. What a record says is `sqlite_records.py`'s.
"""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

SUFFIX = "-tail"
"""Behind the name of the journal's file, as SQLite names its own beside it."""

MAGIC = b"btcore tail 1\n\0\0"

HEADER = Struct("<4sII")
"""Of a record: which filling of the file it belongs to, its bytes, and their checksum."""

SIZE = 320 << 10
"""Bytes that the file has from the beginning, so that a record within them changes no length."""

PAGE = 4096

MAX_RECORD = 4 << 20
"""Bytes of a record, uncompressed: what claims to be longer is damaged."""

LEVEL = 6


class Tail:
    """The file of one journal. A record holds what its compressor has seen before: they are read in order only."""

    def __init__(self, file: Path) -> None:
        """Open the file, or make it. `records` is to be read before anything is written. Raises OSError."""
        self.is_read = False
        self.is_damaged = False  # records come after one that cannot be read
        self._file = Path(f"{file}{SUFFIX}")
        self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._filling = b""
        self._end = 0
        self._deflate = _compressor()

    @property
    def size(self) -> int:
        """Bytes that its records take."""
        return max(self._end - len(MAGIC), 0)

    @property
    def is_gone(self) -> bool:
        """Whether the file was removed, replaced or cut short: nobody would find what is written to it."""
        mine = os.fstat(self._descriptor)
        try:
            there = self._file.stat()
        except OSError:
            return True
        is_short = any(self._filling) and there.st_size < max(self._end, SIZE)
        return is_short or (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)

    def records(self) -> Iterator[bytes]:
        """Yield the records that are complete, in order. What is written next comes after those that were read."""
        data = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        self._filling, self._end = data[len(MAGIC) :][:4], len(MAGIC)
        self._deflate, inflate = _compressor(), zlib.decompressobj(-zlib.MAX_WBITS)
        while found := _record_at(data, self._end, self._filling):
            try:
                record = inflate.decompress(found, MAX_RECORD)
            except zlib.error:
                break
            self._deflate.compress(record)
            self._deflate.flush(zlib.Z_SYNC_FLUSH)  # so that it has seen what the reader has
            self._end += HEADER.size + len(found)
            yield record
        self.is_read = True
        self.is_damaged = _has_record(data, self._end, self._filling)

    def write(self, record: bytes, *, sync: bool = False) -> None:
        """Append a record; `sync`: wait until it is on the disk. Raises OSError, and nothing is appended then."""
        deflate = self._deflate.copy()
        data = deflate.compress(record) + deflate.flush(zlib.Z_SYNC_FLUSH)
        if not any(self._filling):
            self.clear()
        header = HEADER.pack(self._filling, len(data), zlib.crc32(data))
        _write_all(self._descriptor, header + data, self._end)
        if sync:
            os.fdatasync(self._descriptor)
        self._end += HEADER.size + len(data)
        self._deflate = deflate

    def clear(self) -> None:
        """Forget all records: they are in the journal's file, and on the disk. Raises OSError."""
        if os.fstat(self._descriptor).st_size < SIZE:
            for at in range(0, SIZE, PAGE):  # by pages: of what is written at once, the system may make one large page
                _write_all(self._descriptor, bytes(PAGE), at)
        _write_all(self._descriptor, MAGIC + bytes(HEADER.size), 0)
        self._filling = os.urandom(4)
        self._end = len(MAGIC)
        self._deflate = _compressor()

    def close(self, *, remove: bool) -> None:
        """Close the file, and remove it where all of it is in the journal's file."""
        if remove and not self.is_gone:
            self._file.unlink()
        os.close(self._descriptor)


def _compressor() -> "zlib._Compress":
    return zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)


def _record_at(data: bytes, at: int, filling: bytes) -> bytes:
    """Return the compressed bytes of the record that begins there; none where there is no complete one."""
    if not any(filling) or len(data) < at + HEADER.size:
        return b""
    mark, size, checksum = HEADER.unpack_from(data, at)
    found = data[at + HEADER.size :][:size] if mark == filling and size <= MAX_RECORD else b""
    return found if len(found) == size and zlib.crc32(found) == checksum else b""


def _has_record(data: bytes, at: int, filling: bytes) -> bool:
    """Whether there is a complete record anywhere after that."""
    while any(filling) and (at := data.find(filling, at)) >= 0:
        if _record_at(data, at, filling):
            return True
        at += 1
    return False


def _write_all(descriptor: int, data: bytes, at: int) -> None:
    while data:
        done = os.pwrite(descriptor, data, at)
        data, at = data[done:], at + done
