# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits for one reader."""

from hypothesis import given
from hypothesis import strategies as st

from btmon_tee.outbox import Outbox

PIECES = st.lists(st.integers(1, 30), max_size=60)


def piece(number: int, size: int) -> bytes:
    """Return a piece whose bytes say which it is, and how much of it is left."""
    return bytes([number]) * size


@given(PIECES, st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 100))
def test_a_reader_is_sent_complete_pieces_in_order(sizes: list[int], reads: list[int], room: int) -> None:
    """However slowly it reads: each piece comes complete or not at all, in order, and the last one always comes."""
    outbox, received = Outbox(room), b""
    for number, size in enumerate(sizes):
        outbox.add(piece(number, size))
        taken = min(reads[number % len(reads)], len(outbox.next())) if number % 2 else 0
        received += bytes(outbox.next()[:taken])
        if taken:
            outbox.sent(taken)
    while waiting := outbox.next():
        received += bytes(waiting)
        outbox.sent(len(waiting))
    came = [number for number in range(len(sizes)) if number in received]
    assert received == b"".join(piece(number, sizes[number]) for number in came)
    assert len(sizes) - len(came) == outbox.dropped
    assert came[-1:] == ([len(sizes) - 1] if sizes else [])


@given(PIECES, st.integers(31, 200))
def test_what_waits_is_bounded(sizes: list[int], room: int) -> None:
    """Where nothing is read, no more waits than there is room for."""
    outbox = Outbox(room)
    for number, size in enumerate(sizes):
        outbox.add(piece(number, size))
        assert outbox.waiting <= room


def test_a_piece_that_was_begun_is_not_dropped() -> None:
    """What a reader has had the beginning of is sent to its end; the oldest behind it makes room."""
    outbox = Outbox(10)
    outbox.add(b"aaaaaa")
    outbox.sent(2)
    outbox.add(b"bbbb")
    outbox.add(b"cccc")
    assert (bytes(outbox.next()), outbox.waiting, outbox.dropped) == (b"aaaa", 8, 1)
    outbox.sent(4)
    assert bytes(outbox.next()) == b"cccc"
