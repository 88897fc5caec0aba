# SPDX-License-Identifier: GPL-3.0-or-later
"""A request has one deadline, from the look-up of the name to the last byte; whatever keeps it waiting, it is kept."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.raw_server import RawServer, Talk, answering, dribbling, silent

from btcore import Retry
from btcore.testing import HostedService, Reply
from btcore.web import Client

TIMEOUT = 0.4
MARGIN = 0.6
"""Seconds more that a busy machine may take."""

DRIBBLES: dict[str, Talk] = {
    "status line": dribbling(b"HTTP/1.1 200 ", b"O"),
    "headers": dribbling(b"HTTP/1.1 200 OK\r\nX-A: ", b"x"),
    "header lines": dribbling(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", b"X-A: 1\r\n"),
    "100 Continue": dribbling(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "chunk sizes": dribbling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "chunk extensions": dribbling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;", b"x"),
    "chunks": dribbling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "body": dribbling(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nok", b"x"),
    "body without length": dribbling(b"HTTP/1.1 200 OK\r\n\r\nok", b"x"),
    "trailers": dribbling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", b"X-A: 1\r\n"),
    "nothing": silent,
}


@pytest.fixture
def client() -> Iterator[Client]:
    """Make a client with little time."""
    made = Client(agent="btmon-test", timeout=TIMEOUT)
    yield made
    made.close()


def given_up(client: Client, url: str, more: str = "") -> None:
    """Ask; it is given up in time, and told with host and seconds."""
    host = url.partition("//")[2].partition("/")[0]
    began = time.monotonic()
    with pytest.raises(Retry) as error:
        client.send("GET", url)
    assert TIMEOUT - 0.05 <= time.monotonic() - began < TIMEOUT + MARGIN
    assert str(error.value) == f"{host} did not answer within {TIMEOUT:g} s{more}"


@pytest.mark.servers
@pytest.mark.parametrize("where", DRIBBLES)
def test_what_dribbles_is_given_up_in_time(client: Client, where: str) -> None:
    """In whatever part of the answer a service sends a byte now and then: never longer than the time-out."""
    with RawServer(DRIBBLES[where]) as service:
        given_up(client, service.url)


@pytest.mark.servers
@pytest.mark.parametrize("where", ["status line", "headers", "100 Continue", "body without length", "trailers"])
def test_a_connection_that_was_kept_has_a_deadline_too(client: Client, where: str) -> None:
    """The second request over the same connection is given up like the first."""
    kept = {
        "status line": (b"HTTP/1.1 200 ", b"O"),
        "headers": (b"HTTP/1.1 200 OK\r\nX-A: ", b"x"),
        "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        "body without length": (b"HTTP/1.1 200 OK\r\n\r\nok", b"x"),
        "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", b"X-A: 1\r\n"),
    }
    with RawServer(dribbling(*kept[where], after=1)) as service:
        assert client.send("GET", service.url).text == "ok"
        given_up(client, service.url)
        assert service.connections == 1


@pytest.mark.servers
def test_a_tls_handshake_that_stalls_is_given_up(client: Client) -> None:
    """A service that accepts and says nothing, or a byte now and then, holds nobody."""

    def slow(connection: socket.socket, closing: threading.Event) -> None:
        # the head of a record of TLS that is never complete
        connection.sendall(b"\x16\x03\x03\x20\x00")
        while not closing.wait(0.02):
            connection.sendall(b"\x02")

    for talk in (silent, slow):
        with RawServer(talk) as service:
            given_up(client, service.url.replace("http:", "https:"))


@pytest.mark.servers
def test_a_service_that_does_not_read_is_given_up(client: Client) -> None:
    """A body that is never taken does not hold the sink either."""
    began = time.monotonic()
    with RawServer(silent) as service, pytest.raises(Retry, match="did not answer within"):
        client.send("POST", service.url, data=b"x" * 30_000_000)
    assert time.monotonic() - began < TIMEOUT + MARGIN


def test_a_resolver_that_hangs_is_left_behind_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name cannot be looked up: given up in time; while that hangs the next request fails at once."""
    released, asked = threading.Event(), list[str]()
    real = socket.getaddrinfo

    def hang(host: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as getaddrinfo has it
        if kwargs.get("flags"):
            return real(host, *args, **kwargs)
        asked.append(host)
        released.wait(30)
        return real("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        given_up(client, "http://service.example", ": the look-up of its name does not return")
        threads = threading.active_count()
        with pytest.raises(
            Retry, match=r"no answer from service\.example: an earlier look-up of a name has not returned"
        ):
            client.send("GET", "http://service.example")
        assert (asked, threading.active_count()) == (["service.example"], threads)
    finally:
        released.set()


@pytest.mark.servers
def test_after_a_look_up_that_hung_it_goes_on(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the resolver answers again, so does the service."""
    released = threading.Event()
    real = socket.getaddrinfo

    def late(host: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as getaddrinfo has it
        if kwargs.get("flags"):
            return real(host, *args, **kwargs)
        released.wait(30)
        return real("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", late)
    with HostedService(Reply(200, "ok")) as service:
        url = service.url.replace("127.0.0.1", "service.example")
        given_up(client, url, ": the look-up of its name does not return")
        released.set()
        for thread in threading.enumerate():
            if thread.name == "look-up":
                thread.join(5)
        assert client.send("GET", url).text == "ok"


@pytest.fixture
def deaf() -> Iterator[int]:
    """Hold a port of which no connection is ever accepted: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.settimeout(0)
            one.connect_ex(listener.getsockname())
            waiting.append(one)
        yield listener.getsockname()[1]
        for one in waiting:
            one.close()


def addresses(monkeypatch: pytest.MonkeyPatch, *found: tuple[str, int]) -> None:
    """Let the name service.example have these addresses."""
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as getaddrinfo has it
        if host != "service.example":
            return real(host, port, *args, **kwargs)
        if kwargs.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "it is a name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in found]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def test_several_addresses_of_which_none_answers_share_the_time(
    client: Client, deaf: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not each of them has all of it."""
    addresses(monkeypatch, *[("127.0.0.1", deaf)] * 4)
    given_up(client, "http://service.example")


@pytest.mark.servers
def test_the_second_address_is_tried_while_there_is_time(
    client: Client, deaf: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first address that does not answer leaves time for the one that does."""
    with HostedService(Reply(200, "ok")) as service:
        addresses(monkeypatch, ("127.0.0.1", deaf), ("127.0.0.1", service.port))
        assert client.send("GET", "http://service.example").text == "ok"


@pytest.mark.servers
def test_a_proxy_of_the_environment_is_used_and_kept_to_the_deadline(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request goes through the proxy; one that dribbles is given up, with https in the tunnel's answer."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with HostedService(Reply(200, "ok")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert client.send("GET", "http://service.example/a").text == "ok"
        assert proxy.requests[0].path == "/a"
    with RawServer(dribbling(b"HTTP/1.1 200 ", b"O")) as proxy_that_dribbles:
        for scheme in ("http", "https"):
            monkeypatch.setenv(f"{scheme}_proxy", proxy_that_dribbles.url)
            given_up(client, f"{scheme}://service.example")


@pytest.mark.servers
def test_a_proxy_that_refuses_is_told_as_such(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own words, without the control characters in them."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with RawServer(answering(b"HTTP/1.1 407 Log\x1b[31m in\r\nContent-Length: 0\r\n\r\n")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with pytest.raises(Retry) as error:
            client.send("GET", "https://service.example/")
    assert str(error.value) == (
        "no answer from service.example through the proxy: Tunnel connection failed: 407 Log [31m in"
    )


def count_descriptors() -> int:
    """Count what this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.servers
@pytest.mark.parametrize("kind", ["kept", "closed", "broken", "late"])
def test_no_thread_and_no_descriptor_is_left_behind(kind: str) -> None:
    """Over 200 requests, answered over a connection that is kept, one each, broken off, or given up."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    talks: dict[str, Talk] = {
        "kept": dribbling(b"", b"", after=1000),
        "closed": answering(answer + b"ok"),
        "broken": answering(answer + b"o"),
        "late": silent,
    }
    client = Client(agent="btmon-test", timeout=0.01 if kind == "late" else 5)
    with RawServer(talks[kind]) as service:
        for _ in range(3):
            ask(client, service.url)
        threads, descriptors = count_own_threads(), settled(count_descriptors, 10**6)
        for _ in range(200):
            ask(client, service.url)
        assert count_own_threads() == threads
        served = service.connections
    client.close()
    # the server's own ends of the connections are this process's too, until it is closed
    assert settled(count_descriptors, descriptors) <= descriptors
    assert (served == 1) is (kind == "kept")


def ask(client: Client, url: str) -> None:
    """Ask, whatever comes of it."""
    try:
        client.send("GET", url)
    except Retry:
        return


def count_own_threads() -> int:
    """Count the threads that are not the server's."""
    return sum(thread.name != "raw server" for thread in threading.enumerate())


def settled(count: Callable[[], int], expected: int) -> int:
    """Count until it is as expected, for a while."""
    until = time.monotonic() + 2
    while (found := count()) > expected and time.monotonic() < until:
        time.sleep(0.01)
    return found
