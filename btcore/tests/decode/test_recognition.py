# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognition: bytes without a packet are called what they are, and nothing is promised that was not seen."""

import re
from itertools import chain

import pytest
from helpers.folders import DOCS
from helpers.property_tests import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import pack
from btcore.decode.recognition import KINDS, SAMPLE, Kind, recognize

GEM = pack("gem48ptbin", "01021234", {"volts": 121.3, "secs": 5000})
ECM = pack("ecm1240bin", "312345", {"volts": 120.1, "secs": 77})
SPOILT = GEM[:-1] + bytes([GEM[-1] ^ 1])

ASCII = b"n=01000010&m=4&wh_1=223.19&p_1=3065&a_1=28.28&wh_2=.82&t_1=21.0&c_1=0&v=114.4\r\n"
HTTP_GET = (
    b"GET /own/?SN=01000010&SC=5956977&V=1149&c1=35634,12&c2=1,0&PL=1,0,0,0&T=21.0,,&Resp= HTTP/1.1\r\nHost: x\r\n\r\n"
)
SEG = b"PUT /sites/abc HTTP/1.1\r\n\r\n(site abc (node panel ? (e_1 278.23)(p_1 3155)(a_1 29.10)(voltage 114.2)))"
EMON = (
    b"GET sites//?apikey=abc&json={SN:01000010,SC:5959577,V:1144,E1:356116610095,P1:3031,T1:21.0,X:0} HTTP/1.1\r\n\r\n"
)
COSM = (
    b"PUT /v2/feeds/12345.csv HTTP/1.1\r\nX-PachubeApiKey: abc\r\n\r\nE1,36942\r\nP1,3020\r\nE2,5\r\nP2,1\r\nV,1144\r\n"
)

SEEN = {
    "keep-alive": [b"$", b"$" * 500, b"$\r\n$\r\n", b"Alive", b"Alive\r\nAlive\r\n$", b"\0$\0$"],
    "answers": [b"_ON\r\n", b"IVL\r\n_ON\r\nOFF\r\n", b"PKT\r\n$", b"OK\r\n"],
    "ascii": [ASCII, ASCII[30:], b"$$" + ASCII, b"POST / HTTP/1.0\r\n\r\n" + ASCII],
    "http-get": [HTTP_GET, HTTP_GET.replace(b"/own/", b""), b"SN=01000010&SC=5956977&V=1149&c1=5"],
    "seg": [SEG, SEG[30:], b"PUT /sites/abc HTTP/1.1\r\n"],
    "emon": [EMON, EMON.replace(b"{", b"%7B"), b"{SN:01000010,SC:5959577,V:1144"],
    "cosm": [COSM, COSM[60:]],
    "in use": [
        b"Port already in use\r\n",
        b"ERROR: the serial line is busy\r\n",
        b"connection refused by device: in use",
    ],
    "web page": [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"<!DOCTYPE html>\n<title>WIZ110SR</title>", b"\r\n<HTML><BODY>"],
    "login": [
        b"\xff\xfb\x01\xff\xfb\x03\r\nLogin: ",
        b"User name:",
        b"Password: ",
        b"ser2net port 2000 device /dev/ttyUSB0 [19200 N81]\r\n",
        b"MAC address 00204A\r\nPress Enter to go into Setup Mode\r\n",
    ],
    "http": [b"GET / HTTP/1.1\r\nHost: 10.0.0.5\r\n\r\n", b"OPTIONS * RTSP/1.0\r\n", b"PRI * HTTP/2.0\r\n\r\nSM"],
    "tls": [b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(range(200))],
    "ssh": [b"SSH-2.0-Go\r\n"],
    "mqtt": [b"\x10\x1a\0\x04MQTT\x04\x02\0\x3c"],
    "windows": [b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0", b"\0\0\0\xa4\xffSMBr\0\0\0"],
    "json": [b'{"power": 5}\n{"power": 6}\n', b"[\n  1,\n  2\n]", b'[{"time": 5}]', b'{\n  "a": 1\n}\n'],
    "packed": [b"\x1f\x8b\x08\0\0\0\0\0", b"PK\x03\x04\x14\0", b"BZh91AY&SY"],
    "database": [b"SQLite format 3\0\x10\0"],
    "picture": [b"\x89PNG\r\n\x1a\n\0\0", b"\xff\xd8\xff\xe0\0\x10JFIF", b"%PDF-1.7\n"],
    "seven bits": [bytes(byte & 0x7F for byte in GEM), bytes(byte & 0x7F for byte in ECM) * 3],
    "as text": [
        GEM.decode(errors="replace").encode(),
        GEM.decode("latin-1").encode(),
        ECM.decode("ascii", "replace").encode(),
    ],
    "doubled": [SPOILT.replace(b"\xff", b"\xff\xff"), b"\xff\xfb\x01" + SPOILT.replace(b"\xff", b"\xff\xff")],
    "damaged": [SPOILT, SPOILT * 3, GEM[:300] + GEM[320:] + b"x", b"junk" + SPOILT],
    "begun": [GEM[:300], ECM[:60], b"$" + GEM[:3]],
    "unknown packets": [(b"\xfe\xff\x09" + bytes(50)) * 3],
    "negotiation": [b"\xff\xfb\x01\xff\xfb\x03\xff\xfd\0", b"\xff\xfa\x2c\x64\x01\xff\xf0\xff\xf1"],
    "acknowledgements": [b"\xfc", b"\xfc\xfc\xfc"],
    "one byte": [bytes(20), b"\xff" * 600, b"U" * 60],
    "text": [b"hello, I am a thermometer: 21.5 C\r\n", b"meter 5 ok\r\n"],
    "senseless": [bytes(range(200)), b"\x80\x00\xf8\x1c\x00\xe0\xfe\x06\x98", bytes(2)],
    "nothing": [b""],
}


@pytest.mark.parametrize(("name", "data"), [(name, data) for name, all_ in SEEN.items() for data in all_])
def test_bytes_are_called_what_they_are(name: str, data: bytes) -> None:
    """Each kind of bytes that owners met is recognised, whatever comes with it."""
    assert name == recognize(data).name


def test_every_kind_is_tried() -> None:
    """There is no row in the table that nothing here comes to."""
    assert {kind.name for kind in KINDS} == set(SEEN)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_says_what_to_do(kind: Kind) -> None:
    """What was seen reads on from a colon, and the advice is a sentence whose full stop the message adds."""
    assert kind.seen[:1] != kind.seen[:1].upper() or kind.seen.startswith(("JSON", "SQLite"))
    assert kind.advice[:1] == kind.advice[:1].upper()
    assert not (kind.seen + kind.advice).endswith(".")


FILES = ("json", "packed", "database", "picture", "nothing")
"""What a meter's line never brings."""

PAGE = DOCS / "meters.md"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.name not in FILES], ids=lambda kind: kind.name)
def test_what_is_seen_is_on_the_page_that_messages_name(kind: Kind) -> None:
    """Who reads a message finds its words in docs/meters.md, with what to do."""
    quoted = [text.partition("…")[0] for text in re.findall("`([^`]+)`", PAGE.read_text())]
    assert any(kind.seen.startswith(text) for text in quoted if len(text) >= len("a web page"))


