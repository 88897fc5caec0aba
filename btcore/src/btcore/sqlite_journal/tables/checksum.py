# SPDX-License-Identifier: GPL-3.0-or-later
"""Checksums in the SQLite journal: whether an entry, and a checkpoint with its baselines, are as they were written.

SQLite finds damage in how its file is built, but not in what is in it. An entry of before version 8 has none, nor has
a checkpoint of before version 9. That of an entry covers its offset; of one of before version 11 it does not.
"""

import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import xor

from btcore.digest import sha256
from btcore.journal import START, Entry, Offset

KNOWN_DAMAGED = -1
"""In place of the checksum of an entry whose damage was told: it is left where it is, and never read again."""

LAST = -2
"""The checksum of an entry is that many less its CRC-32, which tells it from one that does not cover the offset."""

MAX_WRITTEN = 8192
"""Rows that are remembered, above which all are forgotten: those of eight sinks with a thousand meters, 2.4 MB."""


def checksum_of(entry: Entry, offset: Offset) -> int:
    """Return the checksum of an entry at an offset, a number below -1.

    The CRC begins with the offset. So the same entry has another checksum at every other offset below 2^32.
    """
    key, monotonic, boot = entry.key, entry.monotonic, entry.boot
    if not (type(key) is type(monotonic) is type(boot) is int):  # nearly all are
        key, monotonic, boot = int(key), int(monotonic), int(boot)
    text = (
        f"{entry.source}\0{entry.serial}\0{entry.format}\0{entry.address}\0{entry.origin}"
        f"\0{key}\0{int(entry.packetless)}\0{monotonic}\0{boot}"
    )
    return LAST - zlib.crc32(text.encode("utf-8", "surrogatepass"), zlib.crc32(entry.raw, offset))


def is_damaged(entry: Entry, checksum: int | None) -> bool:
    """Whether an entry is not as it was written, or not at its offset.

    One of before version 11 has the CRC itself, with nothing of the offset. Where there is no checksum, only zeros are
    known to be no entry.
    """
    try:
        if checksum is None:
            return bool(entry.raw) and not any(entry.raw)
        if checksum >= 0:
            return LAST - checksum_of(entry, START) != checksum
        return checksum_of(entry, entry.offset) != checksum
    except (TypeError, ValueError, OverflowError):  # in a damaged row, a number may be a text
        return True


def damage(what: str) -> sqlite3.DatabaseError:
    """Return the error that SQLite raises for a damaged file, for what it does not find itself."""
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def checksum_of_row(values: Sequence[object]) -> int:
    """Return the share that a row, a checkpoint's or a baseline's, has in a checkpoint's checksum: 63 bits.

    The checksum of a checkpoint is that of its own row and of its baselines' rows, combined by exclusive or: so a
    commit needs none of the baselines that stay as they are.
    """
    text = repr(values if type(values) is tuple else tuple(values))
    return int.from_bytes(sha256(text.encode("utf-8", "surrogatepass"))[:8], "big") >> 1


class WrittenRows:
    """The rows that were written last, by sink and key, each with its share: they are what the next ones replace.

    A row that is in the file counts as one of these only if it is the same, so nobody has to say that it was deleted.
    Used under the journal's lock.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._rows: dict[tuple[object, ...], tuple[tuple[object, ...], int]] = {}

    def combined(self, rows: Iterable[tuple[object, ...]]) -> int:
        """Do what `combined` does, for rows that are in the file."""
        found, known = 0, self._rows.get
        for row in rows:
            one = known(row[:2])
            found ^= one[1] if one is not None and one[0] == row else checksum_of_row(row)
        return found

    def write(self, rows: Sequence[tuple[object, ...]]) -> int:
        """Do what `combined` does, for rows that are written now."""
        if len(self._rows) > MAX_WRITTEN:
            self._rows.clear()
        shares = [checksum_of_row(row) for row in rows]
        self._rows.update(zip([row[:2] for row in rows], zip(rows, shares, strict=True), strict=True))
        return reduce(xor, shares, 0)


def combined(rows: Iterable[Sequence[object]]) -> int:
    """Return the checksum of these rows together, in any order."""
    found = 0
    for row in rows:
        found ^= checksum_of_row(row)
    return found
