# SPDX-License-Identifier: GPL-3.0-or-later
"""The connections of GEMs that send requests: each complete one is answered, and its packet passed on.

Who may connect, and how many, is as for a `tcp-server`.
"""

import time
from collections.abc import Generator, Iterator
from http import HTTPStatus
from typing import Any

import attrs

from btcore import Chunk, Secret
from btmon_http.packets import answer_to, format_answer, has_token, packet_of
from btmon_http.requests import Refusal, Request, RequestReader
from btmon_ip.connections import ServerConnection, ServerConnections

NO_PACKET = Refusal(
    HTTPStatus.BAD_REQUEST,
    "no packet of a GEM is in the request. Set the GEM's packet format to HTTP GET (3)",
)
WRONG_TOKEN = Refusal(
    HTTPStatus.FORBIDDEN,
    "the request has no `token`, or another one. Write the token into the path that the GEM sends to",
)
TOO_SLOW = Refusal(HTTPStatus.REQUEST_TIMEOUT, "the request was not complete within `request_timeout`")


@attrs.define
class _Begun:
    """The requests on a connection, and when the present one began."""

    reader: RequestReader = attrs.field(factory=RequestReader)
    since: float = 0.0


class HttpConnections(ServerConnections):
    """The connections to a port for requests."""

    advice = (
        "Set the GEM to send to an address of this computer and to this port, with the packet format HTTP GET (3), and"
        " let it through the firewall"
    )

    def __init__(self, *given: Any, token: Secret, request_timeout: float, **more: Any) -> None:  # noqa: ANN401 - passed on
        """Take what a `tcp-server` takes. `request_timeout` is in seconds; with no token, anybody may send."""
        super().__init__(*given, **more)
        self._token, self._request_timeout = token.reveal(), request_timeout
        self._begun: dict[ServerConnection, _Begun] = {}

    def serve_once(self) -> Iterator[Chunk]:
        """Do what a `tcp-server` does, and refuse the requests that take too long."""
        yield from super().serve_once()
        now = time.monotonic()
        for connection, begun in list(self._begun.items()):
            if begun.reader.is_within and now - begun.since >= self._request_timeout:
                self._refuse_request(connection, TOO_SLOW)
                yield self._end(connection, "too slow")

    def _is_within_packet(self, connection: ServerConnection) -> bool:
        begun = self._begun.get(connection)
        return begun is not None and begun.reader.is_within

    def _take(self, connection: ServerConnection, data: bytes) -> Iterator[Chunk]:
        """Answer the requests that these bytes complete; hang up after a refusal, and where the GEM wants it."""
        stays = yield from self._answer_all(connection, data)
        if stays:
            yield from self._check_packets(connection)
        else:
            yield self._end(connection, "answered")

    def _chunks(self, connection: ServerConnection, data: bytes) -> Iterator[Chunk]:
        yield from self._answer_all(connection, data)

    def _answer_all(self, connection: ServerConnection, data: bytes) -> Generator[Chunk, None, bool]:
        """Yield the packets of the requests; return whether the connection stays open."""
        begun = self._begun.setdefault(connection, _Begun())
        if not begun.reader.is_within:
            begun.since = time.monotonic()
        for found in begun.reader.feed(data):
            begun.since = time.monotonic()
            stays = yield from self._answer(connection, found)
            if not stays:
                return False
        return True

    def _answer(self, connection: ServerConnection, found: Request | Refusal) -> Generator[Chunk, None, bool]:
        """Answer one request, once its packet is taken; return whether the connection stays open."""
        if isinstance(found, Refusal):
            return self._refuse_request(connection, found)
        if self._token and not has_token(found, self._token):
            return self._refuse_request(connection, WRONG_TOKEN)
        packet = packet_of(found)
        if packet is None:
            return self._refuse_request(connection, NO_PACKET)
        yield Chunk(packet.raw, stream=connection.stream, address=connection.address)
        return self._reply(connection, HTTPStatus.OK, answer_to(packet), stays=found.stays) and found.stays

    def _refuse_request(self, connection: ServerConnection, refusal: Refusal) -> bool:
        self._warnings.warn(f"refused a request: {refusal.why}", connection.stream)
        self._reply(connection, refusal.status, refusal.why, stays=False)
        return False

    def _reply(self, connection: ServerConnection, status: HTTPStatus, text: str, *, stays: bool) -> bool:
        """Send an answer; return whether all of it was taken: who reads no answers is hung up on."""
        answer = format_answer(status, text, stays=stays)
        try:
            return connection.socket.send(answer) == len(answer)
        except OSError as error:
            self._log.debug("%s: took no answer: %s", connection.stream, error)
            return False

    def _end(self, connection: ServerConnection, why: str) -> Chunk:
        self._begun.pop(connection, None)
        return super()._end(connection, why)
