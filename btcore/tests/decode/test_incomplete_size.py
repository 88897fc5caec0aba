# SPDX-License-Identifier: GPL-3.0-or-later
"""A decoder that says how long a packet is: it is not asked in between, and what it says wrongly costs no packet."""

import attrs
from helpers.pieces import pieces_of
from helpers.property_tests import examples
from helpers.times import NOON
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import FORMATS
from btcore.decode.framing import MAX_PACKET, Answer, Stream
from btcore.records import Incomplete, Packet

FORM = FORMATS["ecm1220bin"]


@attrs.define
class Counted:
    """Decodes packets whose first byte is their length; says of one that is not complete that it has `told` more."""

    told: int = 0
    asked: int = 0

    def __call__(self, buffer: memoryview) -> Answer:
        """Answer."""
        self.asked += 1
        size = buffer[0]
        if not size:
            return None
        return Packet(size, FORM, "1", bytes(buffer[:size])) if len(buffer) >= size else Incomplete(size + self.told)


def all_of(stream: Stream, pieces: list[bytes]) -> list[bytes]:
    """Return the packets that are in these pieces."""
    found = [each for piece in pieces for each in stream.feed(piece, NOON)] + stream.close()
    return [packet.raw for packet, _ in found]


def test_a_decoder_is_not_asked_before_the_bytes_are_there() -> None:
    """Of a packet that comes byte by byte the decoder is asked twice: at its first byte, and when it is complete."""
    decode = Counted()
    stream = Stream(decode, ())
    packet = bytes([100]) + bytes(99)
    for at in range(100):
        assert stream.bytes_since_packet == at
        found = stream.feed(packet[at : at + 1], NOON)
        assert [one.raw for one, _ in found] == ([packet] if at == 99 else [])
    assert (decode.asked, stream.bytes_since_packet, stream.rest) == (2, 0, b"")


@settings(max_examples=examples(200))
@given(
    st.lists(st.integers(0, 255).map(lambda size: bytes([size]) + b"\1" * (size - 1)), max_size=8),
    st.lists(st.integers(1, 300), min_size=1, max_size=8),
    st.sampled_from([-1000, -1, 0, 1, 50, MAX_PACKET, 1 << 40]),
)
def test_what_is_told_wrongly_costs_no_packet(packets: list[bytes], sizes: list[int], told: int) -> None:
    """Whatever size a decoder tells, all packets are found in the end, however their bytes were split."""
    data = b"".join(packets)
    assert all_of(Stream(Counted(told), ()), pieces_of(data, sizes)) == all_of(Stream(Counted(), ()), [data])


def test_no_more_is_waited_for_than_the_longest_packet() -> None:
    """A decoder that tells a size without end is asked again once the longest packet would be there."""
    decode = Counted(1 << 40)
    stream = Stream(decode, ())
    stream.feed(b"\xff", NOON)
    stream.feed(b"\1" * (MAX_PACKET - 2), NOON)
    assert decode.asked == 1
    assert stream.feed(b"\1", NOON)
