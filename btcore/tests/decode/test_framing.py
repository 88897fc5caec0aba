# SPDX-License-Identifier: GPL-3.0-or-later
"""Framing: every intact packet is found, with its time, whatever is around it and however the bytes are split."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, count
from random import Random
from typing import cast

import pytest
from helpers.pieces import pieces_of
from helpers.property_tests import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import FORMATS, Damaged, Incomplete, Packet, pack
from btcore.decode.brultech import FOOTER, HEADER, LAYOUTS, Brultech, FormatName, Layout, encode_frame
from btcore.decode.decoders import Decoders
from btcore.decode.framing import MAX_PACKET, Answer, Decode, Stream, StreamCounts

START = datetime(2026, 6, 21, 6, tzinfo=UTC)
BY_NAME = {layout.name: layout for layout in LAYOUTS}
CODES = bytes(sorted({layout.code for layout in LAYOUTS}))
LONGEST = max(layout.size for layout in LAYOUTS)
quick = settings(max_examples=examples(60), deadline=None)


def brultech(*formats: str) -> Stream:
    """Return a stream of Brultech's meters, restricted to these formats."""
    decoder = Brultech()
    decoder.formats = cast("tuple[FormatName, ...]", formats)
    return Decoders([decoder]).stream()


def moment(seconds: int) -> datetime:
    """Return a time."""
    return START + timedelta(seconds=seconds)


def run(stream: Stream, pieces: Sequence[bytes]) -> list[tuple[Packet, datetime]]:
    """Feed pieces, one a second, and close."""
    found = [each for place, piece in enumerate(pieces) for each in stream.feed(piece, moment(place))]
    return found + stream.close()


def raws(found: list[tuple[Packet, datetime]]) -> list[bytes]:
    """Return the bytes of the packets found."""
    return [packet.raw for packet, _ in found]


# --- what a line may carry --------------------------------------------------------------------------------------------


def synthetic(name: str, seed: int) -> bytes:
    """Make a packet of a meter that measured something."""
    rng = Random(seed)
    layout = BY_NAME[name]
    values = {f"ch{i}_aws": rng.randrange(1 << 40) for i in range(1, layout.channels + 1)}
    return pack(name, "312345", {"volts": 120.9, "secs": rng.randrange(1 << 24), **values})


def hostile(name: str, seed: int) -> bytes:
    """Make a frame whose payload is noise with headers and footers in it."""
    rng = Random(seed)
    layout = BY_NAME[name]
    payload = bytearray(rng.randbytes(layout.size - 6))
    for _ in range(4):
        place = rng.randrange(len(payload) - 20)
        payload[place : place + 3] = rng.choice([HEADER, FOOTER]) + bytes([rng.choice(CODES)])
    return encode_frame(layout, bytes(payload))


def damaged(packet: bytes, seed: int) -> bytes:
    """Damage a packet after its header, or cut it off long before its end."""
    rng = Random(seed)
    if rng.random() < 0.5:
        return packet[: rng.randrange(3, len(packet) - 30)]
    place = rng.randrange(3, len(packet))
    return packet[:place] + bytes([packet[place] ^ rng.randrange(1, 256)]) + packet[place + 1 :]


names = st.sampled_from(sorted(FORMATS))
seeds = st.integers(0, 2**32)
packets = st.builds(synthetic, names, seeds) | st.builds(hostile, names, seeds)
false_headers = st.sampled_from(CODES).map(lambda code: HEADER + bytes([code]))
litter = st.sampled_from([b"\xfe", b"\xff", HEADER, FOOTER, HEADER * 2, b"\xfe\xfe\xff", b"^^^RQSALL\r\n", b"Alive"])
junk = st.binary(max_size=20) | litter | false_headers | st.builds(damaged, packets, seeds)
lines = st.lists(st.tuples(st.lists(junk, max_size=4).map(b"".join), packets), min_size=1, max_size=4)
sizes = st.lists(st.integers(1, 300), min_size=1, max_size=12)


@quick
@given(lines, sizes)
def test_any_split_gives_the_same(line: list[tuple[bytes, bytes]], sizes: list[int]) -> None:
    """However a stream is split, the same packets are found and the same things counted."""
    data = b"".join(between + packet for between, packet in line)
    whole, parts = brultech(), brultech()
    assert raws(run(whole, [data])) == raws(run(parts, pieces_of(data, sizes)))
    assert whole.counts == parts.counts


