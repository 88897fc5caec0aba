# SPDX-License-Identifier: GPL-3.0-or-later
"""The checksum of an entry in the SQLite journal: whether all of it is as it was written.

SQLite finds damage in how its file is built, but not in what is in it. An entry of before version 8 has none.
"""

import zlib

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
    if checksum is None:
        return bool(entry.raw) and not any(entry.raw)
    return checksum_of(entry) != checksum
