# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings of a network: what a connection carried comes out once, in order, at its time, however it was recorded."""

import gzip
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random

import pytest
from helpers.pcap_files import (
    ACK,
    COMPUTER_ADDRESS,
    FIN,
    LINKS,
    METER_ADDRESS,
    RST,
    SYN,
    ethernet,
    ipv4,
    pcap,
    pcapng,
    pcapng_block,
    segments,
    tcp,
)
from helpers.property_tests import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import CaptureError, Chunk, pack, read_capture
from btcore.capture.pcap import MAX_FRAME, Frame
from btcore.capture.tcp_streams import MAX_FLOWS, MAX_WAITING, MAX_WAITING_SEGMENTS, TcpStreams

START = 1_700_000_000.25
GEM = pack("gem48pbin", "01000777", {"secs": 5})
DATA = GEM * 3
quick = settings(max_examples=examples(100), deadline=None)


def read(path: Path) -> tuple[list[Chunk], list[str]]:
    """Read a capture: its chunks, and what was said about damage."""
    damaged: list[CaptureError] = []
    return list(read_capture(path, damaged=damaged.append)), [str(error).partition(": ")[2] for error in damaged]


def joined(chunks: Sequence[Chunk]) -> bytes:
    """Return all bytes."""
    return b"".join(chunk.data for chunk in chunks)


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[[bytes], tuple[list[Chunk], list[str]]]:
    """Return a function that writes a file and reads it."""

    def write(content: bytes) -> tuple[list[Chunk], list[str]]:
        path = tmp_path / "trace"
        path.write_bytes(content)
        return read(path)

    return write


Recorded = Callable[[bytes], tuple[list[Chunk], list[str]]]


def timed(frames: Sequence[bytes]) -> Iterator[tuple[float, bytes]]:
    """Give each frame its time, ten seconds apart."""
    return zip(count(START, 10), frames)


def carried(segments: Sequence[bytes]) -> bytes:
    """Return what came out of segments in this order, of all streams."""
    frames = [Frame(None, 1, ethernet(ipv4(one)), 0) for one in segments]
    return b"".join(piece.data for piece in TcpStreams().payloads(frames))


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("link", "wrap"), LINKS.values(), ids=LINKS)
@pytest.mark.parametrize("make", [pcap, pcapng])
def test_every_kind_of_link(recorded: Recorded, make, link: int, wrap: Callable[[bytes], bytes]) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - either
    """What TCP carried comes out of every kind of link, in both kinds of files, each piece at its time."""
    chunks, damage = recorded(make(timed([wrap(one) for one in segments(DATA, [512, 107])]), link))
    assert (joined(chunks), damage) == (DATA, [])
    assert [chunk.time for chunk in chunks[:2]] == [datetime.fromtimestamp(START + at, UTC) for at in (0, 10)]
    assert [chunk.end for chunk in chunks] == [False] * 6 + [True]


FILES = {
    "classic, big end first": lambda frames: pcap(frames, order=">"),
    "classic, nanoseconds": lambda frames: pcap(frames, nanoseconds=True),
    "classic, nanoseconds, big end first": lambda frames: pcap(frames, nanoseconds=True, order=">"),
    "pcapng, big end first": lambda frames: pcapng(frames, order=">"),
    "pcapng, nanoseconds": lambda frames: pcapng(frames, resolution=9),
    "pcapng, powers of two": lambda frames: pcapng(frames, resolution=0x80 | 20),
}


@pytest.mark.parametrize("make", FILES.values(), ids=FILES)
def test_every_kind_of_file(recorded: Recorded, make: Callable[[Iterator[tuple[float, bytes]]], bytes]) -> None:
    """Either order of bytes and every unit of time is read."""
    chunks, damage = recorded(make(timed([ethernet(ipv4(one)) for one in segments(DATA, [700])])))
    assert (joined(chunks), damage) == (DATA, [])
    assert chunks[1].time == datetime.fromtimestamp(START + 10, UTC)


def test_packets_without_a_time_have_those_of_a_clock(recorded: Recorded) -> None:
    """A simple packet of pcapng tells no time: its stream takes its times from the clock of plain bytes."""
    frame = ethernet(ipv4(tcp(1, GEM)))
    simple = pcapng_block(3, len(frame).to_bytes(4, "little") + frame)
    chunks, damage = recorded(pcapng([]) + simple)
    assert (joined(chunks), chunks[0].time, chunks[0].clock is not None, damage) == (GEM, None, True, [])


def test_several_sections(recorded: Recorded) -> None:
    """Files that were joined, of either order of bytes, are read to the end."""
    frames = [ethernet(ipv4(one)) for one in segments(DATA, [619])]
    parts = [pcapng(timed(frames[:1])), pcapng(timed(frames[1:2]), order=">"), pcapng(timed(frames[2:]))]
    assert joined(recorded(b"".join(parts))[0]) == DATA


