# SPDX-License-Identifier: GPL-3.0-or-later
"""The control socket: only its owner is answered, and whoever misbehaves harms nobody."""

import json
import os
import socket
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from btcore.control import MAX_REQUEST, SOCKET, server
from btcore.control.client import NotRunning, ask, ask_once
from btcore.control.server import MAX_CLIENTS, ControlServer
from btcore.errors import Unavailable, WrongUse
from btcore.testing import wait_for


def count(request: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Answer so many times."""
    for number in range(request["to"]):
        yield {"number": number}


def refuse(_request: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Raise what a person should read."""
    raise Unavailable("the disk is full")


def break_down(_request: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Raise what nobody expects."""
    raise KeyError("bug")


def correct(_request: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Raise what is the fault of who asks."""
    raise WrongUse("there is no such sink")


def import_late(_request: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Import a room that was there when the program was started, and is gone."""
    __import__("btcore.gone")
    return []


HANDLERS = {"count": count, "refuse": refuse, "correct": correct, "break": break_down, "late": import_late}


@pytest.fixture(params=["short", "long" * 40], ids=["short path", "long path"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a state directory, also one whose path is longer than a socket's may be."""
    folder = tmp_path / str(request.param)
    folder.mkdir()
    return folder


@pytest.fixture
def serving(state: Path) -> Iterator[ControlServer]:
    """Serve."""
    control = ControlServer(state)
    control.open()
    control.serve(HANDLERS)
    yield control
    control.close()


def raw(state: Path, data: bytes) -> bytes:
    """Send bytes, and return what comes until the end."""
    with connect(state) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(4096), b""))


def connect(state: Path) -> socket.socket:
    """Connect."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    directory = os.open(state, os.O_RDONLY)
    try:
        client.connect(f"/proc/self/fd/{directory}/{SOCKET}")
    finally:
        os.close(directory)
    return client


@pytest.mark.usefixtures("serving")
def test_a_request_has_its_answers_in_order(state: Path) -> None:
    """A command gets each answer as it comes."""
    assert list(ask(state, "count", to=3)) == [{"number": 0}, {"number": 1}, {"number": 2}]
    assert ask_once(state, "count", to=1) == {"number": 0}


@pytest.mark.usefixtures("serving")
def test_the_socket_is_its_owner_s(state: Path) -> None:
    """Nobody else may open it."""
    assert stat.S_IMODE((state / SOCKET).stat().st_mode) == 0o600


@pytest.mark.usefixtures("serving")
def test_another_user_is_refused(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the directory lets others in, the socket asks who they are: here this process is the other one."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setattr(server, "ROOT", 54321)
    with pytest.raises(Unavailable, match="only the user whose program this is may ask it"):
        ask_once(state, "count", to=1)


@pytest.mark.usefixtures("serving")
def test_a_program_that_was_upgraded_beneath_itself_says_so(state: Path) -> None:
    """A command whose room cannot be imported any more is answered: restart the program."""
    with pytest.raises(Unavailable, match="btcore was upgraded while it runs; restart it"):
        ask_once(state, "late")


@pytest.mark.usefixtures("serving")
def test_what_cannot_be_done_is_said_by_the_command(state: Path) -> None:
    """An error that a person should read arrives as the command's own, with what is to be done about it."""
    with pytest.raises(Unavailable, match="the running btcore says: the disk is full"):
        ask_once(state, "refuse")
    with pytest.raises(WrongUse, match=r"^there is no such sink$"):
        ask_once(state, "correct")


@pytest.mark.usefixtures("serving")
def test_a_fault_of_the_program_is_logged_and_hurts_nobody(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The client gets no answer, the log the traceback, the next client its answer."""
    with pytest.raises(Unavailable, match="without an answer"):
        ask_once(state, "break")
    wait_for(lambda: "a fault while a client" in caplog.text)
    assert ask_once(state, "count", to=1) == {"number": 0}


@pytest.mark.usefixtures("serving")
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "expected one line of JSON"),
        (b"nonsense\n", "expected one line of JSON"),
        (b"[1]\n", "expected one line of JSON"),
        (b"\xff\xfe\n", "expected one line of JSON"),
        (b"[" * 60_000 + b"\n", "expected one line of JSON"),
        (b"x" * (MAX_REQUEST + 10), "expected one line of JSON"),
        (b'{"command": ["status"]}\n', "unknown command; expected one of break, correct, count, late, refuse"),
        (b"{}\n", "unknown command; expected one of break, correct, count, late, refuse"),
    ],
    ids=["nothing", "words", "a list", "no text", "brackets", "too long", "an odd command", "no command"],
)
def test_nonsense_is_answered_with_what_was_expected(state: Path, data: bytes, said: str) -> None:
    """A client that sends anything else is told so."""
    assert said in json.loads(raw(state, data))["error"]


def test_a_client_that_says_nothing_is_hung_up_on(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds a place for a bounded time only."""
    monkeypatch.setattr(server, "TIMEOUT", 0.05)
    control = ControlServer(state)
    control.open()
    control.serve(HANDLERS)
    with connect(state) as client:
        assert client.recv(10) == b""
    control.close()


@pytest.mark.usefixtures("serving")
def test_clients_are_bounded(state: Path) -> None:
    """One more than may be is told so and hung up on at once; when another goes, the next is answered."""
    clients = [connect(state) for _ in range(MAX_CLIENTS)]
    with connect(state) as another:
        assert b"commands are asking it already" in another.recv(1000)
        assert another.recv(10) == b""
    with pytest.raises(Unavailable, match="8 commands are asking it already: try again"):
        ask_once(state, "count", to=1)
    for client in clients:
        client.sendall(b'{"command": "count", "to": 1}\n')
        assert json.loads(client.makefile().readline()) == {"number": 0}
        client.close()


def test_without_a_program_that_is_said(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No directory, no socket, and the socket of a program that was killed are all told as: none runs."""
    with pytest.raises(NotRunning, match="there is no such directory"):
        ask_once(state / "nowhere", "count", to=1)
    with pytest.raises(NotRunning, match="no btcore runs with"):
        ask_once(state, "count", to=1)
    monkeypatch.chdir(state)
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(SOCKET)
    with pytest.raises(NotRunning, match="no btcore runs with"):
        ask_once(state, "count", to=1)
    control = ControlServer(state)
    control.serve(HANDLERS)
    control.open()  # the next run takes its place
    assert ask_once(state, "count", to=1) == {"number": 0}
    control.close()
    assert not (state / SOCKET).exists()


def test_whoever_finds_the_socket_is_answered(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has its name when it listens, not before: else a command that starts with the program says that none runs."""
    found = []

    class Watched(socket.socket):
        def listen(self, backlog: int = 0, /) -> None:
            found.append((state / SOCKET).exists())
            super().listen(backlog)

    monkeypatch.setattr(socket, "socket", Watched)
    control = ControlServer(state)
    control.open()
    monkeypatch.undo()
    control.serve(HANDLERS)
    assert (found, ask_once(state, "count", to=1)) == ([False], {"number": 0})
    control.close()
    assert list(state.iterdir()) == []


def test_a_socket_that_cannot_be_made_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The program runs without it, and says so."""
    control = ControlServer(tmp_path / "nowhere")
    control.serve(HANDLERS)
    control.open()
    control.close()
    assert "`btcore status` cannot ask this program: no socket in" in caplog.text


def test_an_answer_that_is_none_is_told(state: Path) -> None:
    """A program of another version may answer otherwise."""

    def odd(_request: Mapping[str, Any]) -> Iterable[Any]:
        yield ["a list"]

    control = ControlServer(state)
    control.serve({"odd": odd})
    control.open()
    with pytest.raises(Unavailable, match="is it of another version"):
        ask_once(state, "odd")
    control.close()


def test_who_asks_while_the_program_starts_waits(state: Path) -> None:
    """The answer comes when there is one; no command takes a program that starts for one that does not run."""
    control = ControlServer(state)
    control.open()
    answers: list[object] = []
    client = threading.Thread(target=lambda: answers.append(ask_once(state, "count", to=1)))
    client.start()
    wait_for(lambda: control._free._value < MAX_CLIENTS, "the client")
    assert answers == []
    control.serve(HANDLERS)
    client.join(20)
    control.close()
    assert answers == [{"number": 0}]


def test_a_start_that_takes_long_is_told(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command does not wait for ever."""
    monkeypatch.setattr(server, "START_PATIENCE", 0.01)
    control = ControlServer(state)
    control.open()
    with pytest.raises(Unavailable, match="it is starting, and does not answer yet: try again"):
        ask_once(state, "count", to=1)
    control.close()


def test_a_program_that_stops_says_so(state: Path, serving: ControlServer) -> None:
    """Until its end the socket is there: nobody is told that another btcore has the state directory."""
    serving.refuse()
    with pytest.raises(Unavailable, match="it is stopping: try again when it has ended"):
        ask_once(state, "count", to=1)


def test_a_socket_that_cannot_be_made_is_made_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As where the directory is not there, or may only be read: it is said once, and the program is found later."""
    state = tmp_path / "state"
    control = ControlServer(state)
    control.open()
    control.serve(HANDLERS)
    control.check()
    assert [line for line in caplog.messages if "cannot ask this program" in line] == caplog.messages[:1]
    state.mkdir()
    control.check()
    assert list(ask(state, "count", to=1)) == [{"number": 0}]
    control.close()
    control.check()
    assert not (state / SOCKET).exists()


def test_a_socket_that_was_removed_is_made_again(serving: ControlServer, state: Path) -> None:
    """Whoever asks finds the program again once it has looked, also in a directory that is a new one."""
    serving.check()
    made = (state / SOCKET).stat().st_ino
    assert list(ask(state, "count", to=1)) == [{"number": 0}]
    serving.check()
    assert (state / SOCKET).stat().st_ino == made
    (state / SOCKET).unlink()
    state.rmdir()
    state.mkdir()
    serving.check()
    assert list(ask(state, "count", to=2)) == [{"number": 0}, {"number": 1}]
