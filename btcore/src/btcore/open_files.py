# SPDX-License-Identifier: GPL-3.0-or-later
"""Which process holds a file, a device or a port of this machine: Linux tells it below /proc.

Only what this user may see: root sees all, another user only processes of its own.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")

LISTENING = "0A"
"""The state of a listening socket in /proc/net/tcp."""


def processes_holding(path: str, *, besides: int | None = None) -> list[str]:
    """Return the processes that have a file or device open, as `btmon.py (process 312)`; not this one.

    `besides` is a process that may have it. Empty where none has, or none that this user may see.
    """
    return _holders({os.path.realpath(path)}, besides)


def processes_listening(port: int, *, besides: int | None = None) -> list[str]:
    """Return the processes that listen on a TCP port, in the same way."""
    return _holders({f"socket:[{inode}]" for inode in _listening(port)}, besides)


def _holders(targets: set[str], besides: int | None) -> list[str]:
    own = {os.getpid(), besides}
    numbers = sorted(int(folder.name) for folder in PROC.iterdir() if folder.name.isdigit()) if PROC.is_dir() else []
    return [f"{_name(number)} (process {number})" for number in numbers if number not in own and _has(number, targets)]


def _has(number: int, targets: set[str]) -> bool:
    with suppress(OSError):
        return any(link in targets for link in _links(PROC / str(number) / "fd"))
    return False


def _links(folder: Path) -> Iterator[str]:
    for descriptor in folder.iterdir():
        with suppress(OSError):  # closed meanwhile
            yield str(descriptor.readlink())


def _name(number: int) -> str:
    """Return the name of a process: of an interpreter, that of the script."""
    try:
        words = (PROC / str(number) / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return "a program"
    program = Path(words[0]).name
    script = next((word for word in words[1:] if not word.startswith("-")), "") if program.startswith("python") else ""
    return Path(script).name or program or "a program"


def _listening(port: int) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on a port."""
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (PROC / "net" / name).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                    yield words[9]
