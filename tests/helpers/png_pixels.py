# SPDX-License-Identifier: GPL-3.0-or-later
"""The pixels of a picture that `btmon_rrd.png` reads, which itself has no need to decode them."""

from collections.abc import Iterator

from btmon_rrd.png import CHANNELS, Picture


def pixels(picture: Picture) -> Iterator[list[bytes]]:
    """Yield the rows of a picture, each a list of its pixels."""
    bits, kind = picture.pixels
    size, of_pixel = picture.row_bytes, bits * CHANNELS[kind] // 8
    above = bytes(size - 1)
    for first in range(0, size * picture.height, size):
        above = _unfiltered(picture.rows[first], picture.rows[first + 1 : first + size], above, of_pixel)
        yield [above[index : index + of_pixel] for index in range(0, len(above), of_pixel)]


def _unfiltered(method: int, row: bytes, above: bytes, of_pixel: int) -> bytes:
    numbers = bytearray(row)
    for index, number in enumerate(row):
        left = numbers[index - of_pixel] if index >= of_pixel else 0
        corner = above[index - of_pixel] if index >= of_pixel else 0
        up = above[index]
        add = (0, left, up, (left + up) // 2, _paeth(left, up, corner))[method]
        numbers[index] = (number + add) & 0xFF
    return bytes(numbers)


def _paeth(left: int, up: int, corner: int) -> int:
    """Return which of three neighbours is nearest to left + up - corner. Source: PNG specification, 9.4."""
    guess = left + up - corner
    return min((left, up, corner), key=lambda one: abs(guess - one))
