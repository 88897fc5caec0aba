# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of an answer: read completely and within a bound, or IncompleteAnswer.

The request asks for an uncompressed body; a server may compress it all the same.
"""

import zlib
from http import HTTPStatus

import requests
from urllib3.exceptions import HTTPError

MAX_BODY_BYTES = 1_048_576
"""The largest body, also when decompressed; the known services send a few kilobytes at most."""

BLOCK = 65_536

_GZIP = 16 + zlib.MAX_WBITS
_WITHOUT_HEADER = -zlib.MAX_WBITS


class IncompleteAnswer(Exception):
    """A part of the answer is missing, or cannot be read, so its meaning is not known."""


def read_body(response: requests.Response) -> bytes:
    """Read the body of an answer. Raises IncompleteAnswer, with the error that ended it as its cause, if any."""
    expected = _length(response)
    if expected is not None and expected > MAX_BODY_BYTES:
        raise IncompleteAnswer(f"it is longer than {MAX_BODY_BYTES} bytes")
    data = _read(response)
    if expected is not None and len(data) != expected:
        raise IncompleteAnswer(f"received {len(data)} of {expected} bytes")
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding in ("", "identity") or (not data and (expected == 0 or _is_chunked(response))):
        return data
    return _decompress(data, coding)


def _read(response: requests.Response) -> bytes:
    data = bytearray()
    try:
        while block := response.raw.read(BLOCK, decode_content=False):
            data += block
            if len(data) > MAX_BODY_BYTES:
                raise IncompleteAnswer(f"it is longer than {MAX_BODY_BYTES} bytes")
    except HTTPError as error:
        raise IncompleteAnswer from error
    return bytes(data)


def _length(response: requests.Response) -> int | None:
    """Return the length of a body by its header; None if the header does not give it."""
    if response.request.method == "HEAD" or response.status_code in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        return 0
    text = response.headers.get("content-length", "").strip()
    return int(text) if text.isascii() and text.isdigit() and not _is_chunked(response) else None


def _is_chunked(response: requests.Response) -> bool:
    return "chunked" in response.headers.get("transfer-encoding", "").lower()


def _decompress(packed: bytes, coding: str) -> bytes:
    """Decompress a body."""
    if coding in ("gzip", "x-gzip"):
        return _inflate(packed, _GZIP)
    if coding == "deflate":
        # some servers leave the header out
        plain = not packed or packed[0] & 0x0F != zlib.DEFLATED or int.from_bytes(packed[:2]) % 31
        return _inflate(packed, _WITHOUT_HEADER if plain else zlib.MAX_WBITS)
    raise IncompleteAnswer("it has an encoding that was not requested")


def _inflate(packed: bytes, form: int) -> bytes:
    """Decompress every member of a body: gzip data may have several."""
    data = b""
    while True:
        unpacking = zlib.decompressobj(form)
        try:
            data += unpacking.decompress(packed, MAX_BODY_BYTES + 1 - len(data))
        except zlib.error:
            raise IncompleteAnswer("it cannot be decompressed") from None
        if len(data) > MAX_BODY_BYTES:
            raise IncompleteAnswer(f"decompressed it is longer than {MAX_BODY_BYTES} bytes")
        if not unpacking.eof:
            raise IncompleteAnswer("the end of the compressed data is missing")
        packed = unpacking.unused_data
        if form != _GZIP or not packed.startswith(b"\x1f\x8b"):
            return data
