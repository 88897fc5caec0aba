# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving the files of a SQLite journal out of the way, and copying all that a connection has to another file.

When that is done, and what is told of it, does not belong here.
"""

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from btcore.sqlite_journal.files.durable import rename, sync_file, sync_names
from btcore.sqlite_journal.files.place import make_private

MAX_MOVED = 5
"""Damaged files that are kept, beside those of which not all was brought in."""

log = logging.getLogger("btcore")


def free_name(file: Path) -> Path:
    """Return what a journal that is moved away now can be called."""
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    names = (f"{file.name}.damaged-{stamp}", *(f"{file.name}.damaged-{stamp}-{count}" for count in range(2, 100)))
    free = (name for name in names if not file.with_name(name).exists() and not file.with_name(f"{name}-wal").exists())
    return file.with_name(next(free))


def move_away(file: Path, moved: Path) -> None:
    """Rename the files of a journal, the log last: `finish_moving` knows what is missing. Raises OSError."""
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            rename(Path(f"{file}{suffix}"), Path(f"{moved}{suffix}"))
    Path(f"{file}-shm").unlink(missing_ok=True)


def finish_moving(file: Path, moved: Path) -> None:
    """Rename a log that stayed behind when the power failed between the two renamings. Raises OSError."""
    log, moved_log = Path(f"{file}-wal"), Path(f"{moved}-wal")
    if moved.exists() and not file.exists() and log.exists() and not moved_log.exists():
        rename(log, moved_log)


def is_moved(moved: Path) -> bool:
    """Whether there is anything by the name of a journal that was, or was to be, moved away."""
    return moved.exists() or Path(f"{moved}-wal").exists()


def remove_oldest(file: Path, unsaved: Sequence[str]) -> None:
    """Remove the oldest of many damaged files, from which all that can be read was brought in: they fill the disk."""
    import glob  # noqa: PLC0415 - few journals are ever damaged

    names = {one.name.removesuffix("-wal") for one in file.parent.glob(f"{glob.escape(file.name)}.damaged-*")}
    for name in sorted(names - {*unsaved})[:-MAX_MOVED]:
        for suffix in ("", "-wal"):
            file.with_name(f"{name}{suffix}").unlink(missing_ok=True)
        log.warning("%s was removed: of damaged journals the newest %d are kept", name, MAX_MOVED)


def copy(writer: sqlite3.Connection, file: Path) -> None:
    """Copy all that a connection has to a new file beside the journal's; all of it, or none."""
    being_made = _being_made(file)
    being_made.unlink(missing_ok=True)
    make_private(being_made)
    try:
        with closing(sqlite3.connect(being_made)) as out:
            writer.backup(out)
        sync_file(being_made)
        rename(being_made, _made(file))
    except BaseException:
        being_made.unlink(missing_ok=True)
        raise


def use_copy(file: Path) -> None:
    """Put a copy that is complete in place of the journal's file, without the log of that; nobody has it open.

    A copy that was being made when the program ended is removed. Raises OSError.
    """
    _being_made(file).unlink(missing_ok=True)
    if _made(file).exists():
        for suffix in ("-wal", "-shm"):
            Path(f"{file}{suffix}").unlink(missing_ok=True)
        sync_names(file.parent)
        rename(_made(file), file)


def _being_made(file: Path) -> Path:
    return Path(f"{file}-copy")


def _made(file: Path) -> Path:
    return Path(f"{file}-copied")


def is_checkpointed(writer: sqlite3.Connection) -> bool:
    """Bring the log into the file; return whether all of it is there now."""
    is_busy, pages, done = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_busy and pages == done
