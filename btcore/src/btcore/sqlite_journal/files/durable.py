# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing to the disk what a power cut must not take back: a file, and the names of files.

That a file was synced says nothing of its name: until its directory is synced as well, it may be there or not, and have
its old name or its new one. What must be on the disk before what is decided elsewhere.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

WITHOUT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM)
"""Errors of a file system that cannot sync a directory, as of some that are on another computer."""


def sync_file(file: Path) -> None:
    """Wait until a file is on the disk; one that is not there is none. Raises OSError."""
    with suppress(FileNotFoundError):
        _sync(file)


def sync_names(directory: Path) -> None:
    """Wait until the names of the files in a directory are on the disk, where that can be done. Raises OSError."""
    try:
        _sync(directory)
    except OSError as error:
        if error.errno not in WITHOUT_SYNC:
            raise


def rename(file: Path, to: Path) -> None:
    """Rename a file, in place of whatever has that name, and wait until that is on the disk. Raises OSError."""
    file.replace(to)
    sync_names(to.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
