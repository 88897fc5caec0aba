# SPDX-License-Identifier: GPL-3.0-or-later
"""The state directory: one process at a time uses it, and it belongs to one configuration.

It is locked while a program runs: the directory itself, as a file in it can be removed. A note, written by the first
run, names the configuration.
Two sites must not share a journal: the sinks of one would get the readings of the other. Other files in the directory
are not looked at here.
"""

import errno
import fcntl
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from btcore.control import SOCKET
from btcore.errors import ConfigurationError, Problem, Unavailable
from btcore.journal.opening import READ_ONLY

NOTE_FILE = "site"
"""The file in the state directory that holds the path of its configuration."""

LOCK_FILE = "lock"
"""A file in the state directory that says that a program has used it; it is locked where the directory cannot be."""

LOCK_PATIENCE = 5.0
"""Seconds for which a lock is waited for that a command may have, such as `status` of a site at rest."""

LOCK_INTERVAL = 0.05
"""Seconds between two tries."""

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of a disk that is full, or may only be read: they pass, and readings are taken meanwhile."""

MAX_PATH = 4096
"""Bytes of a path."""


def claim(state: Path, file: Path) -> str:
    """Claim a state directory for a configuration; return a warning to log, or "".

    Raises ConfigurationError if it belongs to another, OSError if the note cannot be read or written.
    """
    before = _noted(state)
    if before is not None and _is_same(before, file):
        return ""
    _refuse_if_there(state, file, before)
    if file.is_file():  # not a pipe: the next one would have the same name
        _write(state, file)
    if before is None:
        return ""
    return (
        f"the state directory {state} belonged to {before}, which no longer exists; it now belongs to {file.absolute()}"
    )


def check(state: Path, file: Path) -> None:
    """Raise ConfigurationError where `claim` would. An unreadable note is ignored: `run` may be of another user."""
    try:
        before = _noted(state)
    except OSError:
        return
    if before is None or not _is_same(before, file):
        _refuse_if_there(state, file, before)


def _refuse_if_there(state: Path, file: Path, other: Path | None) -> None:
    if other is None or _is_gone(other):
        return
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    line = f"state = {json.dumps(f'{given}/{file.stem}' if given else f'{file.stem}-state', ensure_ascii=False)}"
    message = (
        f"the state directory {state} belongs to {other}, and two sites must not share their readings: write {line} at"
        f" the top of this file (or delete {state / NOTE_FILE}, if that site uses another state directory now)"
    )
    raise ConfigurationError([Problem(message, key="state", file=str(file))])


def _noted(state: Path) -> Path | None:
    """Return the configuration in the note; None without one. Raises OSError."""
    try:
        with (state / NOTE_FILE).open("rb") as note:
            path = os.fsdecode(note.read(MAX_PATH).removesuffix(b"\n"))
    except FileNotFoundError:
        return None
    return Path(path) if path.startswith("/") and "\0" not in path else None


def _write(state: Path, file: Path) -> None:
    new = state / f"{NOTE_FILE}.new"
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(os.fsencode(file.absolute()) + b"\n")
    new.replace(state / NOTE_FILE)


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths are the same file."""
    try:
        return one == other.absolute() or one.samefile(other)
    except OSError:
        return False


def _is_gone(path: Path) -> bool:
    """Whether it is certain that the file no longer exists."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def is_used(state: Path) -> bool:
    """Whether a program has ever run with a state directory."""
    return (state / LOCK_FILE).exists()


def lock(state: Path) -> int:
    """Lock the state directory for this process, make it if it is not there; return the descriptor of the lock.

    A command that has it is waited for a little; a program that runs is not. Raises Unavailable.
    """
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_lock_file(state)
        try:
            return _locked(state, state, os.O_RDONLY | os.O_DIRECTORY)
        except BlockingIOError:
            raise
        except OSError:  # a network's file system may lock no directory
            return _locked(state, state / LOCK_FILE, os.O_RDWR)
    except BlockingIOError as error:
        raise Unavailable(
            f"another btcore is using {state}: stop it first, or give this one another `state`"
        ) from error
    except OSError as error:
        raise _unusable(state, error) from error


def _make_lock_file(state: Path) -> None:
    """Make the file that says that a program has used the directory; without it, the directory is locked all the same.

    Raises OSError.
    """
    try:
        os.close(os.open(state / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise


def _locked(state: Path, path: Path, flags: int) -> int:
    """Return the descriptor of a path that this process has locked. Raises OSError."""
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        _wait_for(descriptor, state)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class Lock:
    """The lock of a state directory that a running program holds; taken again where the directory is a new one."""

    def __init__(self, state: Path) -> None:
        """Lock the directory. Raises Unavailable."""
        self._state = state
        self._descriptor = lock(state)

    def close(self) -> None:
        """Give it up."""
        os.close(self._descriptor)

    def check(self) -> str:
        """See whether the lock still keeps others out; return what was done, for the log, "" where all is well.

        Raises Unavailable where another btcore uses the directory by now.
        """
        if self._is_held():
            with suppress(OSError):
                if not (self._state / LOCK_FILE).exists():  # else the disk would note a new time each second
                    (self._state / LOCK_FILE).touch(0o600)
            return ""
        before, self._descriptor = self._descriptor, lock(self._state)
        os.close(before)
        return f"the state directory {self._state} was removed while btcore used it: it was made again, and locked"

    def _is_held(self) -> bool:
        held = os.fstat(self._descriptor)
        for path in (self._state, self._state / LOCK_FILE):
            with suppress(FileNotFoundError):
                found = path.stat()
                if (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino):
                    return True
        return False


def _wait_for(lock: int, state: Path) -> None:
    """Have the lock. Raises BlockingIOError where another has it for long, OSError where it cannot be had."""
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if (state / SOCKET).exists() or time.monotonic() >= deadline:
                raise
            time.sleep(LOCK_INTERVAL)
        else:
            return


def _unusable(state: Path, error: OSError) -> Unavailable:
    why = "it is no directory" if isinstance(error, FileExistsError) else error.strerror
    advice = READ_ONLY if error.errno == errno.EROFS else "set `state` to a directory that this user can write"
    return Unavailable(f"cannot use the state directory {state}: {why}; {advice}")
