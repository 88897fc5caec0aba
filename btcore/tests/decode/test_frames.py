# SPDX-License-Identifier: GPL-3.0-or-later
"""The shortest way to intact packets: it finds what the decoders find, at the same time, and counts the same."""

from collections.abc import Sequence
from datetime import datetime
from random import Random

from helpers.framed_streams import START, quick, synthetic
from helpers.pieces import pieces_of
from hypothesis import given
from hypothesis import strategies as st

from btcore import FORMATS, Incomplete, Packet
from btcore.decode.arrivals import Arrivals
from btcore.decode.brultech import FOOTER, HEADER, LAYOUTS, Brultech, checksum, encode_frame
from btcore.decode.decoders import Decoders
from btcore.decode.frames import packet_finder
from btcore.decode.framing import Stream
from btcore.records import from_microseconds, to_microseconds

FIRST = to_microseconds(START)

names = st.sampled_from(sorted(FORMATS))
seeds = st.integers(0, 1 << 32)


def noisy(name: str, seed: int) -> bytes:
    """Make a frame whose payload is noise: its numbers are whatever they are."""
    layout = next(one for one in LAYOUTS if one.name == name)
    return encode_frame(layout, Random(seed).randbytes(layout.size - 6))


def changed(packet: bytes, seed: int) -> bytes:
    """Change one byte of a packet, or cut it off."""
    luck = Random(seed)
    at = luck.randrange(len(packet))
    return packet[:at] + (
        b"" if luck.random() < 0.3 else bytes([packet[at] ^ luck.randrange(1, 256)]) + packet[at + 1 :]
    )


packets = st.builds(synthetic, names, seeds) | st.builds(noisy, names, seeds)
others = st.builds(changed, packets, seeds) | st.sampled_from(
    [b"", HEADER, FOOTER, b"\xff\xff", HEADER + b"\x05", b"Alive"]
)
lines = st.lists(packets | others, max_size=8).map(b"".join)
sizes = st.lists(st.integers(1, 900), min_size=1, max_size=8)


def stream_of(*, is_short: bool, formats: Sequence[str] = ()) -> tuple[Stream, list[tuple[bytes, Packet | None]]]:
    """Return a stream, with the shortest way or without it, and the pieces that it will tell of."""
    decoders = Decoders([Brultech()], formats)
    decoders.open()
    stream, pieces = decoders.stream(), list[tuple[bytes, Packet | None]]()
    stream.on_piece = lambda data, packet: pieces.append((data, packet))
    assert stream._find is not None
    if not is_short:
        stream._find = None
    return stream, pieces


def joined(pieces: Sequence[tuple[bytes, Packet | None]]) -> list[tuple[bytes, Packet | None]]:
    """Return the pieces, with what is between two packets as one: how it is cut depends on when it came in."""
    found: list[tuple[bytes, Packet | None]] = []
    for data, packet in pieces:
        if packet is None and found and found[-1][1] is None:
            found[-1] = (found[-1][0] + data, None)
        else:
            found.append((data, packet))
    return found


@quick
@given(lines, sizes, st.sampled_from([(), ("gem48ptbin",), ("ecm1240bin", "gem48pbin")]))
def test_the_short_way_finds_what_the_decoders_find(data: bytes, sizes: list[int], formats: Sequence[str]) -> None:
    """Whatever comes in, in whatever pieces: the same packets at the same times, the same counts, pieces and rest."""
    (short, some), (long, same) = (stream_of(is_short=one, formats=formats) for one in (True, False))
    for number, piece in enumerate(pieces_of(data, sizes)):
        assert short.feed(piece, from_microseconds(FIRST + number)) == long.feed(
            piece, from_microseconds(FIRST + number)
        )
        assert (short.rest, short.is_waiting, short.counts) == (long.rest, long.is_waiting, long.counts)
        assert (short.bytes_since_packet, short.unwanted) == (long.bytes_since_packet, long.unwanted)
    assert short.close() == long.close()
    assert joined(some) == joined(same)