@pytest.mark.parametrize("name", ["ascii", "http-get", "seg", "emon", "cosm"])
def test_a_text_format_is_named_with_what_to_set(name: str) -> None:
    """Of a GEM's text the format is named, to which it has to be set, and what decodes it as it is."""
    kind = recognize(SEEN[name][0])
    assert kind.seen.startswith("text in the GEM's format ")
    assert kind.advice.startswith(
        "Set the GEM's packet format to BIN48-NET-TIME (4) or BIN48-NET (5); or take it as it is"
    )
    assert "[decoder.ascii] (pip install btmon-ascii)" in kind.advice


@pytest.mark.parametrize("data", [GEM * 2, GEM.replace(b"\xff", b"\xff\xff"), b"junk" + GEM])
def test_packets_of_a_format_that_is_left_out_are_named(data: bytes) -> None:
    """Where the configuration takes other formats, both are named, and what to add."""
    kind = recognize(data, ("gem48pbin", "ecm1240bin"))
    assert kind.seen == 'packets of gem48ptbin, which formats = ["gem48pbin", "ecm1240bin"] leaves out'
    assert kind.advice.startswith('Add "gem48ptbin" to formats')
    assert (
        recognize(b"?", ("gem48pbin",), unwanted="acme").seen
        == 'packets of acme, which formats = ["gem48pbin"] leaves out'
    )


def test_damage_that_a_decoder_of_others_found_is_told_as_damage() -> None:
    """What looks like nothing, and yet a decoder found to be damaged packets of its own, is that."""
    assert recognize(bytes(range(99)), damaged=True).name == recognize(b"SUN,1,2,", damaged=True).name == "damaged"
    assert recognize(ASCII, damaged=True).name == "ascii"
    assert recognize(b"GET / HTTP/1.1\r\n\r\n", damaged=True).name == "http"


def test_no_text_from_outside_is_repeated() -> None:
    """What is told has nothing of the bytes in it: a key would be among them."""
    for data in (SEG, EMON, COSM):
        kind = recognize(data)
        assert "abc" not in kind.seen + kind.advice


SEVERAL = [*chain.from_iterable(SEEN.values()), b"\x7e\x7f\x05", b"\xfe\xff", b"\xff\xff", b"("]


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.sampled_from(SEVERAL), max_size=9).map(b"".join) | st.binary())
def test_any_bytes_are_something(data: bytes) -> None:
    """Whatever the bytes are, they are of one kind; and what is beyond the sample changes nothing."""
    assert recognize(data) in KINDS
    assert recognize(data[:SAMPLE] + b"n=01000010&m=4&") == recognize(data[:SAMPLE]) or len(data) < SAMPLE


HOSTILE = [
    b"\x7e\x7f\x05",
    b"\xfe\xff\x09abcd",
    b"(site a",
    b"GET ",
    b"port ",
    b"\xff\xfa",
    b"a",
    b"n=",
    b"E1,1 ",
    b"\0$",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_bytes_cost_little(unit: bytes) -> None:
    """However bytes are made, and however many, no more of them are looked at than a sample."""
    assert recognize(unit * 1_000_000) == recognize((unit * SAMPLE)[:SAMPLE])
