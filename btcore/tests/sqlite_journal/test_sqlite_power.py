# SPDX-License-Identifier: GPL-3.0-or-later
"""What a power cut found in the SQLite journal, each as a history of its own; `nox -s power` tries all others."""

import errno
import os
import random
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path

import attrs
import pytest
from helpers.journal_damage import FRAME, index_of, log_of, made, overwrite, tail_of
from helpers.journal_death import MortalJournal
from helpers.journal_entries import dead_letter, raw_entry

from btcore.journal import Baseline, Checkpoint, Retention
from btcore.sqlite_journal import notebook
from btcore.sqlite_journal.files import durable
from btcore.sqlite_journal.files.moving import free_name, use_copy
from btcore.sqlite_journal.files.note import Note, read_note, write_note
from btcore.sqlite_journal.files.tail import MARK
from btcore.sqlite_journal.journal import SqliteJournal

SINK = "sink.roof"
SOURCE = "source.old"

PowerCut = Callable[[Path], None]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of what is waited for; the directory is its own name."""
    names: list[str] = []
    sync = durable._sync

    def noted(path: Path) -> None:
        names.append(path.name)
        sync(path)

    monkeypatch.setattr(durable, "_sync", noted)
    return names


def test_the_name_of_a_tail_is_on_the_disk_before_a_reading_counts(file: Path, synced: list[str]) -> None:
    """With `always`, the first append waits for the directory as well, and no other does."""
    with closing(SqliteJournal(file, always_sync=True)) as journal:
        synced.clear()
        journal.append([made(1)])
        assert synced == [file.parent.name]
        journal.append([made(2)])
        assert synced == [file.parent.name]


def test_what_is_committed_at_once_is_on_the_disk_after_a_check(file: Path, synced: list[str]) -> None:
    """What was not gathered is on the disk, too, once all is said to be: as after `check`."""
    with closing(SqliteJournal(file)) as journal:
        journal.append([made(key) for key in range(1, 200)])
        assert not tail_of(file).stat().st_size
        synced.clear()
        assert list(journal.check()) == []
        assert synced == [log_of(file).name]


def test_a_tail_does_not_come_back_with_what_was_forgotten(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk has forgotten the tail before anything that was in it can be forgotten."""
    waits: list[int] = []
    monkeypatch.setattr(os, "fdatasync", waits.append)
    with closing(SqliteJournal(file)) as journal:
        journal.append([made(1)])
        list(journal.apply_retention((), Retention(0)))
        assert len(waits) == 1


def older_tail(file: Path, until: Callable[[MortalJournal], object], after: Callable[[MortalJournal], object]) -> None:
    """Do two things, and let the power fail: the tail is as it was after the first, all else as after the second."""
    journal = MortalJournal(file)
    until(journal)
    old = tail_of(file).read_bytes()
    after(journal)
    journal._gathering.settle()
    journal.die()
    tail_of(file).write_bytes(old)


def test_a_source_is_not_set_back_by_an_older_tail(file: Path) -> None:
    """Where the file is newer than the tail, the source goes on from where the file has it."""
    older_tail(file, lambda one: one.commit_source(SOURCE, "row 1"), lambda one: one.commit_source(SOURCE, "row 2"))
    with closing(SqliteJournal(file)) as journal:
        assert journal.source_checkpoint(SOURCE) == "row 2"


