# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes cut into pieces, as they come over a line or a network."""

from collections.abc import Sequence
from itertools import cycle


def pieces_of(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Cut bytes into pieces of these sizes, over and over; what is left is the last piece."""
    pieces = []
    for size in cycle(sizes):
        if not data:
            break
        pieces.append(data[:size])
        data = data[size:]
    return pieces
