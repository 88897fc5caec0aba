# SPDX-License-Identifier: GPL-3.0-or-later
"""The server of the control socket: it answers commands of the same user while the program runs.

A client that sends nonsense, nothing, or too much is refused, and harms nobody: every wait has an end.
"""

import json
import logging
import os
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import BoundedSemaphore, Event, Thread
from typing import Any

from btcore.control import MAX_REQUEST, SOCKET, TIMEOUT, socket_path
from btcore.errors import UPGRADED, BtcoreError, WrongUse, is_upgraded
from btcore.text import describe_error

log = logging.getLogger("btcore.control")

MAX_CLIENTS = 8
"""Clients that are served at once; another one is refused."""

START_PATIENCE = 0.8 * TIMEOUT
"""Seconds for which a client waits while the program starts: less than a client has patience."""

UNNAMED = f"{SOCKET}.new"
"""The socket's name until it listens."""

ROOT = 0

FOREIGN = {"error": "only the user whose program this is may ask it"}
STARTING = {"error": "it is starting, and does not answer yet: try again in a moment; its log says what takes long"}
STOPPING = {"error": "it is stopping: try again when it has ended"}
BUSY = {"error": f"{MAX_CLIENTS} commands are asking it already: try again when one of them has ended"}

CREDENTIALS = struct.Struct("3i")
"""Process, user and group of the client, as SO_PEERCRED tells them."""

Request = Mapping[str, Any]
Handler = Callable[[Request], Iterable[Mapping[str, Any]]]
"""Answers a request with one or more objects. What it raises is told to the client."""


class ControlServer:
    """Serves the control socket of a state directory until it is closed: while the program starts and stops, too."""

    def __init__(self, state: Path) -> None:
        """Prepare."""
        self._state = state
        self._handlers: Mapping[str, Handler] | None = None
        self._has_started = Event()
        self._free = BoundedSemaphore(MAX_CLIENTS)
        self._listener: socket.socket | None = None
        self._found: object = None  # which file the socket is
        self._is_wanted = False
        self._is_missing = False  # it could not be made, which was said

    def open(self) -> None:
        """Listen, in a thread of its own. A socket that cannot be made is logged: the program runs without it."""
        self._is_wanted = True
        try:
            self._listener = _listen(self._state)
            self._found = self._file()
        except OSError as error:
            level = logging.DEBUG if self._is_missing else logging.WARNING
            text = "`btcore status` cannot ask this program: no socket in %s: %s"
            log.log(level, text, self._state, error.strerror)
            self._is_missing = True
            return
        self._is_missing = False
        Thread(target=self._serve, args=(self._listener,), name="control", daemon=True).start()

    def check(self) -> None:
        """Listen again where the socket was removed, as with the whole directory: nobody would find this program.

        So where it could not be made, as on a disk that may only be read.
        """
        if not self._is_wanted or (self._listener is not None and self._file() == self._found):
            return
        before, self._listener = self._listener, None
        if before is not None:
            _end(before)
        self.open()

    def _file(self) -> object:
        """Return which file the socket is; None where it is not there."""
        try:
            found = (self._state / SOCKET).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def serve(self, handlers: Mapping[str, Handler]) -> None:
        """Answer from now on, by the name of the command; whoever asks earlier waits for it."""
        self._handlers = handlers
        self._has_started.set()

    def refuse(self) -> None:
        """Answer nothing more: the program stops. What is being answered goes on."""
        self._handlers = None
        self._has_started.set()

    def close(self) -> None:
        """Listen no more, and remove the socket. Requests under way end with the process."""
        self._is_wanted = False
        if self._listener is None:
            return
        with suppress(OSError):
            (self._state / SOCKET).unlink()
        _end(self._listener)
        self._listener = None

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # it is closed
            with ExitStack() as refused:
                refused.callback(client.close)
                if not self._free.acquire(blocking=False):
                    _refuse(client)
                    continue
                refused.callback(self._free.release)
                Thread(target=self._answer, args=(client,), name="control client", daemon=True).start()
                refused.pop_all()

    def _answer(self, client: socket.socket) -> None:
        try:
            with client:
                client.settimeout(TIMEOUT)
                request = _receive(client)  # in any case: a client of which nothing was read would lose the answer
                answers = self._answers(request) if _is_allowed(client) else [FOREIGN]
                for answer in answers:
                    _send(client, answer)
        except OSError as error:
            log.debug("a client of the control socket is gone: %s", describe_error(error))
        except Exception:
            log.exception("a fault while a client of the control socket was answered")
        finally:
            self._free.release()

    def _answers(self, line: bytes) -> Iterable[Mapping[str, Any]]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):  # the second: thousands of brackets
            request = None
        if not isinstance(request, dict):
            yield {"error": f"expected one line of JSON, an object of at most {MAX_REQUEST} bytes"}
            return
        if not self._has_started.wait(START_PATIENCE):
            yield STARTING
            return
        handlers = self._handlers
        if handlers is None:
            yield STOPPING
            return
        handler = handlers.get(str(request.get("command")))
        if handler is None:
            yield {"error": f"unknown command; expected one of {', '.join(sorted(handlers))}"}
            return
        try:
            yield from handler(request)
        except BtcoreError as error:
            yield {"error": describe_error(error), "wrong_use": isinstance(error, WrongUse)}
        except ImportError as error:
            if not is_upgraded(error):
                raise
            log.warning("%s (%s)", UPGRADED, error)
            yield {"error": UPGRADED}


def _listen(state: Path) -> socket.socket:
    """Return a listening socket in a state directory that this process has locked."""
    directory = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    with ExitStack() as failing:
        failing.callback(os.close, directory)
        (state / UNNAMED).unlink(missing_ok=True)  # of a program that was killed
        listener = failing.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        os.fchmod(listener.fileno(), 0o600)  # before it has a name: Linux gives the file this mode
        listener.bind(socket_path(state, directory, UNNAMED))
        failing.callback((state / UNNAMED).unlink, missing_ok=True)
        listener.listen(MAX_CLIENTS)
        (state / UNNAMED).replace(state / SOCKET)  # whoever finds the socket is answered
        failing.pop_all()
    os.close(directory)
    return listener


def _end(listener: socket.socket) -> None:
    with suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for clients
    listener.close()


def _is_allowed(client: socket.socket) -> bool:
    """Whether the client's user is that of this process, or root."""
    raw = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    _, user, _ = CREDENTIALS.unpack(raw)
    return user in {ROOT, os.geteuid()}


def _receive(client: socket.socket) -> bytes:
    """Return the client's line, or the beginning of one that is too long."""
    received = b""
    while b"\n" not in received and len(received) <= MAX_REQUEST:
        data = client.recv(4096)
        if not data:
            break
        received += data
    return received if len(received) <= MAX_REQUEST else b""


def _refuse(client: socket.socket) -> None:
    """Tell a client that is one too many so; its request is not waited for."""
    client.settimeout(0)
    with suppress(OSError):
        _send(client, BUSY)


def _send(client: socket.socket, answer: Mapping[str, Any]) -> None:
    client.sendall(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
