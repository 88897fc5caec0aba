# SPDX-License-Identifier: GPL-3.0-or-later
"""The last bytes without a packet, and taps: what a running program tells of what comes in."""

from btcore import Chunk
from btcore.decode.recognition import SAMPLE
from btcore.sources.recent_bytes import LAPSE, MAX_AGE, MAX_ENDED, MAX_STREAMS, SETTLE_TIME, RecentBytes
from btcore.sources.taps import MAX_WAITING, Taps
from btcore.testing import Clock


def test_bytes_that_lasted_are_told(clock: Clock) -> None:
    """The beginning of a packet is nothing at once, and something once no more came."""
    recent = RecentBytes(clock)
    recent.received("a", b"\xfe\xff", damaged=1, not_taken="acme")
    assert recent.undecoded() == []
    clock.wait(SETTLE_TIME)
    (found,) = recent.undecoded()
    assert (found.stream, found.data, found.damaged, found.not_taken) == ("a", b"\xfe\xff", 1, "acme")


def test_a_packet_ends_what_came_before(clock: Clock) -> None:
    """A keep-alive between two packets is nothing, unless no packet comes for long."""
    recent = RecentBytes(clock)
    recent.received("a", b"$")
    recent.packet("a")
    recent.received("a", b"$")
    clock.wait(SETTLE_TIME)
    assert recent.undecoded() == []
    clock.wait(LAPSE)
    assert [one.data for one in recent.undecoded()] == [b"$"]


def test_short_connections_are_remembered_for_a_while(clock: Clock) -> None:
    """Text on connections that ended at once is told, of the last few, and for an hour."""
    recent = RecentBytes(clock)
    for n in range(MAX_ENDED + 3):
        recent.received(f"c{n}", b"n=01000777&m=4")
        recent.end(f"c{n}")
    recent.packet("good")
    recent.end("good")
    assert [one.stream for one in recent.undecoded()] == [f"c{n}" for n in range(3, MAX_ENDED + 3)]
    clock.wait(MAX_AGE)
    assert recent.undecoded() == []


def test_memory_is_bounded(clock: Clock) -> None:
    """However much comes on however many streams, little is kept."""
    recent = RecentBytes(clock)
    for n in range(2 * MAX_STREAMS):
        recent.received(f"c{n}", b"x" * 10 * SAMPLE)
    clock.wait(SETTLE_TIME)
    found = recent.undecoded()
    assert (len(found), {len(one.data) for one in found}) == (MAX_STREAMS, {SAMPLE})


def test_a_tap_is_given_what_comes_while_it_is_attached() -> None:
    """What came before and after is not in it; two taps have all of it each."""
    taps = Taps()
    taps.put(Chunk(b"before"))
    with taps.attached() as one, taps.attached() as other:
        taps.put(Chunk(b"now"))
        assert [tap.get(0.001) for tap in (one, other)] == [Chunk(b"now")] * 2
    taps.put(Chunk(b"after"))
    assert one.get(0.001) is None


def test_a_tap_that_nobody_empties_loses_and_counts() -> None:
    """It never holds the source up."""
    taps = Taps()
    with taps.attached() as tap:
        for _ in range(MAX_WAITING + 5):
            taps.put(Chunk(b"x"))
        assert tap.lost == 5
