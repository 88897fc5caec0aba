# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures below each other: the pixels are those of the pictures."""

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btmon_rrd.png import CHANNELS, Picture, read_picture, stack, write_picture


def paeth(left: int, up: int, corner: int) -> int:
    """Return the predictor of filter 4."""
    guess = left + up - corner
    return min((left, up, corner), key=lambda one: abs(guess - one))


def pixels(picture: Picture) -> list[bytes]:
    """Return the rows of a picture without their filters, as any reader of PNG does."""
    size, pixel = picture.row_bytes, CHANNELS[picture.pixels[1]]
    above, found = bytes(size - 1), []
    for at in range(0, len(picture.rows), size):
        method, row = picture.rows[at], bytearray(picture.rows[at + 1 : at + size])
        for index, number in enumerate(row):
            left, up = row[index - pixel] if index >= pixel else 0, above[index]
            corner = above[index - pixel] if index >= pixel else 0
            row[index] = (number + [0, left, up, (left + up) // 2, paeth(left, up, corner)][method]) & 255
        above = bytes(row)
        found.append(above)
    return found


@st.composite
def pictures(draw: st.DrawFn, width: int = 5, kind: int = 2) -> Picture:
    """Draw a small picture whose rows have any filters."""
    height = draw(st.integers(1, 4))
    size = width * CHANNELS[kind]
    rows = [bytes((draw(st.integers(0, 4)),)) + draw(st.binary(min_size=size, max_size=size)) for _ in range(height)]
    return Picture(width, height, (8, kind), b"".join(rows))


@given(st.lists(pictures(), min_size=1, max_size=4))
def test_the_pixels_are_those_of_the_pictures(parts: list[Picture]) -> None:
    """Whatever filters the rows of pictures have, below each other they have the same pixels."""
    made = read_picture(stack([write_picture(one) for one in parts]))
    assert (made.width, made.height) == (5, sum(one.height for one in parts))
    assert pixels(made) == [row for one in parts for row in pixels(one)]


def test_pictures_that_do_not_fit_are_refused() -> None:
    """Pictures of two widths, or of two kinds of colours, are not put below each other."""
    row = random.Random(1).randbytes(40)
    wide, narrow = Picture(5, 1, (8, 2), bytes(1) + row[:15]), Picture(4, 1, (8, 2), bytes(1) + row[:12])
    clear = Picture(5, 1, (8, 6), bytes(1) + row[:20])
    for other in (narrow, clear):
        with pytest.raises(ValueError, match="not of one width and kind"):
            stack([write_picture(wide), write_picture(other)])


@pytest.mark.parametrize(("change", "message"), [(b"GIF89a", "this is no PNG"), (b"", "interlaced")])
def test_what_is_not_understood_is_refused(change: bytes, message: str) -> None:
    """What is no PNG, and one that is interlaced, is not read."""
    data = write_picture(Picture(1, 1, (8, 0), b"\x00\x07"))
    header = data[16:28] + b"\x01"
    interlaced = data[:16] + header + zlib.crc32(b"IHDR" + header).to_bytes(4, "big") + data[33:]
    with pytest.raises(ValueError, match=message):
        read_picture(change or interlaced)
