# SPDX-License-Identifier: GPL-3.0-or-later
"""SQLite's log beside the file of the journal (`-wal`): the pages in it, and whether it is as SQLite wrote it.

At the first frame that is damaged SQLite takes the log to be at its end, and says nothing: so it is looked at here.
The format is that of https://www.sqlite.org/walformat.html. Nothing is changed here.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from btcore.text import plural

HEADER = 32
FRAME_HEADER = 24

MAGIC = 0x377F0682
"""The first number of a log, or one more: in the latter, checksums are of numbers that begin with the highest byte."""

Sums = tuple[int, int]


class Header(NamedTuple):
    """The header of a log: the bytes of a page, the order of the bytes in checksums, and what its frames begin with."""

    page_size: int
    order: str
    salt: bytes
    sums: Sums


class Frame(NamedTuple):
    """A page in the log: its number, from 1 on, and its bytes.

    `is_current`: it was written since the log began anew. `is_certain`: SQLite itself would read it, as it and all
    before it are as they were written, and are of transactions that were committed.
    """

    page: int
    data: bytes
    is_current: bool
    is_certain: bool


def read_header(data: bytes) -> Header | None:
    """Return the header at the beginning of a log; None where it is damaged."""
    if len(data) < HEADER:
        return None
    magic, _, page_size, _ = struct.unpack_from(">4I", data)
    order = ">" if magic & 1 else "<"
    sums = _two(data, 24)
    if magic & ~1 != MAGIC or checksum(data[:24], (0, 0), order) != sums or page_size < 512:  # noqa: PLR2004
        return None
    return Header(page_size, order, data[16:24], sums)


def checksum(data: bytes, sums: Sums, order: str) -> Sums:
    """Return the checksum of bytes, a multiple of eight, that follow what has the checksum `sums`."""
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = first + one + second & 0xFFFF_FFFF
        second = second + other + first & 0xFFFF_FFFF
    return first, second


def is_intact(header: Header, frame: bytes, before: Sums) -> bool:
    """Whether a frame has the checksum that it says, after one that says `before`."""
    sums = checksum(frame[:8], before, header.order)
    return checksum(frame[FRAME_HEADER:], sums, header.order) == _two(frame, 16)


def frames(file: Path) -> Iterator[Frame]:
    """Yield the pages in a log that can be read, oldest first, also those that SQLite would not reach any more.

    Those of before SQLite began the log anew are among them. Raises OSError.
    """
    with file.open("rb") as log:
        header = read_header(log.read(HEADER))
        certain = count_certain(file)
        page_size = header.page_size if header else 4096
        while len(data := log.read(FRAME_HEADER + page_size)) == FRAME_HEADER + page_size:
            is_current = header is not None and data[8:16] == header.salt
            yield Frame(int.from_bytes(data[:4], "big"), data[FRAME_HEADER:], is_current, certain > 0)
            certain -= 1


def count_certain(file: Path) -> int:
    """Return how many frames SQLite would read: those of transactions that were committed, up to damage."""
    with file.open("rb") as log:
        header = read_header(log.read(HEADER))
        before, count, committed = header.sums if header else (0, 0), 0, 0
        while header and len(data := log.read(FRAME_HEADER + header.page_size)) == FRAME_HEADER + header.page_size:
            if data[8:16] != header.salt or not is_intact(header, data, before):
                break
            before, count = _two(data, 16), count + 1
            committed = count if any(data[4:8]) else committed  # the size of the file, with the last of a transaction
        return committed


def find_fault(file: Path) -> str:
    """Return what is wrong with a log that a killed program left; "" where SQLite will read all of it. Raises OSError.

    A frame that was being written when the program was killed is not wrong: nothing current comes after it.
    """
    with file.open("rb") as log:
        start = log.read(HEADER)
        header = read_header(start)
        if header is None:
            return "" if not start else "its beginning is damaged"
        before, broken, after = header.sums, 0, 0
        while len(data := log.read(FRAME_HEADER + header.page_size)) == FRAME_HEADER + header.page_size:
            if data[8:16] != header.salt and not broken:
                broken = 1  # what is left of before it began anew, or damage
            elif data[8:16] == header.salt:
                after += bool(broken)
                broken = broken or not is_intact(header, data, before)
            before = _two(data, 16)
    return f"{plural(after, 'page')} in it come after damage, and would be ignored" if after else ""


def _two(data: bytes, at: int) -> Sums:
    one, other = struct.unpack_from(">2I", data, at)
    return one, other
