# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to Home Assistant's WebSocket API: logged in by a token, one command after the other.

What the commands are belongs to `recorder.py`.
"""

import json
import logging
import ssl
import time
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import attrs
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from btcore import Duration, Retry, Secret, Stop

MAX_MESSAGE_BYTES = 16 << 20
"""The largest answer that is taken: the rows of some months, of a few statistics."""

SILENT = logging.Logger("btmon_home_assistant", logging.CRITICAL + 1)  # noqa: LOG001 - it is to be in no hierarchy
"""The library's own log, which is not kept: it has each message, the token among them."""

Answer = dict[str, Any]


class TlsStop(Stop):
    """The certificate is not trusted, or there is no TLS."""


@attrs.frozen
class Server:
    """Where Home Assistant is, and how one logs in."""

    url: str
    token: Secret
    timeout: Duration
    ssl_ca: Path | None = None

    def __str__(self) -> str:
        """Return how messages name it."""
        return f"Home Assistant at {self.url}"


class Connection:
    """A connection, from `with` on. Each wait has its end; what is wrong raises Retry or Stop."""

    def __init__(self, server: Server) -> None:
        """Remember where; nothing is opened yet."""
        self.server = server
        self.version: tuple[int, ...] = ()
        self._last_id = 0
        self._open = ExitStack()
        self._socket: ClientConnection

    def __enter__(self) -> Self:
        """Connect and log in."""
        with ExitStack() as opening:
            self._socket = self._connect(opening)
            self._log_in()
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        """Disconnect."""
        self._open.close()

    def call(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 - whatever the command answers
        """Give a command and return its result. Raises Retry or Stop."""
        self._last_id += 1
        self._send({"id": self._last_id, "type": command, **arguments})
        deadline = time.monotonic() + self.server.timeout
        while (answer := self._receive(deadline)).get("id") != self._last_id or answer.get("type") != "result":
            pass  # a word that nobody asked for
        if not answer.get("success"):
            self._refuse(command, answer.get("error"))
        return answer.get("result")

    def _connect(self, opening: ExitStack) -> ClientConnection:
        server = self.server
        address = f"ws{server.url.removeprefix('http').rstrip('/')}/api/websocket"
        try:
            connecting = connect(
                address,
                ssl=_trust(server.ssl_ca) if address.startswith("wss:") else None,
                open_timeout=server.timeout,
                close_timeout=1,
                max_size=MAX_MESSAGE_BYTES,
                create_connection=_Unredirected,
                logger=SILENT,
            )
            return opening.enter_context(connecting)
        except (Retry, Stop) as error:
            raise type(error)(f"{server} {error}") from None
        except ssl.SSLCertVerificationError as error:
            why = f"the certificate of {server} is not trusted: {error.verify_message}; correct `ssl_ca` or `url`"
            raise TlsStop(why) from None
        except (OSError, ValueError, ImportError, WebSocketException) as error:  # a name or a proxy that cannot be
            raise Retry(f"{server} cannot be reached: {_describe(error)}") from None

    def _log_in(self) -> None:
        deadline = time.monotonic() + self.server.timeout
        greeting = self._receive(deadline)
        if greeting.get("type") == "auth_required":
            self._send({"type": "auth", "access_token": self.server.token.reveal()})
            greeting = self._receive(deadline)
        if greeting.get("type") == "auth_invalid":
            raise Stop(
                f"{self.server} refuses the token; make a new one (your profile, Security) and set it as `token`"
            )
        if greeting.get("type") != "auth_ok":
            raise Retry(f"{self.server} does not answer as it should; is `url` right?")
        self.version = _version(greeting.get("ha_version"))

    def _refuse(self, command: str, error: object) -> None:
        """Raise what the error of a command means."""
        code, message = (error.get("code"), error.get("message")) if isinstance(error, dict) else ("", "")
        if code == "unauthorized":
            raise Stop(f"{self.server}: the token is of a user who may not write; make one as an administrator")
        if code == "unknown_command":
            raise Retry(f"{self.server} does not know {command}: it is starting, or its `recorder` is off")
        details = f"{code}: {message}"[:300]
        if code == "invalid_format":
            raise Stop(f"{self.server} does not take {command}: {details}; update btmon-home-assistant")
        raise Retry(f"{self.server} failed to do {command}: {details}")

    def _send(self, message: Answer) -> None:
        try:
            self._socket.send(json.dumps(message))
        except (OSError, WebSocketException) as error:
            raise Retry(f"{self.server} has ended the connection: {_describe(error)}") from None

    def _receive(self, deadline: float) -> Answer:
        try:
            answer = json.loads(self._socket.recv(timeout=max(deadline - time.monotonic(), 0)))
        except TimeoutError:
            raise Retry(f"no answer from {self.server} within {self.server.timeout}") from None
        except (OSError, WebSocketException) as error:
            raise Retry(f"{self.server} has ended the connection: {_describe(error)}") from None
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise Retry(f"{self.server} does not answer as it should; is `url` right?")
        return answer


def _trust(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ValueError) as error:
        raise TlsStop(f"{ca} has no certificates that can be read ({_describe(error)}); correct `ssl_ca`") from None


class _Unredirected(ClientConnection):
    """A connection that follows no redirect: the token is for the address of the settings alone."""

    def handshake(self, *given: Any, **more: Any) -> None:  # noqa: ANN401 - the library's own
        """Ask for a WebSocket. Raises Retry or Stop for an answer of HTTP."""
        try:
            super().handshake(*given, **more)
        except InvalidStatus as error:
            raise _meaning(error.response.status_code, error.response.headers.get("Location")) from None


def _meaning(status: int, location: str | None) -> Retry | Stop:
    """Return what an answer of HTTP means, where a WebSocket was asked for."""
    if location:
        return Stop(f"redirects to {location:.200}; write the address there as `url`")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Stop(f"answers {status}: it, or a proxy before it, does not let this computer in; see its ip_bans.yaml")
    if status == HTTPStatus.NOT_FOUND:
        return Stop(f"answers {status}: this is no Home Assistant; correct `url`")
    return Retry(f"answers {status}: it is starting, or a proxy does not reach it")


def _describe(error: Exception) -> str:
    if isinstance(error, ConnectionClosed) and error.rcvd is None:
        return "without a word"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _version(text: object) -> tuple[int, ...]:
    """Return year and month of a version, such as 2025.4.4; empty where it is none."""
    year, _, rest = str(text).partition(".")
    month = rest.partition(".")[0]
    return (int(year), int(month)) if year.isdecimal() and month.isdecimal() else ()
