"""The body of an answer: as much of it as one may expect, and whole, or it is none.

What is asked for is the body as it is; a server may send it compressed all the same.
"""

import zlib
from http import HTTPStatus

import requests
from urllib3.exceptions import HTTPError

MAX_BODY_BYTES = 1_048_576
"""Of a body, also when it is unpacked; the longest that any service is known to send is a few kilobytes."""

BLOCK = 65_536

_GZIP = 16 + zlib.MAX_WBITS
_WITHOUT_HEADER = -zlib.MAX_WBITS


class IncompleteAnswer(Exception):
    """An answer of which a part is missing, or cannot be read: what it says is not known."""


def read_body(response: requests.Response) -> bytes:
    """Read the body of an answer. Raises Cut where it is not whole, with the error that broke it off, if any."""
    expected = _length(response)
    if expected is not None and expected > MAX_BODY_BYTES:
        raise IncompleteAnswer(f"it is longer than {MAX_BODY_BYTES} bytes")
    data = _read(response)
    if expected is not None and len(data) != expected:
        raise IncompleteAnswer(f"{len(data)} of {expected} bytes came")
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
    """Return how many bytes a body has by its header, None where that is not told that way."""
    if response.request.method == "HEAD" or response.status_code in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        return 0
    text = response.headers.get("content-length", "").strip()
    return int(text) if text.isascii() and text.isdigit() and not _is_chunked(response) else None


def _is_chunked(response: requests.Response) -> bool:
    return "chunked" in response.headers.get("transfer-encoding", "").lower()


def _decompress(packed: bytes, coding: str) -> bytes:
    """Unpack a body that was sent compressed."""
    if coding in ("gzip", "x-gzip"):
        return _inflate(packed, _GZIP)
    if coding == "deflate":
        # some servers leave the header out
        plain = not packed or packed[0] & 0x0F != zlib.DEFLATED or int.from_bytes(packed[:2]) % 31
        return _inflate(packed, _WITHOUT_HEADER if plain else zlib.MAX_WBITS)
    raise IncompleteAnswer("it is encoded in a way that was not asked for")


def _inflate(packed: bytes, form: int) -> bytes:
    """Unpack every member of a compressed body: a gzip file may have several."""
    data = b""
    while True:
        unpacking = zlib.decompressobj(form)
        try:
            data += unpacking.decompress(packed, MAX_BODY_BYTES + 1 - len(data))
        except zlib.error:
            raise IncompleteAnswer("it cannot be unpacked") from None
        if len(data) > MAX_BODY_BYTES:
            raise IncompleteAnswer(f"unpacked it is longer than {MAX_BODY_BYTES} bytes")
        if not unpacking.eof:
            raise IncompleteAnswer("the end of what is compressed is missing")
        packed = unpacking.unused_data
        if form != _GZIP or not packed.startswith(b"\x1f\x8b"):
            return data
