# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of the journal: documented tables, a newer or a damaged file, a full disk, a program that is killed."""

import random
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from helpers.folders import DOCS
from helpers.journal_entries import dead_letter, entry, raw_entry
from helpers.packets import METER

from btcore.errors import Unavailable
from btcore.journal import Baseline, Checkpoint, Entry
from btcore.journal.opening import DEFAULT, open_journal
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.sqlite_journal.tables.schema import TABLES, VERSION

# --- files that cannot be used


def test_a_newer_file_is_refused(file: Path) -> None:
    """A journal of a later version is not touched; the message says what to do."""
    with closing(sqlite3.connect(file)) as later:
        later.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(Unavailable, match=r"journal\.db was written by a newer btcore .*: upgrade btcore"):
        SqliteJournal(file)


def test_a_file_that_was_never_a_journal_is_refused(tmp_path: Path) -> None:
    """A file of another kind, named by mistake, is named, and is not moved away."""
    file = tmp_path / "photo.jpg"
    file.write_bytes(b"something else " * 1000)
    with pytest.raises(Unavailable, match=r"cannot open the journal .*photo\.jpg: file is not a database; .*move it"):
        SqliteJournal(file)
    assert [one.name for one in tmp_path.iterdir() if one.name != "reserve"] == ["photo.jpg"]


@pytest.mark.parametrize("version", range(VERSION + 1))
@pytest.mark.parametrize("tables", [("songs",), ("entry", "songs")])
def test_a_database_of_something_else_is_refused(file: Path, version: int, tables: tuple[str, ...]) -> None:
    """Whatever number it carries; nothing in it is changed, and no file is made beside it."""
    with closing(sqlite3.connect(file)) as other:
        for table in tables:
            other.execute(f"CREATE TABLE {table} (x)")
        other.execute(f"PRAGMA user_version = {version}")
    before = file.read_bytes()
    names = ", ".join(tables)
    expected = f"it is the database of something else, with the tables {names}; move it away, or name another file"
    with pytest.raises(Unavailable, match=re.escape(f"{file}: {expected}")):
        open_journal(DEFAULT, file.parent)
    assert file.read_bytes() == before
    assert [one.name for one in file.parent.iterdir()] == [file.name]


def test_a_directory_is_refused(file: Path) -> None:
    """The message says that it is one, and what to do."""
    file.mkdir()
    with pytest.raises(Unavailable, match=r"journal\.db: it is a directory; move it away, or name another file by `jo"):
        open_journal(DEFAULT, file.parent)


def test_a_journal_that_was_killed_at_its_start_is_no_foreign_file(file: Path) -> None:
    """An empty file, and one whose tables are still in the log beside it, are opened."""
    file.touch()
    for _ in range(2):
        open_journal(DEFAULT, file.parent).close()


def test_a_place_that_cannot_hold_a_file_is_told(tmp_path: Path) -> None:
    """A journal that cannot be made is named."""
    with pytest.raises(Unavailable, match=r"cannot open the journal .*nowhere/journal\.db"):
        SqliteJournal(tmp_path / "nowhere" / "journal.db")


def test_damage_is_told_and_left_by_what_only_looks(file: Path) -> None:
    """A command that mends nothing raises Unavailable with the file's name, and what to do; never wrong entries."""
    with closing(SqliteJournal(file)) as whole:
        whole.append([raw_entry(key, bytes(500) + bytes([key])) for key in range(200)])
    content = bytearray(file.read_bytes())
    content[3 * 4096 : -4096] = random.Random(1).randbytes(len(content) - 4 * 4096)
    file.write_bytes(content)

    def read_all() -> None:
        with closing(SqliteJournal(file, mends=False)) as damaged:
            damaged.read(0, 1000)

    with pytest.raises(Unavailable, match=r"journal\.db: database disk image is malformed; .*moves it away"):
        read_all()


