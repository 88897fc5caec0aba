# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQLite journal, damaged in many ways, at rest and while it is open: it goes on, and accounts for each reading.

The same under a running program is in `tests/test_damage_end_to_end.py`.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from helpers.journal_damage import ALL, DAMAGES, IN_FILE, Harm, fill, made, overwrite_packet
from helpers.journal_death import open_mortal
from helpers.journal_entries import dead_letter

from btcore.errors import Unavailable
from btcore.journal import START, Damage, Entry
from btcore.sqlite_journal import mending, suspicions
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing import wait_for

SINK = "sink.roof"

HAD = 2900
"""Entries that its sink has had."""


def fill_all(journal: SqliteJournal) -> list[Entry]:
    """Fill a journal with all kinds of things; return its entries."""
    kept = fill(journal, SINK, HAD)
    journal.keep_dead_letters([dead_letter(SINK, 2895)])
    journal.commit_source("source.old", "far")
    assert journal.inspect() == []
    return kept


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file that was not closed be read at once, not after some seconds."""
    monkeypatch.setattr(suspicions, "CHECK_DELAY", 0.1)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of a journal as a killed program leaves them."""
    folder = tmp_path_factory.mktemp("killed")
    used = tmp_path_factory.mktemp("used")
    with closing(SqliteJournal(used / "journal.db")) as journal:
        fill_all(journal)
        for name in ("journal.db", "journal.db-wal", "journal.db-tail", "journal.db-note", "reserve"):
            shutil.copy(used / name, folder / name)
    return folder


def read_all(journal: SqliteJournal, after: int = START) -> Iterator[Entry]:
    """Read all entries, when what is brought back is there."""
    while True:
        try:
            found = journal.read(after, 500)
        except Unavailable:
            journal.inspect()
            continue
        if not found:
            return
        yield from found
        after = found[-1].offset


def are_same(some: Iterable[Entry], others: Iterable[Entry]) -> bool:
    """Whether these are the same entries; a test that fails is not to show thousands of them."""
    return list(some) == list(others)


def inspect_until(journal: SqliteJournal, is_enough: Callable[[list[Damage]], object]) -> list[Damage]:
    """Inspect a journal as the program does, until what it has found is enough."""
    found: list[Damage] = []

    def look() -> object:
        found.extend(journal.inspect())
        return is_enough(found)

    wait_for(look, "the damage to be told", 8)
    return found


@pytest.mark.parametrize("harm", DAMAGES, ids=lambda harm: harm.name)
def test_a_journal_that_was_damaged_at_rest_is_used_on(tmp_path: Path, killed: Path, harm: Harm) -> None:
    """It opens; what can be read is there, what is lost is counted and told in a line; new readings go after it."""
    folder = tmp_path / "state"
    shutil.copytree(killed, folder)
    harm.do(folder / "journal.db")
    folder.mkdir(exist_ok=True)
    with closing(SqliteJournal(folder / "journal.db")) as journal:
        told = inspect_until(journal, lambda found: found or not harm.told_at_rest)
        entries = list(read_all(journal))
        [new] = journal.append([made(ALL + 1)]).kept
        assert are_same([*entries, new], read_all(journal))
        assert all(one.raw == made(one.key).raw for one in entries)
        assert new.offset > ALL - harm.most_lost
        assert len(entries) >= ALL - harm.most_lost
        losses = [one.lost for one in told]
        is_known = harm.told_at_rest or not harm.most_lost
        assert not is_known or None in losses or ALL - len(entries) == sum(one or 0 for one in losses)
        assert [one for one in told if harm.words not in one.text or "\n" in one.text] == []
        assert bool(told) == harm.told_at_rest
        assert list(journal.check()) == []
    with closing(SqliteJournal(folder / "journal.db")) as again:
        assert list(again.inspect()) == []
        assert are_same([*entries, new], read_all(again))
        assert again.damages == tuple(told)


@pytest.mark.parametrize("harm", DAMAGES, ids=lambda harm: harm.name)
def test_a_journal_that_is_damaged_while_it_is_open_is_used_on(file: Path, harm: Harm) -> None:
    """What no sink has had is all there, and each sink is where it was; what is lost is counted and told in a line."""
    with closing(SqliteJournal(file)) as journal:
        kept = fill_all(journal)
        checkpoint = journal.checkpoint(SINK)
        assert checkpoint is not None
        harm.do(file)
        told = inspect_until(journal, lambda found: found or not harm.told_while_open)
        [new] = journal.append([made(ALL + 1)]).kept
        assert are_same([*kept[HAD:], new], read_all(journal, HAD))
        told += inspect_until(journal, lambda _found: True)
        entries = list(read_all(journal))
        losses = [one.lost for one in told]
        assert None not in losses
        assert ALL + 1 - len(entries) == sum(one or 0 for one in losses)
        assert len(entries) >= ALL + 1 - harm.most_lost
        assert journal.checkpoint(SINK) == checkpoint
        moved = journal.commit(SINK, attrs.evolve(checkpoint, offset=new.offset))
        assert journal.source_checkpoint("source.old") == "far"
        assert [one for one in told if harm.words_open not in one.text or "\n" in one.text] == []
        assert bool(told) == harm.told_while_open
        assert list(journal.check()) == []
        assert file.exists()
    with closing(SqliteJournal(file)) as again:
        assert list(again.inspect()) == []
        assert are_same(entries, read_all(again))
        assert again.checkpoint(SINK) == moved


def test_a_packet_that_is_in_memory_is_written_again(file: Path) -> None:
    """One of the newest readings, whose packet somebody overwrites in the file, is not lost, and that is told."""
    with closing(SqliteJournal(file)) as journal:
        kept = fill_all(journal)
        overwrite_packet(file, IN_FILE - 1)
        (told,) = inspect_until(journal, bool)
        assert told.text.endswith(": 1 reading is not as it was written, and is written again from memory")
        assert told.lost == 0
    with closing(SqliteJournal(file)) as again:
        assert are_same(kept, read_all(again))
        assert list(again.check()) == []


def test_a_salvage_that_is_interrupted_is_done_again(
    tmp_path: Path, killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often: the loss is counted right, and what came in meanwhile is there."""
    folder = tmp_path / "state"
    shutil.copytree(killed, folder)
    [harm] = [one for one in DAMAGES if one.name == "page garbled"]
    harm.do(folder / "journal.db")
    with monkeypatch.context() as hasty:
        hasty.setattr(mending, "PATIENCE", 0.0)
        hasty.setattr(mending, "SHARE", 0.0)
        for key in (ALL + 1, ALL + 2):
            journal = open_mortal(folder)
            journal.append([made(key)])
            assert journal.inspect() == []
            with pytest.raises(Unavailable, match="still brought back"):
                journal.read(START, 10)
    with closing(open_mortal(folder)) as journal:
        [damage] = journal.inspect()
        entries = list(read_all(journal))
        assert [one.key for one in entries[-2:]] == [ALL + 1, ALL + 2]
        assert damage.lost == ALL + 2 - len(entries) <= harm.most_lost


def test_a_file_that_is_removed_just_before_the_end_is_written_back(file: Path) -> None:
    """What was not inspected any more is looked at when the journal is closed."""
    with closing(SqliteJournal(file)) as journal:
        kept = fill_all(journal)
        file.unlink()
    with closing(SqliteJournal(file)) as again:
        assert are_same(kept, read_all(again))
        [damage] = again.damages
        assert "was removed while btcore used it" in damage.text
