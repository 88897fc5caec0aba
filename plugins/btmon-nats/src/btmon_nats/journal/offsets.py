# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a reading is in the stream, as the journal's offsets: the number of its message, and its place in that. Pure.

The numbers of messages count for all partitions together, so offsets of different partitions can be compared too.
"""

from btcore.journal import Offset

BITS = 7

MAX_IN_MESSAGE = 1 << BITS
"""Readings of a message that have an offset; a message has 100 at most (`messages.MAX_READINGS`)."""


def offset_of(sequence: int, index: int) -> Offset:
    """Return the offset of a reading: its message's number, from 1 on, and its place in that, from 0 on."""
    return sequence << BITS | index


def end_of(sequence: int) -> Offset:
    """Return the last offset that a message may have."""
    return offset_of(sequence, MAX_IN_MESSAGE - 1)


def sequence_of(offset: Offset) -> int:
    """Return the number of the message that an offset is in; 0 for the beginning."""
    return offset >> BITS
