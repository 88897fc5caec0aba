# SPDX-License-Identifier: GPL-3.0-or-later
"""What can happen to the file of a journal: each way of damage as a function of the file, and what it may cost."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import attrs

from btcore.journal import Baseline, Checkpoint, Entry
from btcore.sqlite_journal.files.tail import MARK
from btcore.sqlite_journal.files.wal import frames
from btcore.sqlite_journal.journal import SqliteJournal
from helpers.journal_entries import raw_entry

PAGE = 4096
FRAME = PAGE + 24
"""Bytes of a page in the log."""

ROWS_BY_KEY = 0x0A
"""The first byte of a page of an index."""


ALL = 3000
"""Readings of the journal that is damaged."""

IN_FILE = 2400
"""Of these, so many are in the file itself."""


@attrs.frozen
class Harm:
    """One way of damage: `do` does it. Of some thousand readings it may cost `most_lost`, and no more.

    `words` are in the line that tells it, at rest and, as `words_open`, while the journal is open. Where it makes
    nothing wrong, nothing is told.
    """

    name: str
    do: Callable[[Path], object]
    most_lost: int = 0
    words: str = ""
    words_open: str = ""
    told_at_rest: bool = True
    told_while_open: bool = True


def made(key: int) -> Entry:
    """Make an entry as long as that of a GEM."""
    return raw_entry(key, random.Random(key).randbytes(625))


def fill(journal: SqliteJournal, sink: str, had: int) -> list[Entry]:
    """Append entries, and move a sink's checkpoint behind some of them; return all. The last are in the log alone."""
    kept: list[Entry] = []
    for begin in range(0, ALL, 50):
        kept += journal.append([made(key) for key in range(begin + 1, begin + 51)]).kept
        if len(kept) == IN_FILE:
            journal._gathering.commit()
            journal._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    journal.commit(sink, Checkpoint(kept[had - 1].offset, {"1": Baseline(kept[had - 1].offset)}, settings="some"))
    return kept


def log_of(file: Path) -> Path:
    """Return SQLite's log of a file."""
    return Path(f"{file}-wal")


def overwrite(file: Path, begin: int, end: int, content: Callable[[int], bytes] = bytes) -> None:
    """Write over a part of a file, in place."""
    with file.open("r+b") as opened:
        opened.seek(begin)
        opened.write(content(min(end, file.stat().st_size) - begin))


def noise(size: int) -> bytes:
    """Return bytes that mean nothing."""
    return random.Random(size).randbytes(size)


def index_of(file: Path) -> Path:
    """Return SQLite's index of the log of a file."""
    return Path(f"{file}-shm")


def tail_of(file: Path) -> Path:
    """Return the tail of a file."""
    return Path(f"{file}-tail")


def garble_tail(file: Path) -> None:
    """Write noise over a page in the middle of the records of the tail."""
    data = tail_of(file).read_bytes()
    begin = data.rindex(MARK + data[16:20]) // 2 // PAGE * PAGE
    overwrite(tail_of(file), begin, begin + PAGE, noise)


def middle(file: Path) -> int:
    """Return the beginning of a page in the middle of a file."""
    return file.stat().st_size // PAGE // 2 * PAGE


def overwrite_packet(file: Path, key: int = 1500) -> None:
    """Write zeros over a packet, in place: the file's structure stays whole."""
    data = file.read_bytes()
    packet = random.Random(key).randbytes(625)
    at = data.index(packet)
    overwrite(file, at, at + len(packet))


def exchange(file: Path) -> None:
    """Put another, empty database in place of the file."""
    other = file.with_name("other")
    other.write_bytes(b"")
    other.replace(file)


def remove_directory(file: Path) -> None:
    """Remove the directory with all that is in it, at once: a running program would put files into what is left."""
    gone = file.parent.with_name("gone")
    file.parent.rename(gone)
    shutil.rmtree(gone)


def remove_files(file: Path) -> None:
    """Remove the files of the journal, and no others, as `rm journal.db*` does."""
    for one in file.parent.glob(f"{file.name}*"):
        one.unlink()


def garble_log(file: Path) -> None:
    """Write noise over a page in the log: SQLite reads nothing after it."""
    begin = 32 + log_of(file).stat().st_size // FRAME // 3 * FRAME
    overwrite(log_of(file), begin + 500, begin + 900, noise)


