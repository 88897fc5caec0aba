# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests of simulated meters: each is answered before the next; a server that fails costs only what it lost."""

import socket
from threading import Event

import pytest
from servers.raw_server import RawServer, Talk

from btcore import Chunk
from btcore.cli.requests import Requests
from btcore.errors import Unavailable

pytestmark = pytest.mark.servers

REQUEST = b"GET /?a HTTP/1.1\r\n\r\n"
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nok\n"
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nno token\n"


def answering(*answers: bytes) -> Talk:
    """Answer one request after the other on a connection, then close it."""

    def talk(client: socket.socket, _closing: Event) -> None:
        for answer in answers:
            if not client.recv(4096):
                return
            client.sendall(answer)

    return talk


def sent(server: RawServer, *requests: bytes) -> Requests:
    """Send requests to a server."""
    destination = Requests("127.0.0.1", server.port)
    for request in requests:
        destination.send(Chunk(request, stream="a"))
    return destination


def test_a_connection_is_used_again() -> None:
    """Each request has its answer before the next is sent on the same connection."""
    with RawServer(answering(TAKEN, TAKEN, TAKEN)) as server:
        destination = sent(server, REQUEST, REQUEST, REQUEST)
        assert destination.close().startswith("3 requests taken by 127.0.0.1:")
        assert server.connections == 1


@pytest.mark.parametrize("answers", [(LAST,), (TAKEN,)], ids=["it is said", "it is not said"])
def test_a_connection_that_was_closed_is_opened_again(answers: tuple[bytes, ...]) -> None:
    """Whether or not the server said that it closes it; nothing is lost."""
    with RawServer(answering(*answers)) as server:
        assert sent(server, REQUEST, REQUEST).close().startswith("2 requests taken")
        assert server.connections == 2


def test_a_request_in_pieces_is_answered_once() -> None:
    """Its answer is waited for when all of it is sent, with its body."""
    put = b"PUT /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"
    with RawServer(lambda client, _closing: client.sendall(TAKEN) if receive(client, len(put)) else None) as server:
        assert sent(server, put[:9], put[9:-2], put[-2:]).close().startswith("1 request taken")


def receive(client: socket.socket, size: int) -> bool:
    """Receive so many bytes."""
    while size > 0 and (data := client.recv(size)):
        size -= len(data)
    return size == 0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (REFUSED, r"0 requests taken by 127\.0\.0\.1:\d+, 1 refused \(403\), 0 without an answer; 403, no token"),
        (b"nonsense", "1 without an answer; the connection was closed without an answer"),
        (b"x" * 20_000, "1 without an answer; the answer is too long"),
    ],
    ids=["refused", "nonsense", "too long"],
)
def test_what_is_not_taken_is_told(answer: bytes, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """At once, and in the end, with why; where nothing was taken that is a failure."""
    with RawServer(answering(answer)) as server:
        destination = sent(server, REQUEST)
        with pytest.raises(Unavailable, match=said):
            destination.close()
    assert capsys.readouterr().err.count("btcore simulate: 127.0.0.1:") == 1
