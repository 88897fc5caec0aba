# SPDX-License-Identifier: GPL-3.0-or-later
"""Records in the pages of a SQLite file, found one by one, whatever else of the file is damaged: bytes to values.

A page that holds rows says so in its first byte, and each row in it says how long it is. So rows can be read without
the pages that lead to them; which table a row is of is told by its values (`salvage.py`). The format is that of
https://www.sqlite.org/fileformat2.html. No file is opened here.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

PAGE_SIZE = 4096
"""Bytes of a page where a file does not say it any more: SQLite's own choice."""

FILE_HEADER = 100
"""Bytes before the first page's own header."""

ROWS, ROWS_BY_KEY = 0x0D, 0x0A
"""The first byte of a page with rows, of a table with numbered rows, and of one (or an index) without."""

MAX_PAYLOAD = 16 << 20
"""Bytes of the largest row that is believed."""

Value: TypeAlias = int | float | str | bytes | None

FetchPage = Callable[[int], bytes]
"""Returns a page by its number, from 1 on; b"" where it is not there."""


class Row(NamedTuple):
    """One row. `number` is its rowid; 0 for a row of a table without."""

    number: int
    values: tuple[Value, ...]


def page_size_of(header: bytes) -> int:
    """Return the bytes of a page, as the beginning of a file says; the usual size where it says nothing that can be."""
    size = int.from_bytes(header[16:18], "big")
    size = 1 << 16 if size == 1 else size
    return size if size in {1 << power for power in range(9, 17)} else PAGE_SIZE


def rows_of(page: bytes, fetch: FetchPage, begin: int = 0) -> Iterator[Row]:
    """Yield the rows of a page that can be read. `begin` is where its header is: after the file's in the first page."""
    if len(page) < begin + 8 or page[begin] not in (ROWS, ROWS_BY_KEY):
        return
    has_numbers = page[begin] == ROWS
    count = int.from_bytes(page[begin + 3 : begin + 5], "big")
    for at in range(begin + 8, min(begin + 8 + 2 * count, len(page) - 1), 2):
        try:
            yield _row(page, int.from_bytes(page[at : at + 2], "big"), fetch, has_numbers=has_numbers)
        except (IndexError, ValueError):  # also text that is none
            continue


def _row(page: bytes, at: int, fetch: FetchPage, *, has_numbers: bool) -> Row:
    size, at = _varint(page, at)
    number, at = _varint(page, at) if has_numbers else (0, at)
    if not 0 < size <= MAX_PAYLOAD:
        raise ValueError("no row is so long")
    return Row(number, _values(_payload(page, at, size, fetch, has_numbers=has_numbers)))


def _payload(page: bytes, at: int, size: int, fetch: FetchPage, *, has_numbers: bool) -> bytes:
    """Return the bytes of a row: those in the page, and those in the pages of its own that a long row goes on in."""
    usable = len(page)
    least = (usable - 12) * 32 // 255 - 23
    most = usable - 35 if has_numbers else (usable - 12) * 64 // 255 - 23
    here = size
    if size > most:
        here = least + (size - least) % (usable - 4)
        here = here if here <= most else least
    found = page[at : at + here]
    following = int.from_bytes(page[at + here : at + here + 4], "big") if here < size else 0
    while len(found) < size and following:
        further = fetch(following)
        following = int.from_bytes(further[:4], "big")
        found += further[4 : 4 + size - len(found)]
        if len(further) != usable:
            break
    if len(found) != size:
        raise ValueError("the row is cut short")
    return found


def _values(payload: bytes) -> tuple[Value, ...]:
    header, at = _varint(payload, 0)
    body = header
    values: list[Value] = []
    while at < header:
        kind, at = _varint(payload, at)
        value, body = _value(payload, body, kind)
        values.append(value)
    if body != len(payload):
        raise ValueError("the row is not as long as its values")
    return tuple(values)


SIZES = (0, 1, 2, 3, 4, 6, 8)
"""Bytes of a number, by its kind."""

REAL, ZERO, ONE, FIRST_BYTES = 7, 8, 9, 12


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind in (ZERO, ONE):
        return kind - ZERO, at
    if kind < len(SIZES):
        end = at + SIZES[kind]
        return (int.from_bytes(payload[at:end], "big", signed=True) if kind else None), end
    if kind < FIRST_BYTES:
        raise ValueError("no table of a journal has such a value")
    end = at + (kind - FIRST_BYTES) // 2
    return (payload[at:end].decode() if kind % 2 else payload[at:end]), end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at a place, and the place after it: seven bits a byte, and eight of the ninth."""
    number = 0
    for byte_at in range(at, at + 8):
        byte = data[byte_at]
        number = number << 7 | byte & 0x7F
        if byte < 0x80:  # noqa: PLR2004 - the highest bit says that more follow
            return number, byte_at + 1
    number = number << 8 | data[at + 8]
    return number - (1 << 64) if number >> 63 else number, at + 9
