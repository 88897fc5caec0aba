# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognizes bytes in which no packet was found: what they are, and what the owner of the meter can do about it.

Pure, and a table: each row is a kind of bytes and the regular expression that recognizes it. The first row that matches
counts. No bytes are repeated in a text, as there may be secrets in them. When and where it is logged is decided by
those who ask.
"""

import re
from datetime import UTC, datetime
from functools import cache

from btcore.classes import frozen
from btcore.decode.brultech import FOOTER, HEADER, LAYOUTS, Brultech
from btcore.decode.decoders import Decoders

SAMPLE = 2048
"""The most bytes that are looked at: three times the longest packet."""


@frozen
class Kind:
    """One kind of bytes. `name` identifies it, `seen` says what it is, `advice` what to do.

    `is_meter`: a meter certainly sent them; otherwise it may have been anybody. `is_silence`: a meter sends nothing
    else as long as it is not asked, and nothing is wrong with it.
    """

    name: str
    seen: str
    advice: str
    is_meter: bool = False
    is_silence: bool = False


BINARY = "Set the GEM's packet format to BIN48-NET-TIME (4) or BIN48-NET (5)"
AS_TEXT = (
    f"{BINARY}; or take it as it is, with [decoder.ascii] (pip install btmon-ascii), and what comes over HTTP with"
    ' use = "http" (pip install btmon-http)'
)
RAW = "Set the gateway's port to raw TCP, not telnet"
REAL_TIME = (
    "Its real-time mode is off, or it sends its packets elsewhere: switch real-time mode on, or have it asked"
    ' (poll_interval = "10s" of a serial or tcp-client source); where it is asked, see that its name in `devices` is'
    " right"
)
SPEED = "19200 baud for an ECM, 19200 or 115200 for a GEM, 8 data bits, no parity"
DATA_PORT = "Connect to the port on which the gateway passes its serial line on (5000 on a WIZ110SR; see its manual)"
NO_METER = (
    "No meter sends that: what does is set to this port by mistake, or looks for open ports. Keep the port from the"
    ' internet; `allow = ["192.168.1.0/24"]` of a tcp-server takes connections from the house alone'
)
LOST = (
    "Bytes are lost or changed on the way: check the speed and the cable, that no other program reads the same line,"
    " and that the gateway's port is raw TCP (not telnet, no flow control, 8 data bits, no parity)"
)

_CODE = b"[%b]" % re.escape(bytes(sorted({layout.code for layout in LAYOUTS})))


DAMAGED = Kind("damaged", "packets, but all of them damaged", LOST, is_meter=True)


def _gem_text(name: str, option: str) -> Kind:
    return Kind(name, f"text in the GEM's format {option}", AS_TEXT, is_meter=True)


_ROWS: tuple[tuple[Kind, bytes], ...] = (
    (
        Kind("keep-alive", "only the keep-alive of a GEM ($ or Alive)", REAL_TIME, is_meter=True, is_silence=True),
        rb"\A[\s\0]*(?:(?:\$|Alive)[\s\0]*)+\Z",
    ),
    (
        Kind(
            "answers",
            "only answers of a GEM to commands",
            f"Another program changes its settings. {REAL_TIME}",
            is_meter=True,
            is_silence=True,
        ),
        rb"\A\s*(?:(?:_ON|OFF|ON|OK|PK[TF]|IVL|DTM|KAI|VAL)[\s$]+)+\Z",
    ),
    # --- the formats of a GEM that are text
    (_gem_text("ascii", "ASCII with Wh (2)"), rb"\bn=\d{8}&m=\d|[?&](?:wh|p|a|t|c)_\d+=[\d.]*&(?:wh|p|a|t|c|v)[_=]"),
    (_gem_text("http-get", "HTTP GET (3)"), rb"\bSN=\d{1,8}&SC=\d+&"),
    (
        _gem_text("seg", "SEG (6 or 14)"),
        rb"\(site \S{1,200} \(node\b|\A\s*PUT /?sites/|\([epa]_\d+ [\d.]+\)\([epa]_\d+ ",
    ),
    (_gem_text("emon", "Emon (10)"), rb"\bjson=(?:\{|%7B)(?:\"|%22)?SN(?:\"|%22)?(?::|%3A)|\{SN:\d+,SC:"),
    (_gem_text("cosm", "COSM (13)"), rb"(?i:X-PachubeApiKey)|/v2/feeds/\d+|(?:\b[EP]\d+,-?[\d.]+\s+){2}"),
    # --- gateways
    (
        Kind(
            "in use",
            "the gateway says that its port is in use",
            "Stop the other program that has the connection (btmon, the vendor's software)",
        ),
        rb"(?i)\b(?:port|line|device|connection|session)\b[^\r\n]{0,40}\b(?:in use|busy|refused|occupied)\b",
    ),
    (
        Kind("web page", "a web page, or a web server's answer", f"This is the gateway's own web port. {DATA_PORT}"),
        rb"\A\s*HTTP/\d\.\d \d{3}|(?i:<!doctype html|<html\b)",
    ),
    (
        Kind("login", "the login, or the menu, of a gateway", f"{DATA_PORT}. {RAW}"),
        rb"(?i)\b(?:login|username|user name|password|passcode)\s*:|ser2net port|press enter\b.{0,20}\bsetup",
    ),
    # --- others on a network
    (
        Kind("http", "an ordinary HTTP request, as a browser or a port scanner makes it", NO_METER),
        rb"(?:\A|\n)(?:GET|POST|PUT|HEAD|OPTIONS|CONNECT|DELETE|PATCH|TRACE|PRI) \S{1,1000} (?:HTTP|RTSP|SIP)/",
    ),
    (Kind("tls", "the beginning of an encrypted connection (TLS)", NO_METER), rb"\A\x16\x03[\x00-\x04]..[\x01\x02]"),
    (Kind("ssh", "the greeting of SSH", NO_METER), rb"\ASSH-\d"),
    (
        Kind("mqtt", "the greeting of an MQTT client", NO_METER),
        rb"\A\x10[^\0]{1,4}\0(?:\x04MQTT|\x06MQIsdp)",
    ),
    (Kind("windows", "the greeting of a Windows service", NO_METER), rb"\A(?:\x03\0\0|\0..{2}[\xfe\xff]SMB)"),
    # --- files
    (
        Kind(
            "json",
            "JSON, but not the lines of a capture",
            'Expected lines such as {"time": 1700000000.0, "stream": "a", "hex": "feff03..."}',
        ),
        rb'\A\s*(?:\{\s*"|\[\s*[\[{"\d-])',
    ),
    (
        Kind("packed", "a packed file (gzip, zip, 7z, xz or bzip2)", "Unpack it first"),
        rb"\A(?:\x1f\x8b|PK\x03\x04|7z\xbc\xaf|\xfd7zXZ|BZh\d)",
    ),
    (
        Kind(
            "database", "an SQLite database", "Expected what the meter sent; a sink's database has only what came of it"
        ),
        rb"\ASQLite format 3\0",
    ),
    (
        Kind("picture", "a picture or a document", "Expected what the meter sent, as bytes or as text"),
        rb"\A(?:\x89PNG|\xff\xd8\xff|GIF8|%PDF-|RIFF....WEBP)",
    ),
    # --- packets, or what is left of them
    (
        Kind(
            "seven bits",
            "packets whose highest bits were cut off",
            f"Set the line to 8 data bits and no parity ({SPEED}), on the gateway's serial side too",
            is_meter=True,
        ),
        rb"\A(?=.*?\x7e\x7f%b).*?\x7f\x7e" % _CODE,
    ),
    (
        Kind(
            "as text",
            "packets that a program treated as text, which cannot be undone",
            "Pass on, or record, the bytes as they come: a file opened as binary, a gateway's port that is raw",
            is_meter=True,
        ),
        rb"(?:\xef\xbf\xbd\xef\xbf\xbd|\xc3\xbe\xc3\xbf)%b|\A\x3f\x3f%b.*\x3f\x3f" % (_CODE, _CODE),
    ),
    (
        Kind(
            "doubled",
            "packets in which each FF comes twice, as a telnet port sends it, and none of which is intact",
            f"{RAW}. If that was done: {LOST[0].lower()}{LOST[1:]}",
            is_meter=True,
        ),
        rb"\xfe\xff\xff%b" % _CODE,
    ),
    (DAMAGED, rb"\xfe\xff%b" % _CODE),
    (
        Kind(
            "unknown packets",
            "packets of a kind that no decoder knows (they begin with fe ff)",
            f"{BINARY}, or report it with a recording",
            is_meter=True,
        ),
        rb"(?:\xfe\xff(?!\xff|\xfe)[\x00-\x1f].{4,}?){2}",
    ),
    # --- lines
    (
        Kind(
            "negotiation",
            "only telnet's negotiation",
            RAW,
        ),
        rb"\A[\s\0]*(?:\xff(?:[\xfb-\xfe].|[\xec-\xf9]|\xfa[^\xff]{0,64}\xff\xf0)[\s\0]*)+\Z",
    ),
    (
        Kind(
            "acknowledgements",
            "only the acknowledgements of an ECM (fc)",
            "It is asked, by this or another program, but sends no packet: let one program alone ask it"
            ' (poll_interval = "10s", devices = ["fc"]), or switch its real-time mode on',
            is_meter=True,
            is_silence=True,
        ),
        rb"\A\xfc+\Z",
    ),
    (
        Kind(
            "one byte",
            "the same byte again and again",
            f"The line is idle, cut or short-circuited, or its speed is wrong ({SPEED})",
        ),
        rb"\A(.)\1{7,}\Z",
    ),
    (
        Kind("text", "text in no format that is known here", f"If it is a GEM's: {BINARY[0].lower()}{BINARY[1:]}"),
        rb"\A[\t\r\n -~]{2,}\Z",
    ),
)

UNDONE = (
    "every FF comes twice, as a telnet port sends it: that is undone, and the packets are taken. Set the gateway's port"
    " to raw TCP, not telnet, so that nothing is lost to it (docs/meters.md)"
)
"""What is logged of packets that were found only after that was undone; the stream's name stands before it."""

