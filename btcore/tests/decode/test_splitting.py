# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream's packets, and the bytes between them."""

import logging
import re

from helpers.golden_streams import golden_stream, recorded_packets
from helpers.packets import DECODERS, packet
from helpers.pieces import pieces_of
from hypothesis import given
from hypothesis import strategies as st

from btcore import Context, Damaged, Format, Packet, hookimpl
from btcore.decode.decoders import Decoders
from btcore.decode.splitting import PacketSplitter
from btcore.records import Piece

JUNK = st.lists(st.one_of(st.just(packet(secs=7)), st.binary(max_size=40), st.sampled_from([b"$", b"\xfe\xff\x01"])))


def split(data: bytes, sizes: list[int]) -> list[Piece]:
    """Split a stream that comes in pieces of these sizes."""
    splitter = PacketSplitter(DECODERS.stream())
    found = [piece for part in pieces_of(data, sizes) for piece in splitter.feed(part)]
    return [*found, *splitter.close()]


@given(JUNK, st.lists(st.integers(1, 90), min_size=1))
def test_nothing_is_lost_or_added(parts: list[bytes], sizes: list[int]) -> None:
    """However a stream is cut, its pieces joined are the stream, and its packets are the same."""
    data = b"".join(parts)
    found, whole = split(data, sizes), split(data, [len(data) or 1])
    assert b"".join(piece.data for piece in found) == data
    assert [piece for piece in found if piece.packet] == [piece for piece in whole if piece.packet]


def test_packets_and_what_is_between_them() -> None:
    """Each packet is a piece with what the decoder found; an answer between two is one without."""
    first, second = packet(secs=1), packet(secs=2)
    pieces = split(first + b"ON\r\n" + second, [1000])
    assert [piece.data for piece in pieces] == [first, b"ON\r\n", second]
    assert [piece.packet.serial if piece.packet else None for piece in pieces] == ["312345", None, "312345"]


def test_the_beginning_of_a_packet_is_held() -> None:
    """It is no piece before the rest of it is there, or the stream has ended."""
    splitter = PacketSplitter(DECODERS.stream())
    assert [piece.data for piece in splitter.feed(b"$" + packet()[:20])] == [b"$"]
    assert splitter.held == packet()[:20]
    assert b"".join(piece.data for piece in splitter.close()) == packet()[:20]
    assert (splitter.held, splitter.close()) == (b"", [])


def test_a_telnet_port() -> None:
    """Packets in which every FF comes twice are pieces as the meter sent them."""
    packets = recorded_packets("ecm1240bin_steady")
    doubled = b"".join(packets).replace(b"\xff", b"\xff\xff")
    assert [piece.data for piece in split(doubled, [100_000]) if piece.packet] == packets


def test_a_recorded_stream() -> None:
    """All packets of a recording are found, and all else is between them."""
    data, _ = golden_stream("gem48ptbin_two_devices")
    found = split(data, [100])
    assert [piece.data for piece in found if piece.packet] == recorded_packets("gem48ptbin_two_devices")
    assert b"".join(piece.data for piece in found) == data


def test_without_decoders() -> None:
    """The context of a plugin's own tests has a splitter that finds no packet."""
    splitter = Context(name="source.a", log=logging.getLogger("a")).splitter()
    assert ([piece.packet for piece in splitter.feed(packet())], [*splitter.close()], splitter.held) == (
        [None],
        [],
        b"",
    )


KEYED = Format("keyed", ("secs",), (), unpack=lambda raw: (int(raw[3:]),))
"""Of packets as `K:a77`: `a` is a key, which is not kept."""


class Keyed:
    """The decoder of these packets."""

    headers = (b"K:",)

    @hookimpl
    def decode_packet(self, buffer: memoryview) -> Packet | Damaged:
        """Look for a packet."""
        found = re.match(rb"K:([\w-])(\d\d)", buffer)
        return Packet(found.end(), KEYED, "1", b"K:-" + found[2]) if found else Damaged("no packet")


def test_a_packet_is_passed_on_as_it_came() -> None:
    """Also what is not kept of it, such as a key in a text."""
    splitter = PacketSplitter(Decoders([Keyed()]).stream())
    pieces = [*splitter.feed(b"$K:a77\r\n"), *splitter.close()]
    assert [piece.data for piece in pieces] == [b"$", b"K:a77", b"\r\n"]
    assert [piece.packet.raw if piece.packet else None for piece in pieces] == [None, b"K:-77", None]