def test_a_full_disk_loses_nothing(file: Path) -> None:
    """When the disk is full, appending fails clearly; what was acknowledged stays, and it goes on later."""
    with closing(SqliteJournal(file)) as journal:
        pages = journal._writer.execute("PRAGMA page_count").fetchone()[0] + 10
        journal._writer.execute(f"PRAGMA max_page_count = {pages}")
        kept: list[Entry] = []

        def fill() -> None:
            for key in range(10_000):
                kept.extend(journal.append([raw_entry(key, bytes(700) + bytes([key % 256]))]).kept)

        with pytest.raises(Unavailable, match=r"cannot write to the journal .*journal\.db: database or disk is full"):
            fill()
        journal._writer.execute(f"PRAGMA max_page_count = {pages}")  # the disk has room, so it may grow again by now
        with pytest.raises(Unavailable):
            journal.append([raw_entry(key, bytes(900)) for key in range(20_000, 20_100)])
        assert kept == journal.read(0, 10_000)
        journal._writer.execute("PRAGMA max_page_count = 1000000")
        kept += journal.append([raw_entry(99_999, b"and again")]).kept
        journal.commit("a", Checkpoint(kept[-1].offset))
    with closing(SqliteJournal(file)) as again:
        assert (kept, Checkpoint(kept[-1].offset)) == (again.read(0, 10_000), again.checkpoint("a"))


def test_a_person_who_looks_into_the_file_does_not_disturb(file: Path, journal: SqliteJournal) -> None:
    """While another connection reads, appending goes on, and so does the commit of what was gathered."""
    journal.append([raw_entry(1)])
    assert list(journal.check()) == []  # commits what is gathered
    with closing(sqlite3.connect(file)) as person:
        person.execute("BEGIN")
        assert person.execute("SELECT count(*) FROM entry").fetchall() == [(1,)]
        assert len(journal.append([raw_entry(2)]).kept) == 1
        assert list(journal.check()) == []
        assert person.execute("SELECT count(*) FROM entry").fetchall() == [(1,)]


# --- kill -9


CHILD = """
import sys
from pathlib import Path
from btcore.journal import Baseline, Checkpoint, Entry
from btcore.sqlite_journal.journal import SqliteJournal

journal = SqliteJournal(Path(sys.argv[1]))
n = int(sys.argv[2])
checkpoint = journal.checkpoint("a") or Checkpoint()
while True:
    size = n % 3 + 1
    journal.append([Entry(k, "panel", "1", "f", b"%d" % k * 40) for k in range(n, n + size)])
    n += size
    print("kept", n, flush=True)
    checkpoint = journal.commit("a", checkpoint.moved(journal.newest(), {"1": Baseline(journal.newest())}))
    print("moved", journal.newest(), flush=True)
"""


@pytest.mark.servers
def test_what_was_acknowledged_survives_kill(file: Path) -> None:
    """After kill -9 at any moment, everything acknowledged is there, in order, the cursor too, and the file opens."""
    chance = random.Random(7)
    next_key = 0
    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(file), str(next_key)], stdout=subprocess.PIPE, text=True
        )
        with child:
            assert child.stdout is not None
            told = [child.stdout.readline().split() for _ in range(chance.randrange(1, 120))]
            child.kill()
            told += [line.split() for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        kept = max((int(number) for what, number in told if what == "kept"), default=0)
        moved = max((int(number) for what, number in told if what == "moved"), default=0)
        with closing(SqliteJournal(file)) as journal:
            entries = journal.read(0, 100_000)
            assert list(range(len(entries))) == [one.key for one in entries]
            assert [b"%d" % one.key * 40 for one in entries] == [one.raw for one in entries]
            assert len(entries) >= kept
            cursor = journal.checkpoint("a") or Checkpoint()
            assert moved <= cursor.offset <= journal.newest()
            assert cursor.baselines.get("1", Baseline(0)).offset == cursor.offset
            next_key = len(entries)
    assert next_key > 50


# --- docs/journal.md


PAGE = DOCS / "journal.md"
STATEMENTS = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_tables_are_as_documented() -> None:
    """The page about the journal shows its tables exactly, and the version."""
    assert STATEMENTS[0] == TABLES.lstrip()
    assert f"`PRAGMA user_version` is {VERSION}." in PAGE.read_text()


def test_what_is_documented_works(file: Path, journal: SqliteJournal) -> None:
    """The page's statements tell what they say, beside a journal in use."""
    journal.append([entry(at) for at in range(5)])
    journal.keep_dead_letters([dead_letter("sink.roof", 2)])
    journal.commit("sink.roof", Checkpoint(3, {METER: Baseline(3)}))
    assert list(journal.check()) == []  # commits what is gathered
    with closing(sqlite3.connect(file)) as person:
        packets, waiting, asides, heard = (person.execute(statement).fetchall() for statement in STATEMENTS[1:5])
    assert packets == [(one.offset, one.raw, None) for one in journal.read(0, 5)]
    assert waiting == [("sink.roof", 2)]
    assert asides == [("sink.roof", METER, "2026-06-21T12:00:10+00:00", "too sunny")]
    assert heard == [(METER, "2023-11-14 22:00:04")]