@quick
@given(lines)
def test_it_finds_only_what_decode_packet_finds_at_the_same_byte(data: bytes) -> None:
    """Each packet is the one that the decoder finds there, with the same serial number and the same numbers."""
    decode, at = Brultech().decode_packet, 0
    for packet in packet_finder(FORMATS)(data, 0)[0]:
        found = decode(memoryview(data)[at:])
        assert found == packet
        assert packet.numbers == packet.format.checked(packet.format.unpack(packet.raw))
        at += packet.size


@quick
@given(st.lists(packets, min_size=1, max_size=5))
def test_intact_packets_are_all_found_by_it(line: list[bytes]) -> None:
    """Packets that follow each other need no decoder to be asked; only those of the formats that are wanted."""
    find = packet_finder(FORMATS)
    found, _ = find(b"".join(line), 0)
    assert [one.raw for one in found] == line[: len(found)]
    # by chance, noise may have the footer and the checksum of a shorter format
    assert len(found) == len(line) or any(one[2] == line[len(found)][2] for one in line)
    assert packet_finder(())(b"".join(line), 0) == ([], 0)


@quick
@given(lines)
def test_it_waits_for_as_many_bytes_as_the_decoder_does(data: bytes) -> None:
    """Where a packet is not complete, the decoder says so, and names the same size; elsewhere the decoder is asked."""
    found, size = packet_finder(FORMATS)(data, 0)
    rest = memoryview(data)[sum(packet.size for packet in found) :]
    answer = Brultech().decode_packet(rest)
    assert (answer == Incomplete(size)) if size else not rest or not isinstance(answer, Incomplete)


@quick
@given(st.binary(max_size=2000))
def test_the_checksum_is_the_sum_of_the_bytes(data: bytes) -> None:
    """However many bytes there are, and however high they are."""
    assert checksum(data) == sum(data) & 0xFF
    high = b"\xff" * len(data)
    assert checksum(high) == sum(high) & 0xFF


@quick
@given(names, seeds)
def test_numbers_of_our_own_formats_need_no_check(name: str, seed: int) -> None:
    """Whatever the bytes are, there is a number for each label, and each is one that the check lets pass."""
    form, raw = FORMATS[name], noisy(name, seed)
    found = form.numbers(raw)
    assert form.is_certain
    assert found == form.checked(found)
    for channel in form.channels:
        counters = [channel.absolute] if channel.polarized is None else [channel.absolute, channel.polarized]
        assert all(type(found[form.index[label]]) is int for label in counters)


@quick
@given(names, seeds, st.booleans())
def test_counters_are_five_bytes_low_byte_first(name: str, seed: int, is_young: bool) -> None:
    """The counters of each format are the plain integers of its bytes, also where none has come to its fifth byte."""
    form, raw = FORMATS[name], noisy(name, seed)
    layout = next(one for one in LAYOUTS if one.name == name)
    if is_young:
        fifths = range(9, 5 + 5 * layout.counters, 5)
        raw = bytes(0 if at in fifths else byte for at, byte in enumerate(raw))
    plain = [int.from_bytes(raw[at : at + 5], "little") for at in range(5, 5 + 5 * layout.counters, 5)]
    first = form.index["ch1_aws"]
    assert list(form.numbers(raw)[first : first + layout.counters]) == plain


@quick
@given(st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=6), min_size=1, max_size=5), st.data())
def test_a_packet_has_the_time_of_its_last_byte(groups: list[list[int]], data: st.DataObject) -> None:
    """In whatever groups pieces are added, each byte has the time of its own piece."""
    arrivals, times = Arrivals(), list[datetime]()
    for sizes in groups:
        moments = [from_microseconds(FIRST + len(times) + 1000 * at) for at, _ in enumerate(sizes)]
        arrivals.add(sum(sizes), sizes, moments)
        times += [moment for size, moment in zip(sizes, moments, strict=True) for _ in range(size)]
    assert arrivals.end == len(times)
    ends = sorted(data.draw(st.lists(st.integers(1, len(times)), max_size=6)))
    assert list(map(arrivals.time_at, ends)) == [times[end - 1] for end in ends]
