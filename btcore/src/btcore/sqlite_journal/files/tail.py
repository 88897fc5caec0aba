# SPDX-License-Identifier: GPL-3.0-or-later
"""The tail of the SQLite journal: a small file beside it with what was kept last, each record written once.

SQLite writes pages: a commit for each packet would write ten times what a packet has. So packets are appended here,
compressed, and committed many at a time. A record that is written survives the death of this process; the system brings
it to the disk within about half a minute. What a record says is `records.py`'s.

Records of a block hold what those before them in it have said, so damage costs at most the rest of its block.
"""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from btcore.sqlite_journal.files.durable import sync_names
from btcore.sqlite_journal.files.mapping import Mapping, map_file

SUFFIX = "-tail"
"""Behind the name of the journal's file, as SQLite names its own beside it."""

MAGIC = b"btcore tail 1\n\0\0"

BEGIN = Struct("<16s4sI")
"""Of the file: what it is, the mark of its present filling, and the checksum of both."""

MARK = b"\xf1tr\x1a"
"""Before each record, so that those after damage are found."""

HEADER = Struct("<4s4sI")
"""Of a record: `MARK`, which filling of the file it belongs to, and the checksum of what follows."""

BODY = Struct("<IQ")
"""Before the compressed bytes of a record: their number, with `FRESH` in it, and the newest offset."""

FRESH = 1 << 31
"""Says that a record begins a block."""

BLOCK = 16 << 10
"""Compressed bytes after which a block begins."""

SIZE = 320 << 10
"""Bytes that the file has from the beginning, so that a record within them changes no length."""

PAGE = 4096

MAX_RECORD = 4 << 20
"""Bytes of a record, uncompressed: what claims to be longer is damaged."""

LEVEL = 3
"""Of zlib: with 4, a record takes a quarter to a half longer to write, and is 1 to 6 bytes shorter."""

MEMORY = 6
"""Of zlib: with 8, its default, it takes 256 kB instead of 160, and a record is 0.1 to 0.7 % shorter.

Its window is as large as it can be: it finds the last packets of 40 GEMs, and half of it those of 20.
"""


class _Found(NamedTuple):
    begin: int
    end: int
    is_fresh: bool
    newest: int
    data: bytes


class Tail:
    """The file of one journal.

    After it was read, `is_damaged` says that some of it cannot be, `is_empty` that nothing was ever written to
    it, and `newest` is the newest offset that it tells of.
    """

    def __init__(self, file: Path, *, is_often_synced: bool = False) -> None:
        """Open the file, or make it. `records` is to be read before anything is written. Raises OSError.

        `is_often_synced`: nothing is changed beforehand, as each wait for the disk would write that.
        """
        self.is_read = False
        self.is_damaged = False
        self.is_empty = True
        self.newest = 0
        self._file = path_of(file)
        self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._name = str(self._file)
        self._identity = os.fstat(self._descriptor)
        self._filling = b""
        self._is_often_synced = is_often_synced
        self._is_named = False  # on the disk
        self._end = 0
        self._length = 0  # that it has from the beginning
        self._sum = 0  # of all bytes up to the end
        self._left = 0  # bytes until the next block
        self._deflate = _compressor()
        self._mapping: Mapping | None = None

    @property
    def size(self) -> int:
        """Bytes that its records take."""
        return self._end - BEGIN.size if self._end else 0

    @property
    def is_gone(self) -> bool:
        """Whether the file was removed, replaced or cut short: nobody would find what is written to it."""
        try:
            there = os.stat(self._name)  # noqa: PTH116 - asked for each packet: a path takes as long again
        except OSError:
            return True
        is_short = bool(self._filling) and there.st_size < max(self._end, self._length)
        return is_short or there.st_ino != self._identity.st_ino or there.st_dev != self._identity.st_dev

    @property
    def is_changed(self) -> bool:
        """Whether somebody else has written over the records. Raises OSError."""
        return bool(self._filling) and zlib.crc32(os.pread(self._descriptor, self._end, 0)) != self._sum

    def records(self) -> Iterator[bytes]:
        """Yield the records that can be read, in order. What is written next comes after them."""
        data = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        self.is_damaged, self.is_empty, self.newest = False, not data, 0
        self._filling, self._end, self._left = _filling_of(data), BEGIN.size, 0
        self._length = min(len(data), SIZE)
        self.is_damaged = self._length < SIZE if self._filling else any(data)
        inflate, is_in_order = zlib.decompressobj(-zlib.MAX_WBITS), True
        while found := _next_record(data, self._end, self._filling):
            is_in_order = found.is_fresh or (is_in_order and found.begin == self._end)
            self.is_damaged |= found.begin != self._end or not is_in_order
            self._end, self.newest = found.end, max(self.newest, found.newest)
            if found.is_fresh:
                inflate = zlib.decompressobj(-zlib.MAX_WBITS)
                self._begin_block()
            record = _inflated(inflate, found.data) if is_in_order else None
            is_in_order = record is not None
            if record is None:
                self.is_damaged, self._left = True, 0
                continue
            self._deflate.compress(record)
            self._deflate.flush(zlib.Z_SYNC_FLUSH)  # so that it has seen what the reader has
            self._left -= len(found.data)
            yield record
        self._sum = zlib.crc32(data[: self._end])
        self.is_read = True
        self._map()

    def write(self, record: bytes, newest: int, *, sync: bool = False) -> None:
        """Append a record; `newest` is the newest offset with it. Raises OSError, and nothing is appended then.

        `sync`: wait until it is on the disk.
        """
        if not self._filling:
            self.clear()
        is_fresh = self._left <= 0
        if is_fresh:
            self._begin_block()
        data = self._deflate.compress(record) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        body = BODY.pack(len(data) | (FRESH if is_fresh else 0), newest) + data
        written = HEADER.pack(MARK, self._filling, zlib.crc32(body)) + body
        try:
            self._write_at(self._end, written)
            if sync:
                self.sync()
        except BaseException:
            self._left = 0  # the compressor has seen what no reader will: the next record begins a block
            raise
        self._end += len(written)
        self._sum = zlib.crc32(written, self._sum)
        self._left -= len(data)
        if self._mapping is not None and not self._is_often_synced:
            try:  # noqa: SIM105 - `suppress` takes 1 µs
                self._mapping.change_ahead(self._end)
            except OSError:  # the record is there; the next one finds what is wrong with the file
                pass

    def _write_at(self, at: int, data: bytes) -> None:
        if self._mapping is not None and at + len(data) <= self._mapping.size:
            try:
                self._mapping.write(data, at)
            except OSError:
                self._unmap()
            else:
                return
        _write_all(self._descriptor, data, at)

    def _map(self) -> None:
        if self._mapping is None and self._length:
            self._mapping = map_file(self._descriptor, self._length)

    def _unmap(self) -> None:
        if self._mapping is not None:
            self._mapping.close()
            self._mapping = None

    def sync(self) -> None:
        """Wait until it is on the disk. Raises OSError."""
        os.fdatasync(self._descriptor)
        if not self._is_named:
            sync_names(self._file.parent)
            self._is_named = True

    def _begin_block(self) -> None:
        self._deflate, self._left = _compressor(), BLOCK

    def clear(self, *, sync: bool = False) -> None:
        """Forget all records: they are in the journal's file, and on the disk. Raises OSError.

        `sync`: wait until the disk has forgotten them.
        """
        if os.fstat(self._descriptor).st_size < SIZE:
            for at in range(0, SIZE, PAGE):  # by pages: of what is written at once, the system may make one large page
                _write_all(self._descriptor, bytes(PAGE), at)
        filling = os.urandom(4)
        begin = _begin(filling)
        self._length = SIZE
        self._map()
        self._write_at(0, begin)
        self._filling, self._end, self._left, self._sum = filling, len(begin), 0, zlib.crc32(begin)
        self.is_empty = False
        if sync:
            self.sync()

    def remove(self) -> None:
        """Remove the file: all of it is in the journal's file, and on the disk. It is closed afterwards."""
        if not self.is_gone:
            self._file.unlink()

    def close(self) -> None:
        """Close the file."""
        self._unmap()
        os.close(self._descriptor)


