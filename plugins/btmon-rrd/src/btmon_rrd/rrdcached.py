# SPDX-License-Identifier: GPL-3.0-or-later
"""rrdcached's protocol: a connection, a command and its answer, many commands in one batch. No files, no readings.

Source of the protocol: rrdcached(1), PROTOCOL. A line is at most 4096 bytes, an answer begins with the number of lines
that follow, and what is sent in a batch is answered by the lines that went wrong.
"""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import attrs

from btcore import Retry

DEFAULT_PORT = 42217

MAX_LINE = 4000
"""rrdcached reads no command longer than 4096 bytes."""

MAX_ANSWER_LINES = 100_000
MAX_ANSWER_BYTES = 16_000_000
PART = 65_536
"""Bytes that are sent or received at once."""


@attrs.frozen
class Address:
    """Where rrdcached listens: a UNIX socket, or a host and its port."""

    path: str = ""
    host: str = ""
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        """As it is written in the configuration."""
        return f"unix:{self.path}" if self.path else f"{self.host}:{self.port}"

    def connect(self, timeout: float) -> socket.socket:
        """Connect. Raises OSError."""
        if not self.path:
            return socket.create_connection((self.host, self.port), timeout)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect(self.path)
        except OSError:
            connection.close()
            raise
        return connection


def parse_address(text: str) -> Address:
    """Read an address: `unix:/run/rrdcached.sock`, `/run/rrdcached.sock`, `host`, `host:port` or `[::1]:port`.

    Raises ValueError with what was expected.
    """
    expected = f'expected "unix:/run/rrdcached.sock" or "host:port", found "{text}"'
    path = text.removeprefix("unix:")
    if path != text or text.startswith("/"):
        if not path.startswith("/"):
            raise ValueError(expected)
        return Address(path=path)
    host, bracket, rest = text.removeprefix("[").partition("]") if text.startswith("[") else ("", "", "")
    if not bracket:
        host, colon, rest = text.partition(":")
        rest = colon + rest
    port = rest.removeprefix(":") if rest else str(DEFAULT_PORT)
    if not host or " " in host or not port.isdecimal() or not 0 < int(port) < 1 << 16 or rest[:1] not in ("", ":"):
        raise ValueError(expected)
    return Address(host=host, port=int(port))


@attrs.frozen
class Answer:
    """What rrdcached answered to a command: whether it failed, the text, and the lines that follow."""

    failed: bool
    text: str
    lines: tuple[str, ...] = ()


@attrs.define(eq=False)
class Connection:
    """A connection to rrdcached. Every exchange has an end, `timeout` seconds after its begin at the latest.

    All methods raise Retry where rrdcached cannot be reached, does not answer, or answers what it must not; the
    connection is closed then.
    """

    address: Address
    timeout: float
    _socket: socket.socket
    _received: bytearray = attrs.field(factory=bytearray)
    is_closed: bool = attrs.field(default=False, init=False)

    def command(self, *words: str) -> Answer:
        """Send one command; return its answer."""
        with self._exchange() as deadline:
            self._send(line(*words).encode(), deadline)
            return self._answer(deadline)

    def batch(self, commands: Sequence[str]) -> dict[int, str]:
        """Send commands as one batch; return what went wrong, by the index of the command."""
        with self._exchange() as deadline:
            self._send(b"BATCH\n", deadline)
            begun = self._answer(deadline)
            if begun.failed:
                raise self._lost(f"it refuses a batch: {begun.text}")
            self._send("".join([*commands, ".\n"]).encode(), deadline)
            return dict(map(self._error, self._answer(deadline).lines))

    def close(self) -> None:
        """Close it."""
        self.is_closed = True
        self._socket.close()

    def _error(self, text: str) -> tuple[int, str]:
        """Read a line about a command of a batch; these are counted from 1."""
        number, _, error = text.partition(" ")
        if not number.isdecimal():
            raise self._lost(f"it answers what is not understood: {text:.80}")
        return int(number) - 1, error

    @contextmanager
    def _exchange(self) -> Iterator[float]:
        try:
            yield time.monotonic() + self.timeout
        except OSError as error:
            raise self._lost(f"it does not answer ({error.strerror or error or 'timed out'})") from error
        except BaseException:
            self.close()
            raise

    def _lost(self, why: str) -> Retry:
        self.close()
        return unreachable(self.address, why)

    def _send(self, data: bytes, deadline: float) -> None:
        self._socket.settimeout(_left(deadline))
        self._socket.sendall(data)

    def _answer(self, deadline: float) -> Answer:
        first = self._line(deadline)
        number, _, text = first.partition(" ")
        try:
            count = int(number)
        except ValueError:
            raise self._lost(f"what answers is not rrdcached: {first:.80}") from None
        if count > MAX_ANSWER_LINES:
            raise self._lost(f"it announces {count} lines")
        return Answer(count < 0, text, tuple(self._line(deadline) for _ in range(count)))

    def _line(self, deadline: float) -> str:
        while (end := self._received.find(b"\n")) < 0:
            if len(self._received) > MAX_ANSWER_BYTES:
                raise self._lost("its answer does not end")
            self._socket.settimeout(_left(deadline))
            data = self._socket.recv(PART)
            if not data:
                raise ConnectionResetError("it closed the connection")
            self._received += data
        found = self._received[:end].decode("utf-8", "replace")
        del self._received[: end + 1]
        return found


def connect(address: Address, timeout: float) -> Connection:
    """Connect to rrdcached. Raises Retry."""
    try:
        return Connection(address, timeout, address.connect(timeout))
    except OSError as error:
        raise unreachable(address, f"it cannot be reached ({error.strerror or error})") from error


def unreachable(address: Address, why: str) -> Retry:
    """Return the error of a daemon that does not do its work."""
    return Retry(f"rrdcached at {address}: {why}; start it, or correct `daemon`: the readings wait in the journal")


def line(*words: str) -> str:
    """Return a command as it is sent."""
    return " ".join(map(escape, words)) + "\n"


def escape(word: str) -> str:
    """Return a word as it is sent: blanks and backslashes within it are escaped."""
    return word.replace("\\", "\\\\").replace(" ", "\\ ").replace("\n", "")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
