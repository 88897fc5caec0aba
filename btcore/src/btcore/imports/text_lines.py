# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of a text file, with their numbers; no line takes more memory than a line may."""

from collections.abc import Iterator
from io import BufferedReader
from itertools import count

MAX_LINE = 1 << 16
"""Bytes of a line; of a longer one, the rest is left out."""


def text_lines(file: BufferedReader) -> Iterator[tuple[int, str]]:
    """Yield the lines without their ends, whatever bytes are in them."""
    for number in count(1):
        line = rest = file.readline(MAX_LINE)
        if not line:
            return
        while len(rest) == MAX_LINE and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE)
        yield number, decoded(line).rstrip("\r\n")


def decoded(data: bytes) -> str:
    """Return the text of some bytes; a byte order mark is none of it."""
    return data.decode("utf-8", "replace").removeprefix("\ufeff")
