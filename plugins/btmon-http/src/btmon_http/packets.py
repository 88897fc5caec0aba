# SPDX-License-Identifier: GPL-3.0-or-later
"""What a request of a GEM holds: its packet, its token, and the answer that the GEM waits for. Pure.

The packet is kept without the token or key of the request: what `btmon_ascii` makes of it has none.
"""

import hmac
import re
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from btcore import Packet
from btmon_ascii import find_packet
from btmon_http.requests import Request

API_KEY = re.compile(rb"[?&]apikey=([^&]*)")
KEY_HEADER = b"x-pachubeapikey"


def packet_of(request: Request) -> Packet | None:
    """Return the packet in the target or the body of a request; None if there is none.

    A client that is no GEM writes `%7B%22SN%22%3A` for what a GEM writes as `{SN:`.
    """
    target = unquote_to_bytes(request.target)
    body = unquote_to_bytes(request.body) if b"=%7B" in request.body.upper() else request.body
    return find_packet(b"/%b\n\n%b\n" % (target.replace(b'"', b""), body.replace(b'"', b"")))


def has_token(request: Request, token: str) -> bool:
    """Whether a request has the token: as a part of its path, or as the key that its format has a place for."""
    wanted = token.encode()
    found = [hmac.compare_digest(one, wanted) for one in _tokens(request)]  # all are compared, however soon one fits
    return any(found)


def _tokens(request: Request) -> Iterator[bytes]:
    path, _, query = request.target.partition(b"?")
    yield from map(unquote_to_bytes, path.split(b"/"))
    yield from map(unquote_to_bytes, API_KEY.findall(b"?" + query))
    yield request.headers.get(KEY_HEADER, b"")


def answer_to(packet: Packet) -> str:
    """Return what the service answers that a packet is meant for, so that the GEM goes on."""
    return "(status ok)" if packet.format.name == "gemseg" else "ok"


def format_answer(status: HTTPStatus, text: str, *, stays: bool) -> bytes:
    """Return an answer as bytes."""
    body = f"{text}\n".encode()
    connection = "keep-alive" if stays else "close"
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: {connection}\r\n\r\n".encode() + body
