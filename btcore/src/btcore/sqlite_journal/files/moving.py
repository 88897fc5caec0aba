# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving the files of a SQLite journal out of the way, and copying all that a connection has to another file.

When that is done, and what is told of it, does not belong here.
"""

import glob
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from btcore.sqlite_journal.files.place import make_private

MAX_MOVED = 5
"""Damaged files that are kept, beside those of which not all was brought in."""

log = logging.getLogger("btcore")


def move_away(file: Path) -> Path:
    """Rename the files of a journal; return what the first of them is called now. Raises OSError."""
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    names = (f"{file.name}.damaged-{stamp}", *(f"{file.name}.damaged-{stamp}-{count}" for count in range(2, 100)))
    free = (name for name in names if not file.with_name(name).exists() and not file.with_name(f"{name}-wal").exists())
    moved = file.with_name(next(free))
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            Path(f"{file}{suffix}").rename(f"{moved}{suffix}")
    Path(f"{file}-shm").unlink(missing_ok=True)
    return moved


def remove_oldest(file: Path, unsaved: Sequence[str]) -> None:
    """Remove the oldest of many damaged files, from which all that can be read was brought in: they fill the disk."""
    names = {one.name.removesuffix("-wal") for one in file.parent.glob(f"{glob.escape(file.name)}.damaged-*")}
    for name in sorted(names - {*unsaved})[:-MAX_MOVED]:
        for suffix in ("", "-wal"):
            file.with_name(f"{name}{suffix}").unlink(missing_ok=True)
        log.warning("%s was removed: of damaged journals the newest %d are kept", name, MAX_MOVED)


def copy_of(file: Path) -> Path:
    """Return where a copy of the journal is while it is made."""
    return Path(f"{file}-copy")


def copy(writer: sqlite3.Connection, copy: Path) -> None:
    """Copy all that a connection has to a new file; all of it, or none."""
    copy.unlink(missing_ok=True)
    make_private(copy)
    try:
        with closing(sqlite3.connect(copy)) as out:
            writer.backup(out)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise


def is_checkpointed(writer: sqlite3.Connection) -> bool:
    """Bring the log into the file; return whether all of it is there now."""
    is_busy, pages, done = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_busy and pages == done