NOTHING = Kind("nothing", "nothing at all", REAL_TIME)
INCOMPLETE = Kind(
    "begun",
    "the beginning of a packet, whose rest never came",
    "The connection is cut too soon: check the gateway's time-outs and what it waits for before it sends",
    is_meter=True,
)
SENSELESS = Kind(
    "senseless",
    "bytes that make no sense",
    f"The speed of the line may be wrong ({SPEED}), or this is no meter. {BINARY}",
)

KINDS = (*(kind for kind, _ in _ROWS), NOTHING, INCOMPLETE, SENSELESS)
"""All kinds, except packets of a format that is not selected: that kind has the format in its name."""


def recognize(data: bytes, formats: tuple[str, ...] = (), *, unwanted: str = "", damaged: bool = False) -> Kind:
    """Return the kind of bytes in which no packet was found; only the first `SAMPLE` of them are looked at.

    `formats` are the selected formats (none: all). `unwanted` is the name of a format that was found and is not
    selected. `damaged`: a decoder found damaged packets of its own.
    """
    sample = data[:SAMPLE]
    if name := unwanted or _find_unselected(sample, formats):
        return unselected(name, formats)
    kind = next((kind for kind, pattern in _table() if pattern.search(sample)), None)
    if damaged and (kind is None or kind.name == "text"):
        return DAMAGED
    if kind is None:
        return SENSELESS if sample else NOTHING
    return INCOMPLETE if kind is DAMAGED and _is_incomplete(sample) else kind