def path_of(file: Path) -> Path:
    """Return where the tail of a journal is."""
    return Path(f"{file}{SUFFIX}")


def _compressor() -> "zlib._Compress":
    return zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, MEMORY)


def _inflated(inflate: "zlib._Decompress", data: bytes) -> bytes | None:
    """Return a record as it was; None where that cannot be."""
    try:
        return inflate.decompress(data, MAX_RECORD)
    except zlib.error:
        return None


def _begin(filling: bytes) -> bytes:
    """Return the beginning of the file."""
    return BEGIN.pack(MAGIC, filling, zlib.crc32(MAGIC + filling))


def _filling_of(data: bytes) -> bytes:
    """Return the mark of the present filling: where the beginning is damaged, that of the first record; b"" for none.

    What an earlier filling has left comes after what is of the present one.
    """
    if len(data) >= BEGIN.size and data[: BEGIN.size] == _begin(filling := data[len(MAGIC) :][:4]):
        return filling
    at = data.find(MARK)
    while at >= 0:
        filling = data[at + len(MARK) :][:4]
        if _record_at(data, at, filling):
            return filling
        at = data.find(MARK, at + 1)
    return b""


def _next_record(data: bytes, at: int, filling: bytes) -> _Found | None:
    """Return the record that begins there; where there is none, the next one of the same filling."""
    if not filling:
        return None
    if found := _record_at(data, at, filling):
        return found
    while (at := data.find(MARK + filling, at)) >= 0:
        if found := _record_at(data, at, filling):
            return found
        at += 1
    return None


def _record_at(data: bytes, at: int, filling: bytes) -> _Found | None:
    """Return the record that begins there, where it is as it was written."""
    body = at + HEADER.size
    begin = body + BODY.size
    if len(data) < begin:
        return None
    mark, found, checksum = HEADER.unpack_from(data, at)
    size, newest = BODY.unpack_from(data, body)
    end = begin + (size & ~FRESH)
    is_whole = mark == MARK and found == filling and end <= len(data) and zlib.crc32(data[body:end]) == checksum
    return _Found(at, end, bool(size & FRESH), newest, data[begin:end]) if is_whole else None


def _write_all(descriptor: int, data: bytes, at: int) -> None:
    while data:
        done = os.pwrite(descriptor, data, at)
        data, at = data[done:], at + done
