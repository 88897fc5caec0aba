# SPDX-License-Identifier: GPL-3.0-or-later
"""`tcp-server`: claiming a port, giving it back, and what the system refuses."""

import contextlib
import errno
import itertools
import logging
import os
import re
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from btcore import Chunk, Context, Retry
from btmon_ip.descriptors import RESERVED_DESCRIPTORS, max_open_connections
from btmon_ip.server import TcpServer

PATIENCE = 20.0
CONTEXT = Context(name="source.test", log=logging.getLogger("test.ip.listening"))

pytestmark = [pytest.mark.servers, pytest.mark.timeout(60)]


@contextlib.contextmanager
def opened(server: TcpServer, caplog: pytest.LogCaptureFixture) -> Iterator[int]:
    """Open a server, and read the port from the log as a person would."""
    caplog.set_level(logging.INFO)
    server.open(CONTEXT)
    try:
        yield int(re.findall(r"listening on \S+:(\d+)$", caplog.messages[-1])[0])
    finally:
        server.close()


def connect(port: int, data: bytes, host: str = "127.0.0.1") -> socket.socket:
    """Connect and send."""
    client = socket.create_connection((host, port), PATIENCE)
    client.sendall(data)
    return client


def collect(server: TcpServer, *wanted: bytes) -> list[Chunk]:
    """Collect until all the wanted bytes came."""
    stop, chunks = threading.Event(), []
    watchdog = threading.Timer(PATIENCE, stop.set)
    watchdog.start()
    for chunk in server.collect(stop):
        chunks.append(chunk)
        if set(wanted) <= {some.data for some in chunks}:
            break
    watchdog.cancel()
    return chunks


def test_every_address(caplog: pytest.LogCaptureFixture) -> None:
    """Without a host the server is reached over IPv4, written as such, and over IPv6 where the machine has it."""
    server, expected = TcpServer(port=0), {b"4": "127.0.0.1:"}
    with opened(server, caplog) as port, contextlib.ExitStack() as clients:
        clients.enter_context(connect(port, b"4"))
        with contextlib.suppress(OSError):
            clients.enter_context(connect(port, b"6", "::1"))
            expected[b"6"] = "[::1]:"
        chunks = collect(server, *expected)
    assert expected == {chunk.data: re.sub(r"\d+#\d+$", "", chunk.stream) for chunk in chunks}


def test_a_name_as_host(caplog: pytest.LogCaptureFixture) -> None:
    """A host name is listened on, on the addresses of it that the machine has."""
    server = TcpServer(host="localhost", port=0)
    with opened(server, caplog) as port, connect(port, b"4"):
        assert [chunk.data for chunk in collect(server, b"4")] == [b"4"]


def test_a_port_in_use(caplog: pytest.LogCaptureFixture) -> None:
    """A port that is taken is told with what to do, and can be had when it is free again."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = TcpServer(host="127.0.0.1", port=other.getsockname()[1])
        with pytest.raises(Retry, match=r"cannot listen on 127.0.0.1:\d+: another program uses this port"):
            server.open(CONTEXT)
        server.close()
    with opened(server, caplog) as port:
        assert server.port == port


def test_an_address_of_another_machine() -> None:
    """An address that the machine does not have is told as that."""
    with pytest.raises(Retry, match="this machine has no such address"):
        TcpServer(host="192.0.2.1", port=0).open(CONTEXT)


def test_starting_again(caplog: pytest.LogCaptureFixture) -> None:
    """After a close the same port can be had at once, and no stream has the name of one before."""
    with opened(TcpServer(host="127.0.0.1", port=0), caplog) as free:
        pass
    server = TcpServer(host="127.0.0.1", port=free)
    streams = []
    for _ in range(2):
        with opened(server, caplog) as port, connect(port, b"packet"):
            streams += [chunk.stream[-2:] for chunk in collect(server, b"packet")]
    assert streams == ["#1", "#2"]


@contextlib.contextmanager
def bound_of_files(bound: int) -> Iterator[None]:
    """Let this process have descriptors below a number only."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (bound, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def few_files(more: int) -> contextlib.AbstractContextManager[None]:
    """Allow this process to open only so many more files; those that are open need not be numbered without a gap."""
    used = open_files()
    free = (number for number in itertools.count() if number not in used)
    return bound_of_files(next(itertools.islice(free, more, None)))


def open_files() -> set[int]:
    """Return the descriptors of this process; the one that lists them is gone again."""
    return {int(path.name) for path in list(Path("/proc/self/fd").iterdir()) if path.is_symlink()}


def test_the_bound_of_open_files_is_raised() -> None:
    """As far as the system lets it, where fewer connections than the setting allows could be open; else it stays."""
    with bound_of_files(len(open_files()) + RESERVED_DESCRIPTORS + 50):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert max_open_connections(10) == 10
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)
        assert max_open_connections(100) == 100
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


def test_more_connections_than_files_are_reported(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, when it opens, with what a person can do about it."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))  # its real one may be none, and stays
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    server = TcpServer(host="127.0.0.1", port=0, max_connections=10_000)
    server.open(CONTEXT)
    server.close()
    [told] = [one for one in caplog.messages if "max_connections" in one]
    assert "max_connections is 10000, but the system allows this program " in told
    assert "LimitNOFILE=" in told


def test_no_more_files(caplog: pytest.LogCaptureFixture) -> None:
    """When the system gives no more files, the connection silent for longest makes room, and every one is heard."""
    server = TcpServer(host="127.0.0.1", port=0)
    words = [b"%d" % number for number in range(8)]
    with opened(server, caplog) as port, contextlib.ExitStack() as stack:
        for word in words:
            stack.enter_context(connect(port, word))
        with few_files(2):
            chunks = collect(server, *words)
    assert words == sorted(chunk.data for chunk in chunks if chunk.data)
    assert sum(chunk.end for chunk in chunks) >= 6


def test_no_file_at_all(caplog: pytest.LogCaptureFixture) -> None:
    """When not even one connection can be had, the failure goes to the core, which waits before it tries again."""
    server = TcpServer(host="127.0.0.1", port=0)
    with opened(server, caplog) as port, connect(port, b""), few_files(0):
        collecting = server.collect(threading.Event())
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
            next(collecting)


@pytest.mark.parametrize(
    "wrong", [{"port": -1}, {"port": 65_536}, {"host": "10.0.0.1:8083"}, {"idle_timeout": 0}, {"max_connections": 0}]
)
def test_settings_that_cannot_be(wrong: dict[str, Any]) -> None:
    """Settings that make no sense are refused with what was expected."""
    with pytest.raises(ValueError, match=r"expected|must be"):
        TcpServer(**wrong)
