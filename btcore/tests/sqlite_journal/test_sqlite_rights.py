# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the SQLite journal with other rights, of another owner, and on a disk that may only be read."""

import os
import subprocess
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from helpers.journal_entries import raw_entry
from helpers.small_disk import small_disk

from btcore.errors import Unavailable
from btcore.sqlite_journal.journal import SqliteJournal

NOBODY = 65534

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user, and give files away")


@pytest.fixture
def file() -> Iterator[Path]:
    """Return where the journal of the user nobody is to be."""
    with TemporaryDirectory(prefix="rights") as folder:
        os.chown(folder, NOBODY, NOBODY)
        yield Path(folder, "journal.db")


def as_nobody(do: Callable[[Callable[[], None]], None], as_root: Callable[[], object] = lambda: None) -> None:
    """Do something as the user nobody, in a process of its own; what it is given has root do `as_root`."""
    asking, asked = os.pipe()
    answered, answering = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            do(lambda: ask(asked, answered))
        except BaseException:  # noqa: BLE001 - the process that began must not go on here
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(asked)
    if os.read(asking, 1):
        as_root()
        os.write(answering, b"!")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for descriptor in (asking, answered, answering):
        os.close(descriptor)


def ask(asked: int, answered: int) -> None:
    """Ask for something, and wait until it is done."""
    os.write(asked, b"?")
    os.read(answered, 1)


def fill(journal: SqliteJournal, first: int, count: int = 20) -> None:
    """Append entries with the keys from the first on."""
    for key in range(first, first + count):
        journal.append([raw_entry(key, b"%d" % key * 40)])


def keys(journal: SqliteJournal) -> list[int]:
    """Return the keys of all entries."""
    return [one.key for one in journal.read(0, 1000)]


@needs_root
@pytest.mark.parametrize("harm", [lambda file: file.chmod(0), lambda file: os.chown(file, 0, 0)], ids=["mode", "owner"])
def test_rights_that_are_taken_while_it_is_open_cost_nothing(file: Path, harm: Callable[[Path], object]) -> None:
    """The file is written back under btcore's user, with all readings, and told."""

    def run(harmed: Callable[[], None]) -> None:
        with closing(SqliteJournal(file)) as journal:
            fill(journal, 0)
            list(journal.check())  # commits
            fill(journal, 20)
            harmed()
            [damage] = journal.inspect()
            assert "was given other rights, or another owner" in damage.text
            assert damage.lost == 0
            fill(journal, 40)
            assert keys(journal) == list(range(60))
        assert file.stat().st_uid == NOBODY

    as_nobody(run, lambda: harm(file))


@needs_root
def test_rights_that_are_taken_at_rest_are_given_again(file: Path) -> None:
    """The owner of a file may read it again: nothing is lost, and nothing is to be told."""

    def run(_: object) -> None:
        with closing(SqliteJournal(file)) as journal:
            fill(journal, 0)
        file.chmod(0)
        with closing(SqliteJournal(file)) as journal:
            assert journal.inspect() == []
            assert keys(journal) == list(range(20))

    as_nobody(run)


@needs_root
def test_a_file_of_another_user_waits_and_is_brought_in(file: Path) -> None:
    """New readings are kept meanwhile; when a start may read the old file, all of it is there."""

    def run(given_away: Callable[[], None]) -> None:
        with closing(SqliteJournal(file)) as journal:
            fill(journal, 0)
        given_away()
        with closing(SqliteJournal(file)) as journal:
            [damage] = journal.inspect()
            assert "belongs to another user (root)" in damage.text
            assert "(chown)" in damage.text
            fill(journal, 100)
            assert keys(journal) == list(range(100, 120))

    def start_again(_: object) -> None:
        with closing(SqliteJournal(file)) as journal:
            assert keys(journal) == [*range(20), *range(100, 120)]

    def give_away() -> None:
        os.chown(file, 0, 0)
        file.chmod(0o600)

    as_nobody(run, give_away)
    for moved in file.parent.glob("*.damaged-*"):
        os.chown(moved, NOBODY, NOBODY)
    as_nobody(start_again)


def test_a_disk_that_may_only_be_read_is_told() -> None:
    """The start ends with the reason, and nothing is moved; when the disk may be written again, all is there."""
    with small_disk(20) as disk:
        file = disk.path / "journal.db"
        with closing(SqliteJournal(file)) as journal:
            fill(journal, 0)
        subprocess.run(["mount", "-o", "remount,ro", disk.path], check=True)
        for mends in (True, False):
            with pytest.raises(Unavailable, match="cannot open the journal"):
                SqliteJournal(file, mends=mends)
        subprocess.run(["mount", "-o", "remount,rw", disk.path], check=True)
        with closing(SqliteJournal(file)) as journal:
            assert journal.inspect() == []
            assert keys(journal) == list(range(20))