def test_a_source_reads_again_what_is_missing_in_the_tail(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where readings are missing in the tail, the source is where it was before them, not after."""
    monkeypatch.setattr("btcore.sqlite_journal.files.tail.BLOCK", 100)
    journal = MortalJournal(file)
    journal.commit_source(SOURCE, "row 1")
    journal._gathering.commit()
    journal.append([made(1)])
    journal.append([made(2)])
    journal.commit_source(SOURCE, "row 2")
    journal.die()
    data = tail_of(file).read_bytes()
    begin = data.index(MARK + data[16:20])
    overwrite(tail_of(file), begin + 100, begin + 200)
    with closing(SqliteJournal(file)) as journal_after:
        assert [one.offset for one in journal_after.read(0, 10)] == [2]
        assert journal_after.source_checkpoint(SOURCE) == "row 1"
        assert journal_after.damages


def test_a_source_does_not_pass_over_readings_that_are_not_on_the_disk(file: Path) -> None:
    """After readings that were committed at once, how far their source has come is committed behind them."""
    with closing(SqliteJournal(file)) as journal:
        journal.append([made(key) for key in range(1, 200)])
        size = journal._gathering.size
        journal.commit_source(SOURCE, "row 1")
        assert journal._gathering.size == size
        assert list(journal.check()) == []
        journal.commit_source(SOURCE, "row 2")
        assert journal._gathering.size > size


def test_a_checkpoint_without_the_baselines_before_it_is_not_taken(file: Path) -> None:
    """Where a commit of a checkpoint is missing in the tail, a later one is not done: baselines would be missing."""
    journal = MortalJournal(file)
    journal.append([made(1), made(2), made(3)])
    first = journal.commit(SINK, Checkpoint(1, {"1": Baseline(1), "2": Baseline(1)}))
    journal._gathering.commit()
    second = journal.commit(SINK, attrs.evolve(first, offset=2, baselines={**first.baselines, "1": Baseline(2)}))
    begin = tail_of(file).read_bytes().index(MARK)
    end = begin + 12 + 12 + journal._gathering.size
    journal._gathering._tail._left = 0  # what follows begins a block, which is read whatever is before it
    journal.commit(SINK, attrs.evolve(second, offset=3, baselines={**second.baselines, "2": Baseline(3)}))
    journal.die()
    overwrite(tail_of(file), begin + 20, min(begin + 40, end))
    with closing(SqliteJournal(file)) as journal_after:
        assert journal_after.checkpoint(SINK) == first


@pytest.mark.parametrize(
    "remember",
    [
        lambda journal: journal.commit(SINK, Checkpoint(1, {"1": Baseline(9)})),
        lambda journal: journal.keep_dead_letters([dead_letter(SINK, 9)]),
    ],
    ids=["baseline", "dead letter"],
)
def test_no_offset_is_given_that_is_remembered(file: Path, remember: Callable[[SqliteJournal], object]) -> None:
    """A reading gets no offset that a baseline or a dead letter names, though the reading that had it is lost."""
    with closing(SqliteJournal(file)) as journal:
        journal.append([made(1)])
        remember(journal)
    with closing(SqliteJournal(file)) as journal:
        assert journal.append([made(2)]).kept[0].offset > 9


def killed_with_log(file: Path) -> None:
    """Leave a log with a few commits of everything."""
    journal = MortalJournal(file)
    for key in range(1, 20):
        journal.append([made(key)])
        last = journal.checkpoint(SINK) or Checkpoint()
        journal.commit(SINK, attrs.evolve(last, offset=key, baselines={"1": Baseline(key)}))
        journal._gathering.commit()
    state = {one: one.read_bytes() for one in (file, log_of(file), tail_of(file))}
    journal.close()
    for one, data in state.items():
        one.write_bytes(data)


def test_after_a_torn_page_of_the_log_only_readings_are_believed(file: Path) -> None:
    """Of what a log has after a page that is torn, readings are saved, and no checkpoint without its baselines."""
    killed_with_log(file)
    frames = log_of(file).stat().st_size // FRAME
    begin = 32 + frames // 2 * FRAME + 24 + 512
    overwrite(log_of(file), begin, begin + 3000, random.Random(1).randbytes)
    with closing(SqliteJournal(file)) as journal:
        there = {one.offset for one in journal.read(0, 100)}
        found = journal.checkpoint(SINK)
        assert found is not None
        assert (found.offset, found.baselines) == (found.offset, {"1": Baseline(found.offset)})
        assert {*range(1, found.offset + 1)} <= there
        assert max(there) == 19  # which comes after the torn page


def test_a_dead_letter_of_a_torn_page_is_not_brought_back(file: Path) -> None:
    """A dead letter whose times or lists are garbled is left where it is: it would keep all others from being read."""
    with closing(SqliteJournal(file)) as journal:
        journal.append([made(key) for key in range(1, 50)])
        journal.keep_dead_letters([dead_letter(SINK, 1), dead_letter(SINK, 2)])
    data = file.read_bytes()
    at = data.index(b"2026-06-21T")
    overwrite(file, at + 4, at + 9, lambda size: b"x" * size)
    overwrite(file, 0, 100)
    with closing(SqliteJournal(file)) as journal:
        assert [one.entries for one in journal.dead_letters()] in ([(1,)], [(2,)])


# --- files


@pytest.mark.parametrize(("error", "is_raised"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_directory_that_cannot_be_synced_is_none_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, is_raised: bool
) -> None:
    """A file system that knows no sync of directories is used without; a disk that fails is told."""

    def fail(_descriptor: int) -> None:
        raise OSError(error, "it cannot")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="cannot") if is_raised else nullcontext():
        durable.sync_names(tmp_path)


def test_a_log_that_stayed_behind_follows_its_file(file: Path) -> None:
    """Where the power fails between the renaming of a damaged file and of its log, both are brought in at the start."""
    killed_with_log(file)
    moved = free_name(file)
    write_note(file, attrs.evolve(read_note(file), unsaved=(moved.name,)), sync=True)
    file.rename(moved)
    with closing(SqliteJournal(file)) as journal:
        assert [one.offset for one in journal.read(0, 100)] == [*range(1, 20)]
        assert not read_note(file).unsaved
    assert log_of(moved).exists()


def test_what_was_to_be_moved_away_and_was_not_is_used(file: Path) -> None:
    """Where the power fails before a damaged file was renamed, the note names what is not there: a start sees that."""
    killed_with_log(file)
    write_note(file, attrs.evolve(read_note(file), unsaved=("journal.db.damaged-never",)), sync=True)
    with closing(SqliteJournal(file)) as journal:
        assert [one.offset for one in journal.read(0, 100)] == [*range(1, 20)]
        assert journal.append([made(20)]).kept[0].offset == 20
        assert not read_note(file).unsaved


def test_the_note_is_on_the_disk_before_a_file_is_renamed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is moved away only once the disk knows by which name: else nobody would look for it."""
    with closing(SqliteJournal(file)) as journal:
        journal.append([made(key) for key in range(1, 300)])
    os.truncate(file, 0)
    order: list[tuple[str, ...]] = []
    rename = durable.rename

    def noted(old: Path, new: Path) -> None:
        order.append((new.name, *read_note(file).unsaved))
        rename(old, new)

    monkeypatch.setattr("btcore.sqlite_journal.files.moving.rename", noted)
    with closing(SqliteJournal(file)):
        assert [name.removesuffix("-wal") for name, *_ in order] == [known for _, known in order]
        assert order


@pytest.mark.parametrize("is_complete", [True, False])
def test_a_copy_is_used_once_it_is_complete(file: Path, is_complete: bool) -> None:
    """A copy that was complete when the power failed takes the place of the file and its log; any other is removed."""
    for name, content in ((file, b"old"), (log_of(file), b"log"), (index_of(file), b"index")):
        name.write_bytes(content)
    copied = Path(f"{file}-copied" if is_complete else f"{file}-copy")
    copied.write_bytes(b"new")
    use_copy(file)
    assert file.read_bytes() == (b"new" if is_complete else b"old")
    assert (copied.exists(), log_of(file).exists()) == (False, not is_complete)


def test_a_note_that_is_needed_is_never_half_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While files wait to be brought in, the old note is there until the new one is on the disk."""
    write_note(file, Note(5, unsaved=("one",)), sync=True)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_note(file, Note(6, unsaved=("one", "two")), sync=True)
    assert read_note(file) == Note(5, unsaved=("one",))


def test_what_was_moved_away_serves_until_all_of_it_is_on_the_disk(
    file: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note says what was lost, and then that all was brought in, only once that is on the disk."""
    killed_with_log(file)
    overwrite(file, 0, 100, lambda size: b"x" * size)
    overwrite(log_of(file), 0, 32)
    monkeypatch.setattr(notebook, "write_note", lambda _file, note, **_: synced.append(f"unsaved: {len(note.unsaved)}"))
    with closing(SqliteJournal(file)) as journal:
        assert [one.offset for one in journal.read(0, 100)] == [*range(1, 20)]
    saved = synced.index("unsaved: 0")
    assert synced[saved - 2 : saved] == [log_of(file).name, "unsaved: 1"]  # the latter says what was lost


def test_gathered_commits_wait_for_the_disk_once(file: Path, synced: list[str]) -> None:
    """Of a commit of what is gathered, the log is waited for once, and not again where nothing was written since."""
    with closing(SqliteJournal(file)) as journal:
        journal.append([raw_entry(1)])
        synced.clear()
        journal._gathering.commit()
        journal._gathering.commit()
        assert synced.count(log_of(file).name) == 1
