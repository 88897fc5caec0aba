# SPDX-License-Identifier: GPL-3.0-or-later
"""Obfuscation: other serial numbers, and nothing else is another."""

import itertools
import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from btcore import FORMATS, Chunk, Packet, pack
from btcore.capture.obfuscation import Obfuscation, frames
from btcore.decode.brultech import Brultech, checksum

DECODER = Brultech()
NAMES = sorted(FORMATS)

packets = st.builds(
    lambda name, unit, number, secs, energy: pack(
        name,
        f"{unit % 256:03d}{number:05d}" if FORMATS[name].family == "gem" else f"{unit}{number:05d}",
        {"secs": secs, "ch1_aws": energy, "ch2_pws": energy // 3, "volts": 120.3},
    ),
    st.sampled_from(NAMES),
    st.integers(0, 255),
    st.integers(1, 65_535),
    st.integers(0, 2**24 - 1),
    st.integers(0, 2**40 - 1),
)
texts = st.sampled_from([b"", b"$", b"Alive\r\n", b"junk\xfe", b"\xfe\xff\x05", b"n=01000777&m=4&wh_1=1\r\n"])
streams = st.lists(st.one_of(packets, texts), max_size=6).map(b"".join)


def cut(data: bytes, at: Sequence[int], stream: str) -> list[Chunk]:
    """Cut bytes into chunks."""
    ends = sorted({min(one, len(data)) for one in at} | {0, len(data)})
    return [Chunk(data[begin:end], stream) for begin, end in itertools.pairwise(ends)]


captures = st.tuples(streams, streams, st.lists(st.integers(0, 3000), max_size=5)).map(
    lambda one: [*cut(one[0], one[2], "a"), *cut(one[1], one[2], "b")]
)


def joined(chunks: Sequence[Chunk], stream: str) -> bytes:
    """Return the bytes of a stream."""
    return b"".join(chunk.data for chunk in chunks if chunk.stream == stream)


def decoded(data: bytes) -> list[Packet]:
    """Return the packets in some bytes."""
    found, at = [], 0
    while at < len(data):
        answer = DECODER.decode_packet(memoryview(data)[at:])
        if isinstance(answer, Packet):
            found.append(answer)
        at += answer.size if isinstance(answer, Packet) else 1
    return found


@given(captures)
def test_all_but_the_serial_numbers_stays(chunks: list[Chunk]) -> None:
    """Chunks keep their sizes, streams and times, packets their format and all of their numbers."""
    after = Obfuscation().of(chunks)
    assert [(len(one.data), one.stream, one.time) for one in after] == [
        (len(one.data), one.stream, one.time) for one in chunks
    ]
    for stream in ("a", "b"):
        old, new = decoded(joined(chunks, stream)), decoded(joined(after, stream))
        assert [(one.format.name, one.format.unpack(one.raw)) for one in new] == [
            (one.format.name, one.format.unpack(one.raw)) for one in old
        ]


@given(captures)
def test_two_packets_are_of_one_meter_after_it_where_they_were_before(chunks: list[Chunk]) -> None:
    """Serial numbers are replaced consistently, over all streams; unit ids stay, and no number is another's."""
    after = Obfuscation().of(chunks)
    old = [one.serial for stream in "ab" for one in decoded(joined(chunks, stream))]
    new = [one.serial for stream in "ab" for one in decoded(joined(after, stream))]
    pairs = set(zip(old, new, strict=True))
    assert len({before for before, _ in pairs}) == len({later for _, later in pairs}) == len(pairs)
    assert all(before[:-5] == later[:-5] for before, later in pairs)


@given(captures)
def test_twice_is_the_same(chunks: list[Chunk]) -> None:
    """The same capture always gives the same; one that was obfuscated stays as it is."""
    once = Obfuscation().of(chunks)
    assert Obfuscation().of(chunks) == once
    assert Obfuscation().of(once) == once


@given(packets, st.integers(3, 60), st.integers(1, 255))
def test_a_damaged_packet_is_as_damaged_as_before(packet: bytes, at: int, change: int) -> None:
    """A checksum is wrong by as much as it was, and the serial number is gone all the same."""
    at = min(at, 28)
    damaged = packet[:at] + bytes([(packet[at] + change) % 256]) + packet[at + 1 :]
    (after,) = Obfuscation().of([Chunk(damaged)])
    before_error, after_error = (one[-1] - checksum(one[:-1]) for one in (damaged, after.data))
    assert (after_error - before_error) % 256 == 0
    assert len(list(frames(damaged))) == 1


def test_no_serial_number_is_left() -> None:
    """Of packets, of text formats and of commands nothing tells the meter, nor the account."""
    gem = pack("gem48ptbin", "01021234", {"secs": 9})
    given_ = [
        Chunk(gem, "a"),
        Chunk(b"n=01021234&m=4&wh_1=2\r\n", "b"),
        Chunk(b"GET /?SN=01021234&SC=5&V=1149 HTTP/1.1\r\n", "c"),
        Chunk(b"GET sites//?apikey=SECRETKEY1&json={SN:01021234,SC:5} HTTP/1.1\r\n", "d"),
        Chunk(b"PUT /sites/TOKEN99 HTTP/1.1\r\n(site TOKEN99 (node A ? (e_1 2.0)))", "e"),
        Chunk(b"^^^NMB21234APISPK", "f"),
    ]
    obfuscation = Obfuscation()
    texts_after = [one.data for one in obfuscation.of(given_)]
    assert [one for one in texts_after if b"21234" in one or b"SECRETKEY1" in one or b"TOKEN99" in one] == []
    assert [packet.serial for packet in decoded(texts_after[0])] == ["01000001"]
    assert b"n=01000001&" in texts_after[1]
    assert obfuscation.numbers == {21234: 1}
    assert obfuscation.outside == sum(len(one.data) for one in given_[1:])


def test_what_is_outside_of_packets_is_counted() -> None:
    """Whoever passes a capture on is told how much of it nobody looked at."""
    obfuscation = Obfuscation()
    obfuscation.of([Chunk(b"junk" + pack("ecm1240bin", "312345", {}) + b"more")])
    assert obfuscation.outside == 8


def test_chunks_may_be_anything() -> None:
    """Nothing, and a header without a rest, are no trouble."""
    chunks = [Chunk(b""), Chunk(b"\xfe\xff"), Chunk(b"\xfe"), Chunk(b"\xff\x05")]
    assert Obfuscation().of(chunks) == chunks
    assert json.dumps([one.data.hex() for one in Obfuscation().of(chunks)])