@quick
@given(st.sampled_from([pcap, pcapng]), st.randoms(), st.integers(0, 8))
def test_a_damaged_file_is_no_failure(tmp_path_factory: pytest.TempPathFactory, make, rng: Random, flips: int) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - either
    """Whatever is changed in a file or cut off, reading it ends, and does not fail."""
    data = bytearray(make(timed([ethernet(ipv4(one)) for one in segments(DATA, [512, 107])])))
    for _ in range(flips):
        data[rng.randrange(4, len(data))] = rng.randrange(256)
    path = tmp_path_factory.getbasetemp() / "trace"
    path.write_bytes(data[: rng.randrange(4, len(data))])
    read(path)


BROKEN = {
    "cut off": (lambda data: data[:-5], "it ends in the middle of a packet"),
    "cut off in a head": (lambda data: data + b"\1\2", "it ends in the middle of a packet"),
    "a huge packet": (
        lambda data: data + bytes(8) + b"\xff" * 8,
        "it has a packet of 4294967295 bytes, which is not possible",
    ),
}


@pytest.mark.parametrize(("damage", "expected"), BROKEN.values(), ids=BROKEN)
def test_the_end_of_what_can_be_read_is_told(
    recorded: Recorded, damage: Callable[[bytes], bytes], expected: str
) -> None:
    """What is before the damage comes out, and why there is no more is told in one line."""
    frames = [ethernet(ipv4(one)) for one in [*segments(DATA, [619]), tcp(1, b"")]]
    chunks, said = recorded(damage(pcap(timed(frames))))
    assert joined(chunks) == DATA
    assert [text[: len(expected)] for text in said] == [expected]


def test_damaged_blocks_are_told(recorded: Recorded) -> None:
    """A block that cannot be ends the reading of a pcapng file, and is told."""
    good = pcapng(timed([ethernet(ipv4(tcp(1, GEM)))]))
    for bad in (
        pcapng_block(6, bytes(8)),
        pcapng_block(6, b"\x09" + bytes(30)),
        b"\6\0\0\0\7\0\0\0",
        b"\x0a\x0d\x0d\x0a" + bytes(8),
    ):
        chunks, said = recorded(good + bad)
        assert (joined(chunks), len(said)) == (GEM, 1)
        assert "damaged from here on" in said[0]


def test_a_frame_is_bounded(recorded: Recorded) -> None:
    """A record that claims to be longer than any is not read."""
    assert recorded(pcap([(1.0, bytes(MAX_FRAME + 1))], cut=1 << 30))[0] == []


def test_a_compressed_recording_is_not_taken_for_one(recorded: Recorded) -> None:
    """A compressed file is not unpacked: it comes out as it is."""
    packed = gzip.compress(pcap([]))
    assert joined(recorded(packed)[0]) == packed


# --- connections ------------------------------------------------------------------------------------------------------


@quick
@given(
    st.lists(st.integers(1, 700), min_size=1, max_size=8),
    st.integers(0, 2**32 - 1),
    st.randoms(),
    st.booleans(),
)
def test_what_is_sent_twice_or_in_another_order_comes_out_once(
    sizes: list[int], start: int, rng: Random, opened: bool
) -> None:
    """However a stream is cut, reordered and sent again in other pieces, it comes out once and in order."""
    sent = segments(DATA, sizes, start)
    shuffled = sent[:1] + sorted(sent[1:], key=lambda _: rng.random() if len(sent) < MAX_WAITING_SEGMENTS else 0)
    for _ in range(3):
        again = segments(DATA, [rng.randrange(1, 900)], start)
        shuffled.insert(rng.randrange(1, len(shuffled) + 1), rng.choice(again))
    assert carried(([tcp(start - 1, b"", SYN)] if opened else []) + shuffled) == DATA


def test_both_directions_and_many_connections_are_streams_of_their_own(recorded: Recorded) -> None:
    """Each direction of each connection is a stream, named by its two ends, and ends with it."""
    frames = []
    for port in (40_000, 40_001):
        frames += [ethernet(ipv4(tcp(0, b"", SYN, (port, 8083))))]
        frames += [ethernet(ipv4(tcp(1, GEM[:300], ports=(port, 8083))))]
    frames += [ethernet(ipv4(tcp(500, b"^^^APISPK", ports=(8083, 40_000)), COMPUTER_ADDRESS, METER_ADDRESS))]
    for port in (40_000, 40_001):
        frames += [ethernet(ipv4(tcp(301, GEM[300:], ACK | FIN, (port, 8083))))]
    chunks, _ = recorded(pcap(timed(frames)))
    streams = {chunk.stream: joined([one for one in chunks if one.stream == chunk.stream]) for chunk in chunks}
    assert streams == {
        f"{METER_ADDRESS}:40000>{COMPUTER_ADDRESS}:8083#1": GEM,
        f"{METER_ADDRESS}:40001>{COMPUTER_ADDRESS}:8083#2": GEM,
        f"{COMPUTER_ADDRESS}:8083>{METER_ADDRESS}:40000#3": b"^^^APISPK",
    }
    assert [chunk.stream[-2:] for chunk in chunks if chunk.end] == ["#1", "#2", "#3"]


