# SPDX-License-Identifier: GPL-3.0-or-later
"""What a start finds of the SQLite journal: files that are damaged or missing, and readings that are.

Nothing is mended here.
"""

import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from btcore.journal import Offset
from btcore.sqlite_journal.files.note import Note
from btcore.sqlite_journal.files.open_files import is_ours
from btcore.sqlite_journal.files.space import RESERVE_NAME
from btcore.sqlite_journal.files.tail import path_of as tail_of
from btcore.sqlite_journal.files.wal import find_fault
from btcore.sqlite_journal.gathering import Gathering
from btcore.sqlite_journal.restoring import missing
from btcore.sqlite_journal.tables.lag import kept
from btcore.text import either, plural


def find_fault_of(file: Path, note: Note) -> str:
    """Return what is wrong with the files before they are opened; "" where nothing is seen."""
    wal = Path(f"{file}-wal")
    if file.exists() and not is_ours(file):
        with suppress(OSError):
            file.chmod(0o600)
        if not is_ours(file):
            return f"belongs to another user ({file.owner()}), and may not be read and written"
    has_log = wal.exists() and wal.stat().st_size > 0
    if not file.exists():
        others = tail_of(file), file.with_name(RESERVE_NAME)
        was_there = has_log or note.newest or any(other.exists() for other in others)
        return "was removed" if was_there else ""
    if not file.stat().st_size:
        return "is empty" if has_log or note.newest else ""
    fault = find_fault(wal) if has_log else ""
    return (
        f"is damaged: its log ({wal.name}) was changed, or not all of it was on the disk as the power failed: {fault}"
        if fault
        else ""
    )


def count_missing(connection: sqlite3.Connection, note: Note, newest: Offset, until: Offset) -> int:
    """Return how many entries are missing of those that the note and the tail know of, up to `until`."""
    if until == newest and kept(connection) == (note.kept_after, note.earlier):  # all is there: nothing is counted
        return 0
    lost, _ = missing(connection, note, until)
    return until - newest if lost is None else lost  # entries were just forgotten: then only the end of them is known


def describe_missing(file: Path, note: Note, gathering: Gathering, lost: int) -> str:
    """Say what file and tail lack of what they had; "" for nothing."""
    is_tail_gone = gathering.was_empty and note.is_open
    if gathering.was_damaged or is_tail_gone:
        what = "was removed or emptied" if is_tail_gone else "is damaged"
        least = "at least " if is_tail_gone else ""  # the note is up to five minutes old
        loss = f"{least}{either(lost, 'reading is', 'readings are')} lost" if lost else "what came in last may be lost"
        return f"the journal {file} was not closed, and its tail ({tail_of(file).name}) {what}: {loss}"
    if lost:
        since = datetime.fromtimestamp(note.heard, UTC)
        why = "its log was removed, or it is an older copy" if note.is_open else "it is an older copy"
        what = f"{plural(lost, 'reading')} or more of its newest, of about {since:%Y-%m-%d %H:%M} UTC"
        return f"the journal {file} lacks {what}: {why}; it is used as it is"
    return ""