def index_page(file: Path) -> tuple[int, int]:
    """Return the beginning and the end of a page of the index of the entries."""
    data = file.read_bytes()
    newer = {frame.page for frame in frames(log_of(file))}
    places = [at for at in range(PAGE, len(data), PAGE) if at // PAGE + 1 not in newer]
    pages = [at for at in places if data[at] == ROWS_BY_KEY]
    full = max(pages, key=lambda at: int.from_bytes(data[at + 3 : at + 5], "big"))
    return full, full + PAGE


def copy_over(file: Path) -> None:
    """Copy an older version of the file over it, in place, as `cp` does: its first half, and no log."""
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


PER_PAGE = 6
"""Readings of a GEM in a page of the file, at most."""

IN_LOG = 700
"""Readings that may be in the log alone."""

IN_TAIL = 450
"""Readings that may be in the tail alone: these cannot be compressed."""

IN_BLOCK = 50
"""Readings in a block of the tail, and in a page of the next one."""

TAIL = "(journal.db-tail) was"
REMOVED = "was removed while btcore used it: it was made again, and has all its readings"
DAMAGED = "is damaged"

DAMAGES = (
    Harm("removed", lambda file: file.unlink(), ALL, "was removed", REMOVED),
    Harm(
        "log removed",
        lambda file: log_of(file).unlink(),
        IN_LOG,
        "its log was removed, or it is an older copy",
        "was removed (journal.db-wal) while btcore used it",
    ),
    Harm(
        "index removed",
        lambda file: index_of(file).unlink(missing_ok=True),
        0,
        "",
        "(journal.db-shm)",
        told_at_rest=False,
    ),
    Harm("all removed", remove_files, ALL, "was removed", REMOVED),
    Harm("directory removed", remove_directory, ALL, "", REMOVED, told_at_rest=False),
    Harm("replaced", exchange, ALL, "is empty", "was replaced by another file while btcore used it"),
    Harm("emptied", lambda file: os.truncate(file, 0), ALL, "is empty", "was cut from"),
    Harm("cut in half", lambda file: os.truncate(file, middle(file)), ALL, DAMAGED, "was cut from"),
    Harm(
        "log cut in half",
        lambda file: os.truncate(log_of(file), 32 + 40 * FRAME + 99),
        IN_LOG,
        "its log was removed, or it is an older copy",
        DAMAGED,
    ),
    Harm(
        "log emptied",
        lambda file: os.truncate(log_of(file), 0),
        IN_LOG,
        "its log was removed, or",
        DAMAGED,
    ),
    Harm("log garbled", garble_log, PER_PAGE, "its log (journal.db-wal) was changed", DAMAGED),
    Harm(
        "log's beginning garbled",
        lambda file: overwrite(log_of(file), 0, 32, noise),
        0,
        "its log (journal.db-wal) was changed",
        "is damaged at its beginning",
    ),
    Harm(
        "beginning garbled",
        lambda file: overwrite(file, 0, 3 * PAGE, noise),
        told_at_rest=False,  # the log has these pages too: SQLite never reads them
        told_while_open=False,
    ),
    Harm(
        "page garbled",
        lambda file: overwrite(file, middle(file), middle(file) + PAGE, noise),
        2 * PER_PAGE,
        DAMAGED,
        DAMAGED,
    ),
    Harm("half zeros", lambda file: overwrite(file, middle(file), 1 << 40), ALL, DAMAGED, DAMAGED),
    Harm("all noise", lambda file: overwrite(file, 0, 1 << 40, noise), ALL, DAMAGED, DAMAGED),
    Harm(
        "packet zeros", overwrite_packet, 1, "1 reading is not as it was written", "1 reading is not as it was written"
    ),
    Harm("index page garbled", lambda file: overwrite(file, *index_page(file), noise), 0, DAMAGED, DAMAGED),
    Harm("tail removed", lambda file: tail_of(file).unlink(), IN_TAIL, "(journal.db-tail) was removed", TAIL),
    Harm("tail emptied", lambda file: os.truncate(tail_of(file), 0), IN_TAIL, "(journal.db-tail) was removed", TAIL),
    Harm(
        "tail cut in half",
        lambda file: os.truncate(tail_of(file), 50_000),
        IN_TAIL,
        "(journal.db-tail) is damaged",
        TAIL,
    ),
    Harm("tail garbled", garble_tail, IN_BLOCK, "(journal.db-tail) is damaged", TAIL),
    Harm(
        "tail's beginning garbled",
        lambda file: overwrite(tail_of(file), 0, PAGE, noise),
        IN_BLOCK,
        "(journal.db-tail) is damaged",
        TAIL,
    ),
    Harm(
        "tail all noise",
        lambda file: overwrite(tail_of(file), 0, 1 << 40, noise),
        IN_TAIL,
        "(journal.db-tail) is damaged",
        TAIL,
    ),
    Harm("older copy over it", copy_over, ALL, DAMAGED, "was cut from"),
)
