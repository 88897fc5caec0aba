# SPDX-License-Identifier: GPL-3.0-or-later
"""What code does to the world outside while a block runs: files, connections, processes, by Python's audit events.

What a library does in C alone raises no event, and is not seen.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

NETWORK = {
    "socket.connect": "it connects to {1}",
    "socket.getaddrinfo": "it looks up {0}",
    "socket.gethostbyname": "it looks up {0}",
    "socket.bind": "it listens on {1}",
    "socket.sendto": "it sends to {1}",
}
"""The events of the network, and how each is described."""

OPENING = {
    **NETWORK,
    "open": "it opens the file {0}",
    "subprocess.Popen": "it starts the program {0}",
    "sqlite3.connect": "it opens the database {0}",
    "os.mkdir": "it makes the directory {0}",
    "os.remove": "it removes the file {0}",
}
"""The events of all that a plugin may do only between `open` and `close`."""

_LOCAL = {"localhost", "127.0.0.1", "::1", "", "0.0.0.0", "::"}  # noqa: S104 - compared with, not listened on
_LIBRARY = (".py", ".pyc", ".so", ".pyd", ".pth", ".zip")
_SYSTEM = tuple(
    str(Path(one).resolve()) for one in {sys.prefix, sys.base_prefix, "/usr/share", "/dev", "/proc", "/etc"}
)


class OutsideError(PermissionError):
    """Raised where code wants to do what it may not; an OSError, as it gets when a network refuses."""


@attrs.define(eq=False)
class Watch:
    """What may not be done, and what of it was done."""

    events: dict[str, str]
    refuses: bool
    local_only: bool = False
    seen: list[str] = attrs.field(factory=list)

    def note(self, event: str, args: tuple[Any, ...]) -> None:
        """Take note of an event. Raises OutsideError if it is refused."""
        text = self.events.get(event)
        if text is None or _is_harmless(event, args) or (self.local_only and _is_local(args)):
            return
        self.seen.append(text.format(*(_plain(arg) for arg in args), "", ""))
        if self.refuses:
            raise OutsideError(f"a test of btcore.testing does not allow this: {self.seen[-1]}")


_watches = threading.local()
_everywhere: list[Watch] = []


def _audit(event: str, args: tuple[Any, ...]) -> None:
    for watch in (*getattr(_watches, "all", ()), *_everywhere):
        watch.note(event, args)


_installing = threading.Lock()
_installed: list[bool] = []


def _install() -> None:
    """Add the audit hook, once: it cannot be removed, so it does nothing in a thread that is not watched."""
    with _installing:
        if not _installed:
            sys.addaudithook(_audit)
            _installed.append(True)


@contextmanager
def watching(
    events: dict[str, str],
    *,
    refuses: bool = True,
    local_only: bool = False,
    everywhere: bool = False,
    seen: list[str] | None = None,
) -> Iterator[list[str]]:
    """Watch this thread while the block runs; what it does is put into `seen`. `refuses`: it fails with OutsideError.

    `local_only`: connections within this machine are allowed, and not noted. `everywhere`: all threads are watched.
    """
    _install()
    watch = Watch(events, refuses, local_only, [] if seen is None else seen)
    if everywhere:
        _everywhere.append(watch)
        try:
            yield watch.seen
        finally:
            _everywhere.remove(watch)
        return
    before = getattr(_watches, "all", ())
    _watches.all = (*before, watch)
    try:
        yield watch.seen
    finally:
        _watches.all = before


def _plain(arg: object) -> str:
    match arg:
        case (str() as host, int() as port, *_):
            return f"{host}:{port}"
        case bytes():
            return arg.decode(errors="replace")
    return str(arg)


def _is_harmless(event: str, args: tuple[Any, ...]) -> bool:
    """Whether a file is opened only to read what belongs to Python or the system: modules, time zones."""
    if event != "open" or not args:
        return False
    file, mode = args[0], args[1] if len(args) > 1 else ""
    if not isinstance(file, str | bytes | Path) or (isinstance(mode, str) and set(mode) & set("wax+")):
        return not isinstance(file, str | bytes | Path)
    path = _plain(file)
    return path.endswith(_LIBRARY) or ".dist-info" in path or path.startswith((*_SYSTEM, sys.prefix))


def _is_local(args: tuple[Any, ...]) -> bool:
    """Whether an event of the network stays within this machine."""
    for arg in args:
        match arg:
            case (str() as host, int(), *_):
                return host in _LOCAL
            case str() | bytes():
                path = _plain(arg)
                return path in _LOCAL or path.startswith(("/", "\0"))  # a UNIX socket
    return True
