# SPDX-License-Identifier: GPL-3.0-or-later
"""The bounded server of pages."""

import http.client
import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from btcore import BtcoreError
from btcore.serve import HttpServer, Page
from btcore.serve.server import MAX_CLIENTS
from btcore.testing import wait_for


def full() -> Page:
    """Fail as a page does that cannot be made now."""
    raise BtcoreError("the disk is full")


@pytest.fixture
def server() -> Iterator[HttpServer]:
    """Serve two pages."""
    pages = {"/one": lambda: Page("ü\n", "text/plain; version=0.0.4"), "/full": full}
    with closing(HttpServer(("127.0.0.1", 0), pages, logging.getLogger("test"))) as made:
        made.open()
        yield made


def ask(server: HttpServer, path: str, method: str = "GET") -> tuple[int, str, bytes]:
    """Return status, type and body of an answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)) as client:
        client.request(method, path)
        answer = client.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()


def test_a_page_is_served_with_its_type(server: HttpServer) -> None:
    """Whatever stands behind `?` is ignored; HEAD has no body."""
    assert ask(server, "/one?x=1") == (200, "text/plain; version=0.0.4", "ü\n".encode())
    assert ask(server, "/one", "HEAD") == (200, "text/plain; version=0.0.4", b"")


def test_a_page_that_does_not_exist_names_those_that_do(server: HttpServer) -> None:
    """404, and what to ask for."""
    assert ask(server, "/") == (404, "text/plain; charset=utf-8", b"expected /one or /full\n")


def test_a_page_that_cannot_be_made_now_says_why(server: HttpServer) -> None:
    """503, with the error's text."""
    assert ask(server, "/full") == (503, "text/plain; charset=utf-8", b"the disk is full\n")


def test_a_server_that_never_began_can_be_closed() -> None:
    """It waits for nothing."""
    HttpServer(("127.0.0.1", 0), {}, logging.getLogger("test")).close()


def test_no_other_method_is_served(server: HttpServer) -> None:
    """Nothing can be changed over it."""
    assert ask(server, "/one", "POST")[0] == 501


def test_one_client_too_many_is_hung_up_on(server: HttpServer) -> None:
    """Those that send no request hold at most so many places, and one that leaves makes room."""
    with ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(server.server_address[:2])) for _ in range(MAX_CLIENTS)]  # type: ignore[arg-type]
        wait_for(lambda: server._free._value == 0, "all clients to be served")
        with socket.create_connection(server.server_address[:2], timeout=20) as more:  # type: ignore[arg-type]
            assert more.recv(1) == b""
        idle[0].close()
        wait_for(lambda: server._free._value == 1, "a client to be gone")
        assert ask(server, "/one")[0] == 200
