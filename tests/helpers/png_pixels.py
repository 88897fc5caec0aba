# SPDX-License-Identifier: GPL-3.0-or-later
"""The pixels of a picture that `btmon_rrd.png` reads, which itself has no need to decode them."""

from collections.abc import Iterator

from btmon_rrd.png import CHANNELS, Picture

NONE, SUB, UP, AVERAGE, PAETH = range(5)
"""How the bytes of a row are filtered. Source: PNG specification, 9.2."""


def pixels(picture: Picture) -> Iterator[list[bytes]]:
    """Yield the rows of a picture, each a list of its pixels."""
    bits, kind = picture.pixels
    size, of_pixel = picture.row_bytes, bits * CHANNELS[kind] // 8
    above = bytes(size - 1)
    for first in range(0, size * picture.height, size):
        above = _unfiltered(picture.rows[first], picture.rows[first + 1 : first + size], above, of_pixel)
        yield [above[index : index + of_pixel] for index in range(0, len(above), of_pixel)]


def _unfiltered(method: int, row: bytes, above: bytes, of_pixel: int) -> bytes:
    if method == NONE:
        return row
    if method == UP:
        return bytes((number + up) & 0xFF for number, up in zip(row, above, strict=True))
    numbers = bytearray(row)
    for index, number in enumerate(row):
        left = numbers[index - of_pixel] if index >= of_pixel else 0
        corner = above[index - of_pixel] if index >= of_pixel else 0
        up = above[index]
        add = left if method == SUB else (left + up) // 2 if method == AVERAGE else _paeth(left, up, corner)
        numbers[index] = (number + add) & 0xFF
    return bytes(numbers)


def _paeth(left: int, up: int, corner: int) -> int:
    """Return which of three neighbours is nearest to left + up - corner. Source: PNG specification, 9.4."""
    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner
