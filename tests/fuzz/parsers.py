# SPDX-License-Identifier: GPL-3.0-or-later
"""What is fuzzed: the parsers of what comes from outside, each with what must hold whatever bytes it is given.

Nothing may be raised, no buffer may grow without bound, and no intact packet behind the bytes may be lost. How the
bytes are made is in `run.py`.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from helpers.gem_texts import ascii_wh, cosm, http_get, on_a_stream

from btcore import Packet, pack
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.decode.framing import MAX_PACKET
from btmon_ascii.decoder import CANDIDATES, Ascii
from btmon_http.packets import has_token, packet_of
from btmon_http.requests import MAX_BODY, MAX_HEAD, Request, RequestReader

NOW = datetime(2026, 7, 1, tzinfo=UTC)
ASCII = Ascii()
DECODERS = Decoders([Brultech(), ASCII])
BINARY = pack("ecm1240bin", "355555", {"volts": 120.1, "secs": 77, "ch1_aws": 5})
LAST = b"\xfe\r\n" + ascii_wh(serial="01000099") + BINARY
SEEDS = [*on_a_stream().values(), cosm(), BINARY, b"GET /?" + http_get() + b" HTTP/1.1\r\nContent-Length: 0\r\n\r\n"]


def pieces(data: bytes) -> Iterator[bytes]:
    """Split bytes at sizes that their first byte says."""
    size = 1 + (data[0] if data else 0)
    for at in range(1, len(data), size):
        yield data[at : at + size]


def decode_text(data: bytes) -> None:
    """Have bytes decoded wherever a text may begin; what is kept of a packet makes that packet again."""
    for found in CANDIDATES.finditer(data):
        answer = ASCII.decode_packet(memoryview(data)[found.start() :])
        if isinstance(answer, Packet):
            answer.format.numbers(answer.raw)
            again = ASCII.decode_packet(memoryview(answer.raw))
            assert isinstance(again, Packet), answer
            assert (again.raw, again.serial, again.format) == (answer.raw, answer.serial, answer.format)


def find_in_stream(data: bytes) -> None:
    """Have bytes come in on a stream, and behind them two packets: those are found."""
    stream = DECODERS.stream()
    found = []
    for piece in (*pieces(data), LAST):
        found += stream.feed(piece, NOW)
        assert len(stream._rest) <= MAX_PACKET + len(piece)
    found += stream.close()
    assert [packet.serial for packet, _ in found[-2:]] == ["01000099", "355555"]


def read_requests(data: bytes) -> None:
    """Have bytes come in on a connection for requests."""
    reader = RequestReader()
    for piece in pieces(data):
        for found in reader.feed(piece):
            if isinstance(found, Request):
                has_token(found, "token")
                packet_of(found)
        assert len(reader._buffer) <= MAX_HEAD + MAX_BODY


TARGETS: dict[str, Callable[[bytes], None]] = {
    "texts": decode_text,
    "stream": find_in_stream,
    "requests": read_requests,
}


def seeded(data: bytes) -> bytes:
    """Put bytes into a packet of a meter, at the place that the first two bytes say; or take them as they are."""
    if len(data) < 3:
        return data
    choice, at, *_ = data
    if choice >= 2 * len(SEEDS):
        return data[1:]
    seed = SEEDS[choice // 2]
    cut = at * len(seed) // 255
    return seed[:cut] + data[2:] + (seed[cut:] if choice % 2 else b"")
