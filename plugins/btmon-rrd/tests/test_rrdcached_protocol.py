# SPDX-License-Identifier: GPL-3.0-or-later
"""rrdcached's protocol: addresses, commands, and daemons that hang, end, or are something else."""

import socket
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers.raw_server import RawServer

from btcore import Retry
from btcore.testing.kit.waiting import PATIENCE
from btmon_rrd.daemon import _commands
from btmon_rrd.rrdcached import MAX_ANSWER_BYTES, MAX_LINE, Address, Connection, connect, line, parse_address

Talk = Callable[[socket.socket, threading.Event], None]

SHORT = 0.3
"""Seconds that a daemon that hangs is waited for."""


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/rrdcached.sock", Address(path="/run/rrdcached.sock")),
        ("/run/rrdcached.sock", Address(path="/run/rrdcached.sock")),
        ("nas", Address(host="nas", port=42217)),
        ("nas:4000", Address(host="nas", port=4000)),
        ("[::1]:4000", Address(host="::1", port=4000)),
        ("[::1]", Address(host="::1", port=42217)),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    """An address is a UNIX socket, or a host with or without its port."""
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "unix:", "unix:run/x", ":5", "nas:", "nas:x", "nas:70000", "a b", "[::1]x", "[]:5"]
)
def test_a_wrong_address_is_refused(text: str) -> None:
    """What is no address is told with what was expected."""
    with pytest.raises(ValueError, match=r'expected "unix:/run/rrdcached\.sock" or "host:port"'):
        parse_address(text)


def answering(*answers: bytes) -> Talk:
    """Return what a daemon does that gives these answers, one for each time that it is sent something."""

    def talk(connection: socket.socket, closing: threading.Event) -> None:
        for answer in answers:
            if not connection.recv(1 << 20):
                return
            connection.sendall(answer)
        closing.wait(PATIENCE)

    return talk


def connected(server: RawServer, timeout: float = PATIENCE) -> Connection:
    """Return a connection to a server."""
    return connect(Address(host="127.0.0.1", port=server.port), timeout)


def test_an_answer_has_the_lines_that_it_announces() -> None:
    """An answer is its text and as many lines as its number says; what comes after belongs to the next."""
    with RawServer(answering(b"2 Statistics follow\na: 1\nb: 2\n-1 No", b" such file\n")) as server:
        connection = connected(server)
        first = connection.command("STATS")
        assert (first.failed, first.text, first.lines) == (False, "Statistics follow", ("a: 1", "b: 2"))
        assert connection.command("LAST", "x").failed
        connection.close()


def test_a_batch_s_errors_are_by_command() -> None:
    """Errors of a batch are counted from 1 by rrdcached, and from 0 here."""
    with RawServer(answering(b"0 Go ahead\n", b"1 errors\n2 illegal attempt to update\n")) as server:
        connection = connected(server)
        commands = [line("UPDATE", "a", "1:1"), line("UPDATE", "b", "1:1")]
        assert connection.batch(commands) == {1: "illegal attempt to update"}
        connection.close()


def hang(_connection: socket.socket, closing: threading.Event) -> None:
    """Take the connection, and do nothing."""
    closing.wait(PATIENCE)


def hang_up(connection: socket.socket, _closing: threading.Event) -> None:
    """Take a command, and end the connection."""
    connection.recv(4096)


def flood(connection: socket.socket, closing: threading.Event) -> None:
    """Answer with a line that does not end."""
    while not closing.is_set():
        connection.sendall(b"x" * (MAX_ANSWER_BYTES // 8))


@pytest.mark.parametrize(
    ("talk", "timeout", "why"),
    [
        (hang, SHORT, "it does not answer"),
        (hang_up, PATIENCE, "it does not answer"),
        (flood, PATIENCE, "its answer does not end"),
        (answering(b"HTTP/1.1 400 Bad Request\n"), PATIENCE, "what answers is not rrdcached: HTTP/1.1 400"),
        (answering(b"999999 lines follow\n"), PATIENCE, "it announces 999999 lines"),
    ],
    ids=["hangs", "hangs up", "floods", "is a web server", "announces too much"],
)
def test_a_daemon_that_does_not_work_waits(talk: Talk, timeout: float, why: str) -> None:
    """A daemon that hangs, ends or is something else is a Retry that says which, and the connection is closed."""
    with RawServer(talk) as server:
        connection = connected(server, timeout)
        with pytest.raises(Retry, match=rf"rrdcached at 127.0.0.1:\d+: {why}.*; start it, or correct `daemon`"):
            connection.command("STATS")
        assert connection.is_closed


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ((b"-1 Unknown command: BATCH\n",), "it refuses a batch"),
        ((b"0 Go ahead\n", b"1 errors\nwhat\n"), "it answers what is not understood: what"),
    ],
)
def test_a_batch_that_is_not_answered_as_one_waits(answers: tuple[bytes, ...], why: str) -> None:
    """What a batch cannot be answered with is a Retry, too."""
    with RawServer(answering(*answers)) as server, pytest.raises(Retry, match=why):
        connected(server).batch([line("UPDATE", "a", "1:1")])


def test_a_daemon_that_is_not_there_waits() -> None:
    """Where nothing listens, that is said with the address."""
    with pytest.raises(
        Retry, match=r"rrdcached at unix:/nowhere/x: it cannot be reached \(No such file or directory\)"
    ):
        connect(parse_address("unix:/nowhere/x"), PATIENCE)


def test_blanks_and_backslashes_are_escaped() -> None:
    """A path with a blank, a backslash or an end of line is one word."""
    assert line("FLUSH", "our house/a\\b\nc.rrd") == "FLUSH our\\ house/a\\\\bc.rrd\n"


@given(st.lists(st.integers(0, 1 << 60), min_size=1, max_size=600), st.text("ab /\\", min_size=1, max_size=200))
def test_no_command_is_too_long(values: list[int], path: str) -> None:
    """However many points a file gets, they are sent in their order, in commands that rrdcached reads."""
    points = [f"{1_700_000_000 + n}:{value}" for n, value in enumerate(values)]
    commands = _commands(path, " ".join(points))
    assert max(map(len, commands)) <= MAX_LINE
    start = len(line("UPDATE", path)) - 1
    assert [point for one in commands for point in one[start:].split()] == points
