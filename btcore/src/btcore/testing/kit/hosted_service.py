# SPDX-License-Identifier: GPL-3.0-or-later
"""A hosted service that keeps what it is sent and answers as it is told: for tests of what sends over HTTP.

    with HostedService(Reply(200, "ok")) as service:
        service.fail(Reply(500))  # the next request, once
        ...  # send to service.url + "/anything"
        assert service.requests[0].form == {"api_key": "KEY12345", "field1": "1536.40"}

It knows nothing of any service: what one takes and how it answers is in the tests that use it.
"""

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree as ET

import attrs


@attrs.frozen
class Reply:
    """An answer: the code, the body, headers that come with it; or what happens on the wire instead of an answer.

    `wire`: "reset" breaks the connection, "lost" too, but the request counts as taken; "hang" never answers; "drip"
    answers byte by byte, for ever, and "flood" without end.
    """

    code: int = 200
    body: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    wire: str = ""


@attrs.frozen
class Request:
    """What a client sent; header names in lower case, the query as pairs, in order."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes
    reply: Reply = Reply()

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def form(self) -> dict[str, str]:
        """The body as a form."""
        return dict(parse_qsl(self.text, keep_blank_values=True, strict_parsing=True))

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever was sent
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def xml(self) -> ET.Element:
        """The body as XML."""
        return ET.fromstring(self.body)  # noqa: S314 - a plugin of ours sent it


def request(
    method: str, target: str, headers: Mapping[str, str], body: bytes | str = b"", reply: Reply = Reply()
) -> Request:
    """Make the record of a request from what was on the wire."""
    url = urlsplit(target)
    return Request(
        method,
        url.path,
        tuple(parse_qsl(url.query, keep_blank_values=True)),
        {name.lower(): value for name, value in headers.items()},
        body.encode() if isinstance(body, str) else body,
        reply,
    )


class HostedService:
    """The service, on a port of this machine; started by `with`.

    `answer` is what every request gets: a reply, or what makes one of the request. `requests` is all that came.
    """

    def __init__(self, answer: Reply | Callable[[Request], Reply] = Reply()) -> None:
        """Prepare; nothing listens yet."""
        self.requests: list[Request] = []
        self.answer = answer
        self.port = 0
        self._failures: deque[Reply] = deque()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http: _Http | None = None

    @property
    def url(self) -> str:
        """Where the service is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def taken(self) -> list[Request]:
        """The requests that were answered with success, and those taken although the answer was lost."""
        return [r for r in self.requests if r.reply.wire == "lost" or (not r.reply.wire and r.reply.code < 300)]

    def __enter__(self) -> Self:
        """Begin to listen."""
        self.up()
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop, also what hangs."""
        self.down()

    def fail(self, *replies: Reply) -> None:
        """Answer the next requests so, one each; then as ever."""
        with self._lock:
            self._failures.extend(replies)

    def forget_failures(self) -> None:
        """Answer as ever from the next request on."""
        with self._lock:
            self._failures.clear()

    def down(self) -> None:
        """Refuse connections, until it is up again."""
        if self._http:
            self._closing.set()
            self._http.stop()
            self._http = None

    def up(self) -> None:
        """Listen, on the same port as before."""
        self._closing.clear()
        self._http = _Http(self.port, self._reply, self._closing)
        self.port = self._http.server_port

    def _reply(self, came: Request) -> Reply:
        with self._lock:
            answer = self._failures.popleft() if self._failures else self.answer
            reply = answer if isinstance(answer, Reply) else answer(came)
            self.requests.append(attrs.evolve(came, reply=reply))
        return reply


class _Http(ThreadingHTTPServer):
    """The listening socket, its thread, and the connections that clients keep."""

    allow_reuse_address = True

    def __init__(self, port: int, reply: Callable[[Request], Reply], closing: threading.Event) -> None:
        self.reply = reply
        self.closing = closing
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)
        self.daemon_threads = False  # closing waits for them
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="hosted service")
        self._thread.start()

    def stop(self) -> None:
        """Close everything."""
        self.shutdown()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()
        self._thread.join()

    def handle_error(self, *_request: object) -> None:
        """Keep quiet: clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    server: _Http
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        reply = self.server.reply(request(self.command, self.path, dict(self.headers.items()), body))
        if reply.wire == "hang":
            self.server.closing.wait()
        if reply.wire in ("", "drip", "flood"):
            self._answer(reply)
        else:
            self._reset()

    do_GET = do_HEAD = do_POST = do_PUT = _handle  # noqa: N815 - the names that http.server looks for

    def _answer(self, reply: Reply) -> None:
        body = reply.body.encode()
        self.send_response_only(reply.code)
        for name, text in {"Date": self.date_time_string(), **reply.headers}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(1 << 40 if reply.wire else len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body)
        while reply.wire == "flood":
            self.wfile.write(b"x" * 65_536)
        while reply.wire == "drip" and not self.server.closing.wait(0.02):
            self.wfile.write(b"x")

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, *_args: object) -> None:
        """Keep quiet."""
