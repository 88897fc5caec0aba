# SPDX-License-Identifier: GPL-3.0-or-later
"""An answer of which a part is missing is never judged as if it were whole: it is to be sent again."""

import gzip
import socket
import ssl
import threading
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from helpers.certificates import make_certificate
from helpers.property_tests import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers.raw_server import RawServer, answering, read_request

from btcore import Retry
from btcore.testing import HostedService, Reply
from btcore.web import MAX_BODY_BYTES, Client

pytestmark = pytest.mark.servers

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def encoded(coding: str, body: bytes, length: bool = True) -> bytes:
    """Return an answer with a body that is sent compressed."""
    size = f"Content-Length: {len(body)}\r\n".encode() if length else b""
    return OK + size + f"Content-Encoding: {coding}\r\n\r\n".encode() + body


def ask(answer: bytes) -> str:
    """Return the text of an answer that comes so on the wire."""
    client = Client(agent="btmon-test", timeout=5)
    with RawServer(answering(answer)) as service:
        try:
            return client.send("GET", service.url).text
        finally:
            client.close()


GZIPPED = gzip.compress(b'{"success": false, "message": "no"}')
DEFLATED = zlib.compress(b'{"success": false}')

WHOLE = {
    "with a length": (OK + b"Content-Length: 2\r\n\r\nok", "ok"),
    "until the end": (OK + b"\r\nok", "ok"),
    "in chunks": (CHUNKED + b"1\r\no\r\n1;a=b\r\nk\r\n0\r\n\r\n", "ok"),
    "with trailers": (CHUNKED + b"2\r\nok\r\n0\r\nX-A: 1\r\n\r\n", "ok"),
    "without a body": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", ""),
    "gzip": (encoded("gzip", GZIPPED), '{"success": false, "message": "no"}'),
    "gzip of two members": (encoded("x-gzip", gzip.compress(b"o") + gzip.compress(b"k")), "ok"),
    "deflate": (encoded("deflate", DEFLATED), '{"success": false}'),
    "deflate without header": (encoded("Deflate", DEFLATED[2:-4]), '{"success": false}'),
    "compressed nothing": (encoded("gzip", b""), ""),
    "identity": (encoded("identity", b"ok"), "ok"),
    "as long as may be": (
        OK + b"Content-Length: %d\r\n\r\n" % MAX_BODY_BYTES + b"x" * MAX_BODY_BYTES,
        "x" * MAX_BODY_BYTES,
    ),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_answer_is_read_whatever_its_form(kind: str) -> None:
    """Its length may be told, or come in chunks, or be where the connection ends; it may be compressed."""
    answer, text = WHOLE[kind]
    assert ask(answer) == text


CUT = {
    "with a length": OK + b"Content-Length: 100\r\n\r\nok",
    "with a length, nothing": OK + b"Content-Length: 100\r\n\r\n",
    "within a chunk": CHUNKED + b"10\r\nok",
    "between chunks": CHUNKED + b"2\r\nok\r\n",
    "within the size of a chunk": CHUNKED + b"2\r\nok\r\n0",
    "before any chunk": CHUNKED,
    "a size that is none": CHUNKED + b"2\r\nok\r\n-1\r\n",
    "gzip": encoded("gzip", GZIPPED[:-10]),
    "gzip without its check": encoded("gzip", GZIPPED[:-1]),
    "gzip, the head alone": encoded("gzip", GZIPPED[:6]),
    "gzip, nothing, until the end": encoded("gzip", b"", length=False),
    "deflate": encoded("deflate", DEFLATED[:-3]),
    "deflate without header": encoded("deflate", DEFLATED[2:-8]),
    "what is no gzip": encoded("gzip", b"ok"),
    "a coding that nobody asked for": encoded("br", b"ok"),
    "two codings": encoded("gzip, gzip", gzip.compress(GZIPPED)),
    "longer than may be": OK + b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1) + b"x" * (MAX_BODY_BYTES + 1),
    "longer than may be, in chunks": CHUNKED + (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 17 + b"0\r\n\r\n",
    "longer than may be, until the end": OK + b"\r\n" + b"x" * (MAX_BODY_BYTES + 1),
    "a bomb": encoded("gzip", gzip.compress(bytes(50_000_000), 1)),
}


@pytest.mark.parametrize("kind", CUT)
def test_an_answer_that_was_cut_is_none(kind: str) -> None:
    """200 and half a body is neither delivered nor refused: nobody knows what the other half said."""
    with pytest.raises(Retry, match=r"^the answer of 127\.0\.0\.1:\d+ was cut off: \S"):
        ask(CUT[kind])


@pytest.mark.parametrize("body", [b"", b"half of it"])
def test_a_connection_that_is_reset_within_an_answer_is_a_cut(body: bytes) -> None:
    """Also where nothing says how long the body is."""

    def talk(connection: socket.socket, closing: threading.Event) -> None:
        if read_request(connection):
            connection.sendall(OK + b"Content-Length: 100\r\n\r\n" + body)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    client = Client(agent="btmon-test", timeout=5)
    with RawServer(talk) as service, pytest.raises(Retry, match=r"was cut off: |Connection reset"):
        client.send("GET", service.url)


def test_an_answer_without_end_is_given_up() -> None:
    """It is no answer that fits any service."""
    with (
        HostedService(Reply(200, "begin ", wire="flood")) as service,
        pytest.raises(Retry, match="was cut off: it is longer than 1048576 bytes"),
    ):
        Client(agent="btmon-test", timeout=5).send("GET", service.url)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.data())
def test_wherever_a_compressed_body_is_cut_it_is_told(cut: st.DataObject) -> None:
    """Only all of it is an answer."""
    body = cut.draw(st.sampled_from([GZIPPED, DEFLATED]))
    some = cut.draw(st.integers(0, len(body) - 1))
    with pytest.raises(Retry, match="was cut off"):
        ask(encoded("gzip" if body is GZIPPED else "deflate", body[:some], length=False))


def test_an_end_of_tls_that_is_not_announced_is_a_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody on the way can end a connection; where no length is told, only the service says that it is all."""
    certificate, key = make_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    announced = [True, False]

    def talk(connection: socket.socket, _closing: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            if read_request(secure):
                secure.sendall(OK + b"\r\nok")
                if announced.pop(0):
                    secure.unwrap()

    client = Client(agent="btmon-test", timeout=5)
    with RawServer(talk) as service:
        url = service.url.replace("http:", "https:")
        assert client.send("GET", url).text == "ok"
        with pytest.raises(Retry, match="was cut off: "):
            client.send("GET", url)
    client.close()


def test_certificates_of_ones_own_are_trusted_instead_of_the_usual_ones(tmp_path: Path) -> None:
    """`ca` vouches for a server that nobody else vouches for; without it, nothing is sent."""
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def talk(connection: socket.socket, _closing: threading.Event) -> None:
        with suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as secure:
            if read_request(secure):
                secure.sendall(OK + b"Content-Length: 2\r\n\r\nok")

    with RawServer(talk) as service:
        url = service.url.replace("http:", "https:")
        assert Client(agent="btmon-test", timeout=5, ca=certificate).send("GET", url).text == "ok"
        with pytest.raises(Retry, match="certificate verify failed"):
            Client(agent="btmon-test", timeout=5).send("GET", url)
