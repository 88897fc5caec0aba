# SPDX-License-Identifier: GPL-3.0-or-later
"""Framing: every intact packet is found, with its time, whatever is around it and however the bytes are split."""

from collections.abc import Callable
from datetime import datetime
from itertools import accumulate, count
from random import Random

import pytest
from helpers.framed_streams import BY_NAME, CODES, START, brultech, moment, quick, raws, run, synthetic
from helpers.pieces import pieces_of
from hypothesis import given
from hypothesis import strategies as st

from btcore import FORMATS, pack
from btcore.decode.brultech import FOOTER, HEADER, LAYOUTS, Brultech, Layout, encode_frame
from btcore.decode.framing import Stream, StreamCounts

# --- what a line may carry --------------------------------------------------------------------------------------------


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