def test_the_same_ports_again_are_another_connection() -> None:
    """A second connection of the same two ports, opened or just far off, does not wait for the first."""
    assert carried([tcp(0, b"", SYN), tcp(1, b"ab"), tcp(90, b"", SYN), tcp(91, b"cd")]) == b"abcd"
    assert carried([tcp(1, b"ab"), tcp(3 << 30, b"cd")]) == b"abcd"
    assert carried([tcp(1, b"ab", FIN), tcp(1, b"ab"), tcp(3, b"", RST), tcp(9, b"cd")]) == b"abcd"


def test_what_keeps_a_connection_alive_is_nothing() -> None:
    """A probe, which repeats the byte before, a second opening and a second end add nothing."""
    sent = [tcp(0, b"", SYN), tcp(0, b"", SYN), tcp(1, b"ab"), tcp(2, b"b"), tcp(2, b""), tcp(3, b"c", FIN)]
    assert carried([*sent, tcp(3, b"c", FIN), tcp(4, b"", FIN)]) == b"abc"


@pytest.mark.parametrize("end", [b"", RST])
def test_a_gap_costs_what_is_missing(recorded: Recorded, end: bytes | int) -> None:
    """A segment that was not recorded costs its bytes; what comes after it comes out, and it is told."""
    sent = [tcp(1, b"ab"), tcp(9, b"ef"), tcp(11, b"gh"), *([tcp(13, b"", RST)] if end else [])]
    chunks, said = recorded(pcap(timed([ethernet(ipv4(one)) for one in sent])))
    assert (joined(chunks), said) == (b"abefgh", ["6 bytes of TCP missing between others"])


def test_what_waits_for_a_segment_is_bounded() -> None:
    """Behind a gap, no more waits than a bound, in bytes and in segments, and nothing of it is lost."""
    pieces = [bytes(1000)] * (2 * MAX_WAITING // 1000)
    streams = TcpStreams()
    frames = [Frame(None, 1, ethernet(ipv4(tcp(10 + 1000 * at, one))), 0) for at, one in enumerate(pieces)]
    frames.insert(0, Frame(None, 1, ethernet(ipv4(tcp(1, b"a"))), 0))
    assert sum(len(piece.data) for piece in streams.payloads(frames)) == 1 + 1000 * len(pieces)
    assert (
        carried([tcp(0, b"a"), *(tcp(9 + 2 * at, b"x") for at in range(3 * MAX_WAITING_SEGMENTS))])
        == b"a" + b"x" * 3 * MAX_WAITING_SEGMENTS
    )


def test_connections_are_bounded() -> None:
    """Of more connections than can be followed, the one silent for longest is at its end."""
    streams = TcpStreams()
    frames = [
        Frame(None, 1, ethernet(ipv4(tcp(1, b"ab", ports=(at % 60_000, at // 60_000)))), 0)
        for at in range(MAX_FLOWS + 50)
    ]
    pieces = list(streams.payloads(frames))
    assert sum(piece.end for piece in pieces) == MAX_FLOWS + 50
    assert len(streams._flows) <= MAX_FLOWS


def test_what_is_not_tcp_is_passed_over_and_what_cannot_be_read_is_told(recorded: Recorded) -> None:
    """UDP and ARP are nothing; fragments, packets cut short, and links that are not known are told once each."""
    udp, arp = ethernet(ipv4(bytes(20), protocol=17)), ethernet(bytes(28), 0x0806)
    fragments = [ethernet(ipv4(tcp(1, GEM), fragment=0x2000)), ethernet(ipv4(b"rest", fragment=9))]
    chunks, said = recorded(pcap(timed([udp, arp, *fragments, b"\1\2"])))
    assert chunks == []
    assert said == ["2 packets skipped: fragments of IP", "1 packet too short to be read"]
    chunks, said = recorded(pcap(timed([b"usb", b"usb"]), link=220))
    assert said == ["2 packets of a link of type 220, which is not known"]


def test_a_recording_that_was_cut_is_told(recorded: Recorded) -> None:
    """Where only the beginning of each packet was recorded, it is told with what to do."""
    chunks, said = recorded(pcap(timed([ethernet(ipv4(one)) for one in segments(DATA, [619])]), cut=200))
    assert 0 < len(joined(chunks)) < len(DATA)
    assert "bytes not recorded (tcpdump -s 0 records all)" in said[0]