@cache
def _table() -> tuple[tuple[Kind, re.Pattern[bytes]], ...]:
    """Return the rows, compiled with the first bytes that are looked at: at most meters nothing else ever comes."""
    return tuple((kind, re.compile(pattern, re.DOTALL)) for kind, pattern in _ROWS)


def unselected(name: str, formats: tuple[str, ...]) -> Kind:
    """Return the kind of packets whose format is not among the selected ones."""
    listed = ", ".join(f'"{one}"' for one in formats)
    return Kind(
        f"left out: {name}",
        f"packets of {name}, which formats = [{listed}] leaves out",
        f'Add "{name}" to formats, or leave formats out: then all formats are taken',
        is_meter=True,
    )


_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def _find_unselected(sample: bytes, formats: tuple[str, ...]) -> str:
    """Return the name of a format of Brultech's meters that is in the sample and not selected; "" if there is none."""
    if not formats or HEADER not in sample:
        return ""
    decoders = Decoders([Brultech()])
    stream = decoders.stream()
    found = [*stream.feed(sample, _NEVER), *stream.close()]
    return next((packet.format.name for packet, _ in found if packet.format.name not in formats), "")


def _is_incomplete(sample: bytes) -> bool:
    """Whether there is only one header, with fewer bytes behind it than its shortest packet has, and no footer."""
    (first, *others) = re.finditer(rb"\xfe\xff(%b)" % _CODE, sample)
    shortest = min(layout.size for layout in LAYOUTS if layout.code == first[1][0])
    return not others and len(sample) - first.start() < shortest and FOOTER not in sample[-8:]
