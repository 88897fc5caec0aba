# SPDX-License-Identifier: GPL-3.0-or-later
"""The reserve beside a SQLite journal: when it is made, and what giving it up leaves of the disk.

That a disk which is really full heals by this is in `test_sqlite_retention.py`.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from btcore.sqlite_journal.files import space
from btcore.sqlite_journal.files.space import ENDLESS, ENOUGH, LEAST, SHARE, Room, give_up_reserve
from btcore.sqlite_journal.journal import SqliteJournal

RESERVE = 1 << 20


class Disk(NamedTuple):
    """What is asked of a disk."""

    f_bavail: int
    f_frsize: int = 1
    f_flag: int = 0


SetFree = Callable[[int], None]


@pytest.fixture
def set_free(monkeypatch: pytest.MonkeyPatch) -> SetFree:
    """Say how much of the disk is free; the reserve is a small one."""
    monkeypatch.setattr(space, "RESERVE", RESERVE)

    def say(free: int) -> None:
        monkeypatch.setattr("os.statvfs", lambda _path: Disk(free))

    return say


@pytest.fixture
def connection(file: Path) -> Iterator[sqlite3.Connection]:
    """Return a connection to a file of some pages."""
    with closing(sqlite3.connect(file, isolation_level=None)) as made:
        made.execute("CREATE TABLE one (x)")
        yield made


def number(connection: sqlite3.Connection, pragma: str) -> int:
    """Return a number that SQLite has of the file."""
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def test_the_reserve_is_made_where_there_is_room(file: Path, connection: sqlite3.Connection, set_free: SetFree) -> None:
    """It has its size, is its owner's alone, and is made anew where it was cut short."""
    reserve = file.with_name("reserve")
    set_free(ENOUGH * RESERVE - 1)
    assert not Room(file, connection).is_full
    assert not reserve.exists()
    set_free(ENOUGH * RESERVE)
    Room(file, connection)
    assert (reserve.stat().st_size, reserve.stat().st_mode & 0o777) == (RESERVE, 0o600)
    made = reserve.stat().st_mtime_ns
    Room(file, connection)
    assert reserve.stat().st_mtime_ns == made
    reserve.write_bytes(b"cut")
    Room(file, connection)
    assert reserve.stat().st_size == RESERVE


def test_a_full_disk_gets_the_reserve_and_the_file_grows_little(
    file: Path, connection: sqlite3.Connection, set_free: SetFree
) -> None:
    """Until there is room again, the file may take a share of what is free; then it is free to grow."""
    set_free(ENOUGH * RESERVE)
    room = Room(file, connection)
    set_free(RESERVE)
    room.give_up()
    share = RESERVE // SHARE // number(connection, "page_size")
    assert not file.with_name("reserve").exists()
    assert (room.is_full, number(connection, "max_page_count")) == (True, number(connection, "page_count") + share)
    room.look()
    assert (room.is_full, number(connection, "max_page_count")) == (True, number(connection, "page_count") + share)
    set_free(ENOUGH * RESERVE)
    room.look()
    assert file.with_name("reserve").exists()
    assert (room.is_full, number(connection, "max_page_count")) == (False, ENDLESS)


def test_the_reserve_of_a_journal_that_cannot_be_opened(file: Path) -> None:
    """It is given up once: the journal is opened again only where that has made room."""
    file.with_name("reserve").write_bytes(b"reserve")
    assert give_up_reserve(file)
    assert not file.with_name("reserve").exists()
    assert not give_up_reserve(file)


def test_the_reserve_is_made_again_within_seconds(
    file: Path, set_free: SetFree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that gave it up, or began without it, has it again soon after there is room: disks fill again."""
    monkeypatch.setattr(space, "AGAIN", 0.0)
    reserve = file.with_name("reserve")
    set_free(RESERVE)
    with closing(SqliteJournal(file)) as journal:
        journal.inspect()
        assert not reserve.exists()
        set_free(ENOUGH * RESERVE)
        journal.inspect()
        assert reserve.exists()
        journal._room.give_up()
        assert not reserve.exists()
        journal.inspect()
        assert reserve.exists()


def test_a_reserve_that_cannot_be_written_is_none(
    file: Path, connection: sqlite3.Connection, set_free: SetFree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills meanwhile keeps no part of it, and the journal counts as full as before."""
    set_free(ENOUGH * RESERVE)
    room = Room(file, connection)
    room.give_up()

    def fail(_size: int) -> bytes:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.urandom", fail)
    room.look()
    assert (room.is_full, file.with_name("reserve").exists()) == (True, False)


def test_a_full_disk_is_told_before_anything_fails(
    file: Path, set_free: SetFree, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Commits are minutes apart: the log says once that the disk is full, and once that it has room again."""
    monkeypatch.setattr(space, "LOOK", 0.0)
    caplog.set_level("INFO")
    set_free(ENOUGH * RESERVE)
    with closing(SqliteJournal(file)) as journal:
        for free in (LEAST, LEAST - 1, 0, 0, LEAST, LEAST):
            set_free(free)
            journal.inspect()
    told, healed = caplog.messages
    assert told.startswith(f"only 1.0 MB of the disk of the journal {file} are free: make room on it")
    assert healed == f"the disk of the journal {file} has room again"
