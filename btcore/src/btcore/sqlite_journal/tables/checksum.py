# SPDX-License-Identifier: GPL-3.0-or-later
"""Checksums in the SQLite journal: whether an entry, and a checkpoint with its baselines, are as they were written.

SQLite finds damage in how its file is built, but not in what is in it. An entry of before version 8 has none, nor has
a checkpoint of before version 9.
"""

import sqlite3
import zlib
from collections.abc import Iterable, Sequence

from btcore.digest import sha256
from btcore.journal import Entry

KNOWN_DAMAGED = -1
"""In place of the checksum of an entry whose damage was told: it is left where it is, and never read again."""


def checksum_of(entry: Entry) -> int:
    """Return the checksum of an entry, whatever its offset: a number of 32 bits."""
    texts = f"{entry.source}\0{entry.serial}\0{entry.format}\0{entry.address}\0{entry.origin}"
    numbers = f"\0{int(entry.key)}\0{int(entry.packetless)}\0{int(entry.monotonic)}\0{int(entry.boot)}"
    return zlib.crc32((texts + numbers).encode("utf-8", "surrogatepass"), zlib.crc32(entry.raw))


def is_damaged(entry: Entry, checksum: int | None) -> bool:
    """Whether an entry is not as it was written. Where there is no checksum, only zeros are known to be none."""
    try:
        if checksum is None:
            return bool(entry.raw) and not any(entry.raw)
        return checksum_of(entry) != checksum
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
    return int.from_bytes(sha256(repr(tuple(values)).encode("utf-8", "surrogatepass"))[:8], "big") >> 1


def combined(rows: Iterable[Sequence[object]]) -> int:
    """Return the checksum of these rows together, in any order."""
    found = 0
    for row in rows:
        found ^= checksum_of_row(row)
    return found
