# SPDX-License-Identifier: GPL-3.0-or-later
"""A destination of a simulation: a server to which meters send HTTP requests, and which answers each.

What a request says is the plugin's. Here it is sent, and its answer waited for, as a meter does.
"""

import re
import socket
from collections import Counter

from btcore.errors import Unavailable
from btcore.logs.handler import say
from btcore.records import Chunk
from btcore.text import plural

HTTP_PORT = 80

TIMEOUT = 10.0
"""Seconds to open a connection, to send a request, and to wait for the rest of its answer."""

MAX_ANSWER = 16_384
"""Bytes of an answer; what is longer is none."""

ANSWER = re.compile(rb"HTTP/1\.[01] (?P<code>\d{3})[^\r\n]*\r\n(?P<headers>(?:[^\r\n]+\r\n)*)\r\n", re.IGNORECASE)
LENGTH = re.compile(rb"^content-length:[ ]*(\d{1,9})[ ]*\r\n", re.IGNORECASE | re.MULTILINE)
CLOSES = re.compile(rb"^connection:[ ]*close[ ]*\r\n", re.IGNORECASE | re.MULTILINE)

OK = 200


class Requests:
    """A connection for each meter, opened again where the server has closed it. What is not taken is lost."""

    def __init__(self, host: str, port: int) -> None:
        """Connect when there is something to send."""
        self.answers: Counter[int] = Counter()
        self.lost = 0
        self._address = (host, port)
        self._sockets: dict[str, socket.socket] = {}
        self._begun: dict[str, bytes] = {}
        self._last_fault = ""

    def send(self, chunk: Chunk) -> None:
        """Send a request, or a piece of one, and take the answer of one that is complete.

        A connection that was closed meanwhile is opened again, once.
        """
        for is_fresh in (chunk.stream not in self._sockets, True):
            try:
                self._exchange(chunk)
            except (OSError, ValueError) as error:
                self._drop(chunk.stream)
                if is_fresh:
                    self.lost += 1
                    self._report(str(getattr(error, "strerror", None) or error))
                    return
            else:
                return

    def close(self) -> str:
        """Close all connections. Raises Unavailable if nothing was taken."""
        for stream in list(self._sockets):
            self._drop(stream)
        refused = [f"{count} refused ({code})" for code, count in sorted(self.answers.items()) if code != OK]
        taken = self.answers[OK]
        counts = ", ".join(
            [f"{plural(taken, 'request')} taken by {self._target}", *refused, f"{self.lost} without an answer"]
        )
        if not taken and (refused or self.lost):
            raise Unavailable(f"{counts}; {self._last_fault}: check that a source http listens there, and its token")
        return counts

    @property
    def _target(self) -> str:
        host, port = self._address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _exchange(self, chunk: Chunk) -> None:
        connection = self._sockets.get(chunk.stream)
        if connection is None:
            connection = self._sockets[chunk.stream] = socket.create_connection(self._address, TIMEOUT)
        connection.sendall(chunk.data)
        self._begun[chunk.stream] = begun = self._begun.get(chunk.stream, b"") + chunk.data
        if not _is_complete(begun):
            return
        del self._begun[chunk.stream]
        code, text, closes = _receive(connection)
        self.answers[code] += 1
        if code == OK:
            self._last_fault = ""
        else:
            self._report(f"{code}, {text}")
        if closes:
            self._drop(chunk.stream)

    def _drop(self, stream: str) -> None:
        if stream in self._sockets:
            self._sockets.pop(stream).close()
        self._begun.pop(stream, None)

    def _report(self, fault: str) -> None:
        if fault != self._last_fault:
            self._last_fault = fault
            say(f"btcore simulate: {self._target}: {fault}")


def _is_complete(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    length = LENGTH.search(head + b"\r\n")
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


def _receive(connection: socket.socket) -> tuple[int, str, bool]:
    """Return code and text of an answer, and whether the connection is closed after it. Raises OSError, ValueError."""
    data = b""
    while (head := ANSWER.match(data)) is None:
        data = _more(connection, data)
    length = LENGTH.search(head["headers"])
    size = head.end() + (int(length[1]) if length else 0)
    while len(data) < size:
        data = _more(connection, data)
    text = data[head.end() : size].decode("latin-1").strip()
    printable = "".join(letter if letter.isprintable() else " " for letter in text)[:200]
    return int(head["code"]), printable, length is None or CLOSES.search(head["headers"]) is not None


def _more(connection: socket.socket, data: bytes) -> bytes:
    more = connection.recv(4096)
    if not more or len(data) + len(more) > MAX_ANSWER:
        raise ValueError("the connection was closed without an answer" if not more else "the answer is too long")
    return data + more