@quick
@given(lines)
def test_byte_by_byte_gives_the_same(line: list[tuple[bytes, bytes]]) -> None:
    """A stream that trickles in byte by byte has the same packets."""
    data = b"".join(between + packet for between, packet in line)
    assert raws(run(brultech(), [data])) == raws(run(brultech(), pieces_of(data, [1])))


@quick
@given(lines, st.lists(junk, max_size=3).map(b"".join), sizes)
def test_junk_never_eats_a_packet(line: list[tuple[bytes, bytes]], end: bytes, sizes: list[int]) -> None:
    """Every intact packet after any junk is found, and every byte that belongs to none is counted."""
    data = b"".join(between + packet for between, packet in line) + end
    stream = brultech()
    assert [packet for _, packet in line] == raws(run(stream, pieces_of(data, sizes)))
    expected = len(end) + sum(len(between) for between, _ in line)
    assert (len(line), expected) == (stream.counts.packets, stream.counts.junk)


@quick
@given(lines, sizes)
def test_a_packet_has_the_time_of_its_last_byte(line: list[tuple[bytes, bytes]], sizes: list[int]) -> None:
    """A packet's time is that of the piece with its last byte, also when it is found later, behind a damaged one."""
    data = b"".join(between + packet for between, packet in line)
    pieces = pieces_of(data, sizes)
    arrivals = [moment(place) for place, piece in enumerate(pieces) for _ in piece]
    ends = accumulate(len(between) + len(packet) for between, packet in line)
    assert [arrivals[end - 1] for end in ends] == [time for _, time in run(brultech(), pieces)]


@quick
@given(st.lists(st.builds(synthetic, names, seeds), max_size=8))
def test_all_formats_mix_on_one_stream(line: list[bytes]) -> None:
    """Packets of all seven formats in any order are found without a byte of junk, each as what it is."""
    stream = brultech()
    found = run(stream, [b"".join(line)])
    assert line == raws(found)
    assert [raw[2] for raw in line] == [BY_NAME[packet.format.name].code for packet, _ in found]
    assert [len(raw) for raw in line] == [packet.size for packet, _ in found]
    assert (StreamCounts(packets=len(line)), 0) == (stream.counts, stream.bytes_since_packet)


@quick
@given(st.lists(st.tuples(names, seeds), max_size=8), st.sets(names, min_size=1))
def test_only_the_formats_asked_for_are_found(line: list[tuple[str, int]], wanted: set[str]) -> None:
    """A stream that is restricted to some formats passes over the packets of all others."""
    made = [(name, synthetic(name, seed)) for name, seed in line]
    expected = [packet for name, packet in made if name in wanted]
    assert expected == raws(run(brultech(*sorted(wanted)), [b"".join(packet for _, packet in made)]))


# --- the two formats of one code --------------------------------------------------------------------------------------


def net_time_with_net_checksum(seed: int) -> bytes:
    """Make a NET-TIME packet with a good checksum where a NET packet has its own: in the day of the month."""
    values = {"secs": seed, "ch1_aws": seed * 7919}
    clock = datetime(2026, 6, 21, 12)  # noqa: DTZ001 - a meter's clock has no zone
    place = BY_NAME["gem48pbin"].size - 1
    plain = pack("gem48ptbin", "01021234", values, clock=clock)
    spare = (plain[place] - sum(plain[:place])) & 0xFF
    packet = pack("gem48ptbin", "01021234", values, clock=clock, spare=bytes([spare]))
    assert sum(packet[:place]) & 0xFF == packet[place]
    return packet


@given(st.integers(0, 2**24 - 1))
@quick
def test_a_good_checksum_at_the_other_length_is_not_enough(seed: int) -> None:
    """A NET-TIME packet whose checksum happens to be good at the NET length has no footer there, and is NET-TIME."""
    packet = net_time_with_net_checksum(seed)
    stream = brultech()
    found = run(stream, [packet * 2])
    assert ([packet.format.name for packet, _ in found], stream.counts.junk) == (["gem48ptbin"] * 2, 0)


