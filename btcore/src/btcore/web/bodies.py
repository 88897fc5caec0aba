"""The body of an answer: as much of it as one may expect, and whole, or it is none.

What is asked for is the body as it is; a server may send it compressed all the same.
"""

import zlib
from http import HTTPStatus

import requests
from urllib3.exceptions import HTTPError

MOST_BYTES = 1_048_576
"""Of a body, also when it is unpacked; the longest that any service is known to send is a few kilobytes."""

BLOCK = 65_536

_GZIP = 16 + zlib.MAX_WBITS
_WITHOUT_HEADER = -zlib.MAX_WBITS


class Cut(Exception):
    """An answer of which a part is missing, or cannot be read: what it says is not known."""


def body(response: requests.Response) -> bytes:
    """Read the body of an answer. Raises Cut where it is not whole, with the error that broke it off, if any."""
    expected = _length(response)
    if expected is not None and expected > MOST_BYTES:
        raise Cut(f"it is longer than {MOST_BYTES} bytes")
    found = _received(response)
    if expected is not None and len(found) != expected:
        raise Cut(f"{len(found)} of {expected} bytes came")
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding in ("", "identity") or (not found and (expected == 0 or _chunked(response))):
        return found
    return _unpacked(found, coding)


def _received(response: requests.Response) -> bytes:
    found = bytearray()
    try:
        while block := response.raw.read(BLOCK, decode_content=False):
            found += block
            if len(found) > MOST_BYTES:
                raise Cut(f"it is longer than {MOST_BYTES} bytes")
    except HTTPError as error:
        raise Cut from error
    return bytes(found)


def _length(response: requests.Response) -> int | None:
    """Return how many bytes a body has by its header, None where that is not told that way."""
    if response.request.method == "HEAD" or response.status_code in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        return 0
    text = response.headers.get("content-length", "").strip()
    return int(text) if text.isascii() and text.isdigit() and not _chunked(response) else None


def _chunked(response: requests.Response) -> bool:
    return "chunked" in response.headers.get("transfer-encoding", "").lower()


def _unpacked(packed: bytes, coding: str) -> bytes:
    """Unpack a body that was sent compressed."""
    if coding in ("gzip", "x-gzip"):
        return _inflated(packed, _GZIP)
    if coding == "deflate":
        # some servers leave the header out
        plain = not packed or packed[0] & 0x0F != zlib.DEFLATED or int.from_bytes(packed[:2]) % 31
        return _inflated(packed, _WITHOUT_HEADER if plain else zlib.MAX_WBITS)
    raise Cut("it is encoded in a way that was not asked for")


def _inflated(packed: bytes, form: int) -> bytes:
    """Unpack every member of a compressed body: a gzip file may have several."""
    found = b""
    while True:
        unpacking = zlib.decompressobj(form)
        try:
            found += unpacking.decompress(packed, MOST_BYTES + 1 - len(found))
        except zlib.error:
            raise Cut("it cannot be unpacked") from None
        if len(found) > MOST_BYTES:
            raise Cut(f"unpacked it is longer than {MOST_BYTES} bytes")
        if not unpacking.eof:
            raise Cut("the end of what is compressed is missing")
        packed = unpacking.unused_data
        if form != _GZIP or not packed.startswith(b"\x1f\x8b"):
            return found
