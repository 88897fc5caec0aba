# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests in bytes, as lenient as a GEM needs and bounded as a port must be. Pure: no socket, clock or log.

A GEM leaves out the slash in front of a path and the header Host, and sends a keep-alive (`$`, `Alive`) between two
requests. Of the headers only those count that say where a request ends.
"""

import re
from collections.abc import Iterator
from http import HTTPStatus

import attrs

MAX_HEAD = 16_384
"""Bytes of the request line and the headers."""

MAX_HEADERS = 64

MAX_BODY = 16_384
"""Bytes of a body: five times that of 48 channels."""

IDLE = re.compile(rb"(?:[\s\0$]|Alive)*+")
"""What may stand before a request: line ends and keep-alives."""

IDLE_BEGUN = (b"A", b"Al", b"Ali", b"Aliv")

METHOD = re.compile(rb"[A-Z]{1,16}(?: |\Z)")
HEAD_END = re.compile(rb"\r?\n\r?\n")
LINE_END = re.compile(rb"\r?\n")
VERSION = re.compile(rb" HTTP/1\.([01])[ ]*\Z")
METHODS = frozenset({b"GET", b"PUT", b"POST"})


@attrs.frozen
class Request:
    """A complete request. `headers` are by their names in lower case; `stays`: the connection stays open after it."""

    method: bytes
    target: bytes = attrs.field(repr=False)  # there may be a key in it
    headers: dict[bytes, bytes] = attrs.field(factory=dict, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    stays: bool = False


@attrs.frozen
class Refusal:
    """A request that cannot be answered otherwise; nothing behind it is read."""

    status: HTTPStatus
    why: str


NOT_HTTP = Refusal(
    HTTPStatus.BAD_REQUEST,
    "what came is no HTTP request. A GEM that is set to a binary format needs a tcp-server",
)


@attrs.define
class RequestReader:
    """The requests on one connection. What is kept of it is bounded by the longest request."""

    _buffer: bytes = b""
    _is_refused: bool = False

    @property
    def is_within(self) -> bool:
        """Whether a request has begun, and is not complete."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[Request | Refusal]:
        """Yield the requests that these bytes complete; a refusal is the last one."""
        self._buffer += data
        while not self._is_refused:
            found = self._next()
            if found is None:
                return
            self._is_refused = isinstance(found, Refusal)
            yield found
        self._buffer = b""

    def _next(self) -> Request | Refusal | None:
        """Return the next request; None if it is not complete."""
        idle = IDLE.match(self._buffer)
        self._buffer = self._buffer[idle.end() if idle else 0 :]
        if not self._buffer or self._buffer in IDLE_BEGUN:
            return None
        if not METHOD.match(self._buffer):
            return NOT_HTTP
        head = self._head()
        if not isinstance(head, tuple):
            return head
        request, end = head
        size = _body_size(request)
        if isinstance(size, Refusal) or len(self._buffer) < end + size:
            return size if isinstance(size, Refusal) else None
        body, self._buffer = self._buffer[end : end + size], self._buffer[end + size :]
        return attrs.evolve(request, body=body)

    def _head(self) -> tuple[Request, int] | Refusal | None:
        """Return a request without its body, and where that begins."""
        line = LINE_END.search(self._buffer, 0, MAX_HEAD)
        if line is not None and not VERSION.search(self._buffer, 0, line.start()):
            return _request(self._buffer[: line.start()], b"", line.end())  # of HTTP/0.9: nothing behind the line
        end = HEAD_END.search(self._buffer, 0, MAX_HEAD)
        if line is None or end is None:
            too_long = Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {MAX_HEAD} bytes of headers")
            return too_long if len(self._buffer) >= MAX_HEAD else None
        return _request(self._buffer[: line.start()], self._buffer[line.end() : end.start()], end.end())


def _request(line: bytes, headers: bytes, end: int) -> tuple[Request, int] | Refusal:
    version = VERSION.search(line)
    method, _, target = (line[: version.start()] if version else line).partition(b" ")
    if method not in METHODS:
        return Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "a request with another method than GET, PUT and POST")
    fields = [one.partition(b":") for one in LINE_END.split(headers) if one]
    if len(fields) > MAX_HEADERS:
        return Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {MAX_HEADERS} headers")
    named = {name.strip().lower(): value.strip() for name, _, value in fields}
    if len([1 for name, _, _ in fields if name.strip().lower() == b"content-length"]) > 1:
        return Refusal(HTTPStatus.BAD_REQUEST, "a request with two lengths")
    connection = named.get(b"connection", b"").lower()
    stays = connection != b"close" if version and version[1] == b"1" else connection == b"keep-alive"
    return Request(method, target.strip(), named, stays=stays), end


def _body_size(request: Request) -> int | Refusal:
    length = request.headers.get(b"content-length", b"0")
    if b"transfer-encoding" in request.headers or not re.fullmatch(rb"\d{1,9}", length):
        return Refusal(HTTPStatus.LENGTH_REQUIRED, "a request that does not say how long it is (Content-Length)")
    if int(length) > MAX_BODY:
        return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request of more than {MAX_BODY} bytes")
    return int(length)