def test_the_two_formats_of_one_code_alternate() -> None:
    """NET and NET-TIME packets of two meters on one stream are told apart."""
    made = [synthetic(name, 5) for name in ("gem48pbin", "gem48ptbin", "gem48ptbin", "gem48pbin", "gem48pbin")]
    assert made == raws(run(brultech(), pieces_of(b"".join(made), [100])))


# --- damage -----------------------------------------------------------------------------------------------------------


def bad_checksum(packet: bytes) -> bytes:
    """Spoil a packet's checksum."""
    return packet[:-1] + bytes([packet[-1] ^ 1])


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "bad checksum": bad_checksum,
    "bad footer": lambda packet: packet[:-3] + b"\0\0" + packet[-1:],
    "cut off": lambda packet: packet[:-10],
    "only a header": lambda packet: packet[:3],
    "a byte lost": lambda packet: packet[:20] + packet[21:],
    "a byte doubled": lambda packet: packet[:20] + packet[19:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_damaged_packet_is_counted_once(layout: Layout, damage: Callable[[bytes], bytes]) -> None:
    """Of three packets, the damaged one in the middle costs only itself, and is counted once."""
    whole, broken = synthetic(layout.name, 1), damage(synthetic(layout.name, 2))
    stream = brultech()
    assert [whole, whole] == raws(run(stream, [whole + broken + whole]))
    assert StreamCounts(2, len(broken), 1) == stream.counts


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_packet_cut_off_by_the_end_is_counted_once(layout: Layout) -> None:
    """A packet that is incomplete when the stream closes is damaged; until then it is waited for."""
    stream = brultech()
    part = synthetic(layout.name, 1)[:-1]
    assert stream.feed(part, START) == []
    assert StreamCounts() == stream.counts
    assert stream.close() == []
    assert StreamCounts(0, len(part), 1) == stream.counts


@pytest.mark.parametrize("rest", [b"\xfe", HEADER])
def test_a_header_alone_at_the_end_is_junk(rest: bytes) -> None:
    """What only begins like a header when the stream closes is junk, and no damaged packet."""
    stream = brultech()
    run(stream, [rest])
    assert StreamCounts(junk=len(rest)) == stream.counts


def test_a_closed_stream_can_begin_anew() -> None:
    """After closing, nothing is left of what came before."""
    stream = brultech()
    packet = synthetic("ecm1240bin", 1)
    run(stream, [packet[:40]])
    assert [packet] == raws(run(stream, [packet]))


# --- bounds -----------------------------------------------------------------------------------------------------------


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


# --- times and counts -------------------------------------------------------------------------------------------------


def test_a_clock_is_asked_once_a_packet() -> None:
    """A recording without times gives each packet the next time of its clock, however it is split."""
    clock = (moment(10 * place) for place in count())
    made = [synthetic("ecm1240bin", seed) for seed in range(3)]
    stream = brultech()
    found = [each for piece in pieces_of(b"junk".join(made), [7]) for each in stream.feed(piece, clock)]
    assert [moment(0), moment(10), moment(20)] == [time for _, time in found]


def test_quiet_bytes_are_those_since_the_last_packet() -> None:
    """How long a stream has brought nothing is told in bytes, those of an incomplete packet included."""
    stream = brultech()
    packet = synthetic("ecm1240bin", 1)
    stream.feed(bytes(100) + packet[:10], START)
    assert stream.bytes_since_packet == 110
    stream.feed(packet[10:] + bytes(5), START)
    assert stream.bytes_since_packet == 5


def test_streams_may_share_their_counts() -> None:
    """Several streams of one source add to the same counts, and nothing else is shared."""
    counts = StreamCounts()
    packet = synthetic("ecm1240bin", 1)
    first, second = (Stream(Brultech().decode_packet, (HEADER,), counts) for _ in range(2))
    first.feed(packet[:30], START)
    assert [packet] == raws(run(second, [packet]))
    assert [packet] == raws(run(first, [packet[30:]]))
    assert StreamCounts(packets=2) == counts


def test_counts_are_told_in_one_line() -> None:
    """Counts read as one line for people."""
    assert str(StreamCounts(8, 13, 1)) == "8 packets, 13 junk bytes, 1 damaged packet"


# --- what hostile bytes cost ------------------------------------------------------------------------------------------


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
