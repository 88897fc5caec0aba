# SPDX-License-Identifier: GPL-3.0-or-later
"""PNG pictures, as far as it takes to put several of one width below each other. Source: PNG specification, 5, 9.

The pixels are not decoded: a row of a PNG is stored as its difference to the row above, so of each picture only the
first row, which has none above it, is written anew.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence

import attrs

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.Struct(">IIBBBBB")

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""How many numbers a pixel has, by the type of the colours."""

NONE, SUB, _UP, AVERAGE, PAETH = range(5)
"""The filters of a row."""


@attrs.frozen
class Picture:
    """A picture: its width and height, how pixels are stored, and its rows, each with its filter before it."""

    width: int
    height: int
    pixels: tuple[int, int]
    """Bits of a number, and the type of the colours."""
    rows: bytes

    @property
    def row_bytes(self) -> int:
        """The bytes of a row, its filter included."""
        bits, kind = self.pixels
        return 1 + (self.width * bits * CHANNELS[kind] + 7) // 8


def stack(pictures: Sequence[bytes]) -> bytes:
    """Put PNG pictures of one width below each other. Raises ValueError for pictures that do not fit."""
    read = [read_picture(one) for one in pictures]
    if len({(one.width, one.pixels) for one in read}) != 1:
        raise ValueError("the pictures are not of one width and kind")
    rows = b"".join(_standalone(one) for one in read)
    return write_picture(attrs.evolve(read[0], height=sum(one.height for one in read), rows=rows))


def read_picture(data: bytes) -> Picture:
    """Read a PNG. Raises ValueError for one that is none, or is interlaced."""
    if not data.startswith(SIGNATURE):
        raise ValueError("this is no PNG")
    chunks = list(_chunks(data))
    width, height, bits, kind, _, _, interlaced = HEADER.unpack(chunks[0][1])
    if interlaced:
        raise ValueError("the PNG is interlaced")
    rows = zlib.decompress(b"".join(content for name, content in chunks if name == b"IDAT"))
    return Picture(width, height, (bits, kind), rows)


def write_picture(picture: Picture) -> bytes:
    """Write a PNG."""
    bits, kind = picture.pixels
    header = HEADER.pack(picture.width, picture.height, bits, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(picture.rows, 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(*one) for one in chunks)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _standalone(picture: Picture) -> bytes:
    """Return a picture's rows, of which the first does not depend on the row above it."""
    size = picture.row_bytes
    bits, kind = picture.pixels
    return _unfiltered(picture.rows[:size], max(bits * CHANNELS[kind] // 8, 1)) + picture.rows[size:]


def _unfiltered(row: bytes, pixel: int) -> bytes:
    """Return the first row of a picture without a filter: the row above it is all 0."""
    method, numbers = row[0], bytearray(row[1:])
    for index, number in enumerate(numbers):
        left = numbers[index - pixel] if index >= pixel else 0
        add = {SUB: left, PAETH: left, AVERAGE: left // 2}.get(method, 0)
        numbers[index] = (number + add) & 0xFF
    return bytes((NONE,)) + bytes(numbers)
