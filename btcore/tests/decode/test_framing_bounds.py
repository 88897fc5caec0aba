# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of bytes that never become a packet, and what they cost: both have a bound."""

import pytest
from helpers.framed_streams import CODES, LONGEST, START, brultech, moment, quick, raws, run, synthetic
from helpers.pieces import pieces_of
from hypothesis import given
from hypothesis import strategies as st

from btcore import FORMATS, Damaged, Incomplete, Packet
from btcore.decode.brultech import FOOTER, HEADER, LAYOUTS, Brultech
from btcore.decode.decoders import Decoders
from btcore.decode.framing import MAX_PACKET, Answer, Decode, Stream, StreamCounts


class Counting:
    """A decoder that counts how often it is asked."""

    def __init__(self, decode: Decode) -> None:
        """Begin at none."""
        self.asked = 0
        self._decode = decode

    def __call__(self, buffer: memoryview) -> Answer:
        """Pass the question on."""
        self.asked += 1
        return self._decode(buffer)


ENDLESS = {
    "zeros": (bytes(1000), 1),
    "first header bytes": (b"\xfe" * 1000, 2),
    "second header bytes": (b"\xff" * 1000, 1),
    "text": (b"Alive\r\n" * 140, 1),
    "a header a hundred bytes": ((HEADER + bytes(98)) * 10, 11),
    "headers": (HEADER * 500, 501),
    "headers of a format": ((HEADER + b"\x05") * 333, 334),
}


@pytest.mark.parametrize(("piece", "most"), ENDLESS.values(), ids=ENDLESS)
def test_endless_junk_is_skipped_and_not_kept(piece: bytes, most: int) -> None:
    """Junk without end keeps less than a packet in the buffer, and costs at most one question a header and piece."""
    decode = Counting(Brultech().decode_packet)
    stream = Stream(decode, (HEADER,))
    for place in range(200):
        assert stream.feed(piece, moment(place)) == []
        assert len(stream._rest) < LONGEST
        assert len(stream._arrivals) <= len(stream._rest)
    assert decode.asked <= 200 * most
    assert len(piece) * 200 == stream.bytes_since_packet
    packet = synthetic("ecm1220bin", 1)
    assert [packet] == raws(run(stream, [packet]))


def test_empty_pieces_are_nothing() -> None:
    """Pieces without bytes leave nothing behind, however many there are."""
    stream = brultech()
    stream.feed(HEADER, START)
    for _ in range(100):
        assert stream.feed(b"", START) == []
    assert len(stream._arrivals) == 1


def letters(buffer: memoryview) -> Answer:
    """Decode toy packets: P is one, M never ends, 0 and 9 are answers that cannot be, D is damaged."""
    first = bytes(buffer[:1])
    answers: dict[bytes, Packet | Incomplete | Damaged] = {b"M": Incomplete(), b"D": Damaged("just so")}
    answers |= {key: Packet(size, FORMATS["ecm1220bin"], key.decode(), key) for key, size in SIZES.items()}
    return answers.get(first)


SIZES = {b"P": 1, b"0": 0, b"9": 999}


@pytest.mark.parametrize("size", [1, 7, MAX_PACKET, 4 * MAX_PACKET])
def test_a_decoder_that_always_wants_more_is_not_believed_for_ever(size: int) -> None:
    """After 64 kB without an answer the next place is tried, however the bytes came in; what follows is found."""
    pieces = pieces_of(b"M" * 50 + b"P" + b"." * (MAX_PACKET + 10), [size])
    stream = Stream(letters, (b"M", b"P"))
    assert [packet.raw for piece in pieces for packet, _ in stream.feed(piece, START)] == [b"P"]
    assert len(stream._rest) + stream.counts.junk - MAX_PACKET == 60
    assert stream.counts.damaged == 50


def test_a_decoder_that_always_wants_more_is_bounded() -> None:
    """The buffer of a stream whose decoder never comes to an end stays below 64 kB."""
    stream = Stream(letters, (b"M",))
    for _ in range(50):
        stream.feed(b"M" * 2000, START)
        assert len(stream._rest) < MAX_PACKET


@pytest.mark.parametrize("letter", [b"0", b"9"])
def test_a_packet_that_cannot_be_is_junk(letter: bytes) -> None:
    """An answer of no bytes, or of more than there are, is not believed."""
    stream = Stream(letters)
    assert raws(run(stream, [letter + b"P"])) == [b"P"]
    assert StreamCounts(1, 1, 0) == stream.counts


def test_without_headers_every_place_is_asked() -> None:
    """A decoder that names no header is asked about every byte."""
    decode = Counting(letters)
    stream = Stream(decode)
    assert raws(run(stream, [b"..P.D.P"])) == [b"P", b"P"]
    assert (7, StreamCounts(2, 5, 1)) == (decode.asked, stream.counts)


def test_of_several_headers_the_first_in_the_bytes_counts() -> None:
    """Where decoders have different headers, all of them are looked for, and nothing else is asked about."""
    decode = Counting(letters)
    stream = Stream(decode, (b"..DD", b"P"))
    assert raws(run(stream, [b"xxPzzDDx..DDxxPxx"])) == [b"P", b"P"]
    # the two packets, the place of the longer header, and the last three bytes, which could have begun another
    assert (StreamCounts(2, 15, 0), 3 + 2) == (stream.counts, decode.asked)


def asked(data: bytes, size: int = 4096) -> tuple[int, StreamCounts]:
    """Return how often a decoder is asked about these bytes, fed in pieces, and what was counted."""
    decoder = Brultech()
    times = 0

    def decode(buffer: memoryview) -> Answer:
        nonlocal times
        times += 1
        return decoder.decode_packet(buffer)

    stream = Stream(decode, decoder.header, candidates=(decoder.candidate,))
    run(stream, pieces_of(data, [size]))
    return times, stream.counts


@pytest.mark.parametrize("unit", [b"", b"\x05", b"\x05abc", b"\x03" + HEADER, b"\x05" + HEADER[:1]])
def test_junk_that_is_made_of_headers_is_skipped_like_any_other(unit: bytes) -> None:
    """However many headers junk holds, a decoder is asked only where a packet may end as it has to, or may come yet."""
    pieces = 16
    data = ((HEADER + unit) * 4096 * pieces)[: 4096 * pieces]
    times, counts = asked(data)
    assert counts.junk == len(data)
    assert times <= 2 * pieces + LONGEST


@quick
@given(
    st.lists(st.sampled_from([HEADER, *(HEADER + bytes([code]) for code in CODES), FOOTER, b"ab", b"x" * 56])),
    st.data(),
)
def test_what_is_skipped_is_what_would_have_been_refused(parts: list[bytes], data: st.DataObject) -> None:
    """A decoder that says where asking is worth it finds the same, and the same is counted, as when it is asked."""
    packets = [synthetic(layout.name, seed) for seed, layout in enumerate(LAYOUTS)]
    mixed = b"".join(data.draw(st.permutations([*parts, *packets])))
    decoder = Brultech()
    plain = Stream(decoder.decode_packet, decoder.header)
    quickly = Decoders([decoder]).stream()
    sizes = data.draw(st.lists(st.integers(1, 400), min_size=1, max_size=5))
    assert raws(run(plain, pieces_of(mixed, sizes))) == raws(run(quickly, pieces_of(mixed, sizes)))
    assert plain.counts == quickly.counts


def test_counts_are_told_to_people_as_they_say_them() -> None:
    """One thing is told by the name of one."""
    counts = StreamCounts(packets=1, junk=1, damaged=2)
    assert str(counts) == "1 packet, 1 junk byte, 2 damaged packets"
