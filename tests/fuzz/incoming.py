# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes in on lines and connections: packets, texts, requests, answers to commands.

Nothing may be raised, no buffer may grow without bound, and no intact packet behind the bytes may be lost.
"""

from contextlib import suppress
from datetime import UTC, datetime

from fuzz.parser import Parser, pieces
from helpers.gem_texts import ascii_wh, cosm, http_get, on_a_stream

from btcore import Packet, pack
from btcore.decode.brultech import FORMATS, Brultech
from btcore.decode.decoders import Decoders
from btcore.decode.framing import MAX_PACKET
from btcore.decode.recognition import recognize
from btcore.decode.splitting import PacketSplitter
from btcore.device import ecm, gem
from btcore.device.answers import MAX_OUTSIDE, AnswerBytes
from btmon_ascii.decoder import CANDIDATES, Ascii
from btmon_http.packets import has_token, packet_of
from btmon_http.requests import MAX_BODY, MAX_HEAD, Request, RequestReader

NOW = datetime(2026, 7, 1, tzinfo=UTC)
ASCII = Ascii()
BRULTECH = Brultech()
DECODERS = Decoders([BRULTECH, ASCII])

NUMBERS = {"volts": 120.1, "secs": 77, "ch1_aws": 0x0D_00_FF_FE, "ch1_pws": 5}
PACKETS = [pack(name, "01000010" if name.startswith("gem") else "355555", NUMBERS) for name in FORMATS]
LAST = b"\xfe\r\n" + ascii_wh(serial="01000099") + pack("ecm1240bin", "355550", NUMBERS)
TEXTS = [*on_a_stream().values(), cosm()]
TELNET = [b"\xff\xfb\x01" + one.replace(b"\xff", b"\xff\xff").replace(b"\r", b"\r\0") for one in PACKETS]
ON_A_LINE = [*PACKETS, *TEXTS, *TELNET, b"$", b"Alive_ON\r\n", b"\xfc\xfc"]
REQUESTS = [
    *TEXTS,
    b"GET /?" + http_get() + b" HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    b"PUT /sites/T HTTP/1.1\r\nContent-Length: 5\r\nConnection: close\r\n\r\n(site",
    b"GET ?%7B%22SN%22%3A1%7D\r\n",
]
ANSWERS = [
    *(b"SRN01000010\r\n", b"VR1COM 2.03\r\n", b"ON\r\n", b"RTF04\r\n", b"010\r\n", b"26,07,01,10,20,30"),
    b",".join(b"%02X" % (n & 0xFF) for n in range(512)),
    ecm.encode_settings(ecm.EcmSettings((), 187, 3, 10, 1024, 3, 55555)),
]


def decode_binary(data: bytes) -> None:
    """Look for a binary packet at the start of bytes: what is one has numbers, and is that packet again by itself."""
    answer = BRULTECH.decode_packet(memoryview(data))
    if isinstance(answer, Packet):
        assert 0 < answer.size <= len(data)
        answer.format.numbers(answer.raw)
        again = BRULTECH.decode_packet(memoryview(data[: answer.size]))
        assert isinstance(again, Packet), answer
        assert (again.raw, again.serial) == (answer.raw, answer.serial)


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
        assert len(stream.rest) <= MAX_PACKET + len(piece)
    found += stream.close()
    assert [packet.serial for packet, _ in found[-2:]] == ["01000099", "355550"]


def split_stream(data: bytes) -> None:
    """Have bytes split for readers: each byte is in one piece, in its order, where none was sent twice by telnet."""
    stream = DECODERS.stream()
    splitter = PacketSplitter(stream)
    passed_on, given = b"", b""
    for piece in pieces(data):
        given += piece
        passed_on += b"".join(one.data for one in splitter.feed(piece))
        assert stream.undone or given == passed_on + splitter.held
    passed_on += b"".join(one.data for one in splitter.close())
    assert stream.undone or given == passed_on


def read_requests(data: bytes) -> None:
    """Have bytes come in on a connection for requests."""
    reader = RequestReader()
    for piece in pieces(data):
        for found in reader.feed(piece):
            if isinstance(found, Request):
                has_token(found, "token")
                packet_of(found)
        assert len(reader._buffer) <= MAX_HEAD + MAX_BODY


def read_answers(data: bytes) -> None:
    """Have bytes come in where a meter should answer a command: what is no answer is refused with a ValueError."""
    came = AnswerBytes()
    for piece in pieces(data):
        came.feed(piece)
        assert len(came.outside) <= MAX_OUTSIDE
        assert len(came._held) <= MAX_PACKET + len(piece)
    came.settle()
    for line in gem.answer_lines(data + b"\r\n"):
        for read in (gem.parse_serial, gem.parse_firmware, gem.parse_number, gem.parse_settings, gem.decode_time):
            with suppress(ValueError):
                read(line)
    with suppress(ValueError):
        ecm.parse_settings(data)


def recognize_bytes(data: bytes) -> None:
    """Have bytes recognized in which no packet was found."""
    assert recognize(data).advice is not None


PARSERS = {
    "binary": Parser(decode_binary, PACKETS),
    "texts": Parser(decode_text, TEXTS),
    "stream": Parser(find_in_stream, ON_A_LINE),
    "splitter": Parser(split_stream, ON_A_LINE),
    "requests": Parser(read_requests, REQUESTS),
    "answers": Parser(read_answers, [*ANSWERS, *PACKETS]),
    "recognition": Parser(recognize_bytes, [*ON_A_LINE, *REQUESTS]),
}
