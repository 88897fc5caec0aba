# SPDX-License-Identifier: GPL-3.0-or-later
"""The tail of the SQLite journal: what is kept there survives the process, and whatever happens to the file is told."""

import os
import random
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import pytest
from helpers.journal_death import MortalJournal, open_mortal
from helpers.journal_entries import fill, raw_entry
from hypothesis import given
from hypothesis import strategies as st

from btcore.errors import Unavailable
from btcore.journal import Baseline, Checkpoint, Retention
from btcore.sqlite_journal import gathering
from btcore.sqlite_journal.files.tail import BEGIN, BLOCK, PAGE, SIZE, Tail
from btcore.sqlite_journal.journal import SqliteJournal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[MortalJournal]:
    """Return an empty journal whose process can die."""
    with closing(open_mortal(tmp_path)) as opened:
        yield opened


@pytest.fixture
def tail_file(tmp_path: Path) -> Path:
    """Return where its tail is."""
    return tmp_path / "journal.db-tail"


def committed(folder: Path) -> int:
    """Return how many entries are in the journal's file itself."""
    from helpers.database_rows import table_rows  # noqa: PLC0415

    return int(table_rows(folder / "journal.db", "entry", "count(*)")[0][0])


def raws(journal: SqliteJournal) -> list[bytes]:
    """Return the packets that a journal has."""
    return [one.raw for one in journal.read(0, 10_000)]


# --- the file by itself


@given(st.lists(st.binary(max_size=3000), max_size=20), st.integers(0, 100), st.data())
def test_a_file_that_is_cut_anywhere_has_its_first_records(
    records: list[bytes], earlier: int, data: st.DataObject
) -> None:
    """What was written before the cut is read, in order; nothing of an earlier filling, and nothing else."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "journal.db")
        tail = Tail(file)
        list(tail.records())
        for n in range(earlier):
            tail.write(b"earlier %d" % n * 50, n)
        tail.clear()
        ends: list[int] = []
        for record in records:
            tail.write(record, len(ends))
            ends.append(BEGIN.size + tail.size)
        tail.close()
        cut = data.draw(st.integers(0, (ends or [0])[-1]))
        path = Path(folder, "journal.db-tail")
        os.truncate(path, cut)
        again = Tail(file)
        found = list(again.records())
        assert found == records[: sum(end <= cut for end in ends)]
        again.write(b"and on", 0)
        again.close()
        last = Tail(file)
        assert list(last.records()) == [*found, b"and on"]
        last.close()


@given(
    st.lists(st.integers(1, 6000), min_size=1, max_size=60),
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["zeros", "noise", "unwritten"])), max_size=4),
    st.integers(0, 80),
)
def test_whatever_page_is_damaged_nothing_is_invented(
    sizes: list[int], harms: list[tuple[int, str]], earlier: int
) -> None:
    """What is read was written, in this order; before the first damage all is read, and from the next block on."""
    records = [random.Random(n).randbytes(size) for n, size in enumerate(sizes)]
    with TemporaryDirectory() as folder:
        path = Path(folder, "journal.db-tail")
        with closing(Tail(Path(folder, "journal.db"))) as tail:
            for n in range(earlier):
                tail.write(random.Random(-n).randbytes(2000), n)
            tail.clear()
            unwritten = path.read_bytes()
            ends, fresh = [], []
            for n, record in enumerate(records):
                begin = BEGIN.size + tail.size
                tail.write(record, n + 1)
                ends.append(BEGIN.size + tail.size)
                is_fresh = int.from_bytes(path.read_bytes()[begin + 12 : begin + 16], "little") >> 31
                fresh.append(bool(is_fresh))
        data = bytearray(path.read_bytes())
        before = bytes(data)
        for page, harm in harms:
            size = len(data[page * PAGE : (page + 1) * PAGE])
            content = {"zeros": bytes(PAGE), "noise": random.Random(page).randbytes(PAGE)}.get(
                harm, unwritten[page * PAGE : (page + 1) * PAGE]
            )
            data[page * PAGE : page * PAGE + size] = content[:size]
        path.write_bytes(data)
        with closing(Tail(Path(folder, "journal.db"))) as again:
            found = list(again.records())
            newest, is_damaged = again.newest, again.is_damaged
    begins = [BEGIN.size, *ends[:-1]]
    is_same = [data[begin:end] == before[begin:end] for begin, end in zip(begins, ends, strict=True)]
    expected, is_in_order = [], True
    for record, same, is_first in zip(records, is_same, fresh, strict=True):
        is_in_order = same and (is_first or is_in_order)
        expected += [record] if is_in_order else []
    if any(is_same):
        assert found == expected
        assert newest == max(n for n, same in enumerate(is_same, 1) if same)
        assert is_damaged or found == records[: len(found)]
    else:
        assert [one for one in found if len(one) != 2000] == []


# --- the journal with it


def test_what_is_kept_is_not_committed_at_once_and_survives(tmp_path: Path, journal: MortalJournal) -> None:
    """Packets and checkpoints are in the tail alone; after the death of the process they are in the journal."""
    kept = fill(journal, 20)
    checkpoint = journal.commit("sink.a", Checkpoint(7, {"1": Baseline(7, {"wh": 3})}))
    journal.commit_source("panel", "row 9")
    assert committed(tmp_path) == 0
    again = open_mortal(tmp_path)
    assert committed(tmp_path) == 20
    assert (raws(again), again.checkpoint("sink.a"), again.source_checkpoint("panel")) == (kept, checkpoint, "row 9")
    assert list(again.check()) == []
    again.close()


def test_a_process_that_dies_between_commit_and_tail_doubles_nothing(tmp_path: Path, journal: MortalJournal) -> None:
    """What is in both files is in the journal once."""
    kept = fill(journal, 5)
    journal.commit("sink.a", Checkpoint(3))
    journal._writer.execute("COMMIT")
    again = open_mortal(tmp_path)
    assert (raws(again), again.lag(0).entries) == (kept, 5)
    assert list(again.check()) == []
    again.close()


def test_an_orderly_end_leaves_no_tail(tmp_path: Path, journal: MortalJournal, tail_file: Path) -> None:
    """All is in the journal's file then, for a copy or for an older btcore."""
    fill(journal, 5)
    assert tail_file.stat().st_size == SIZE
    journal.close()
    assert not tail_file.exists()
    assert committed(tmp_path) == 5


def test_a_full_tail_is_committed(tmp_path: Path, journal: MortalJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """At so many bytes, or when it is old."""
    monkeypatch.setattr(gathering, "MAX_TAIL", 500)
    fill(journal, 100)
    assert committed(tmp_path) > 50
    monkeypatch.setattr(gathering, "MAX_AGE", -1.0)
    fill(journal, 1, first=100)
    assert committed(tmp_path) == 101


def test_a_packet_changes_the_time_of_no_file(tmp_path: Path, journal: MortalJournal) -> None:
    """Nor does a look at the files: else the file system writes that down, more than the packet is."""
    fill(journal, 5)

    def changed(n: int) -> list[str]:
        for file in tmp_path.iterdir():
            os.utime(file, (0, 0))
        fill(journal, 1, first=n)
        journal.inspect()
        return [file.name for file in tmp_path.iterdir() if file.stat().st_mtime]

    assert any(not changed(5 + 5 * n) for n in range(5))  # the system may write a page out meanwhile


def test_pages_that_are_soon_needed_are_changed_with_the_first(tmp_path: Path, journal: MortalJournal) -> None:
    """After a write-out the first record changes the time of the tail, and those of the next pages do not."""
    file = tmp_path / "journal.db-tail"

    def is_changed_once(n: int) -> bool:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)  # as the system does about each half minute
        os.close(descriptor)
        journal.append([raw_entry(n, random.Random(n).randbytes(600))])
        os.utime(file, (0, 0))
        for m in range(n + 1, n + 30):
            journal.append([raw_entry(m, random.Random(m).randbytes(600))])
        return not file.stat().st_mtime

    for n in range(30):
        journal.append([raw_entry(n, random.Random(n).randbytes(600))])
    assert any(is_changed_once(30 + 30 * n) for n in range(5))  # the system may write a page out meanwhile


def test_with_always_a_page_of_the_tail_is_changed_when_it_is_needed(tmp_path: Path) -> None:
    """Else each wait for the disk would write the pages that are not needed yet."""
    with closing(SqliteJournal(tmp_path / "journal.db", always_sync=True)) as journal:
        journal.append([raw_entry(0, random.Random(0).randbytes(600))])
        tail = tmp_path / "journal.db-tail"
        with tail.open("r+b") as file:
            file.seek(2 * PAGE)
            file.write(b"as before")
        for n in range(1, 5):
            journal.append([raw_entry(n, random.Random(n).randbytes(600))])
            journal.commit("sink.a", Checkpoint(n, {}, revision=n - 1))
        assert tail.read_bytes()[2 * PAGE :][:9] == b"as before"


def test_a_tail_is_on_the_disk_after_five_minutes(journal: MortalJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the first record after them it is waited for, though all is committed later, and then not for as long."""
    waits: list[int] = []
    monkeypatch.setattr(os, "fdatasync", waits.append)
    fill(journal, 5)
    assert waits == []
    journal._gathering._synced -= gathering.MAX_UNSYNCED
    fill(journal, 5, first=5)
    assert len(waits) == 1
    assert not journal._gathering.is_empty


def test_many_packets_at_a_time_are_committed_at_once(tmp_path: Path, journal: MortalJournal) -> None:
    """An import does not pass through the tail."""
    journal.append([raw_entry(n, bytes(700)) for n in range(100)])
    assert committed(tmp_path) == 100


def test_a_tail_that_is_removed_costs_nothing(tmp_path: Path, journal: MortalJournal, tail_file: Path) -> None:
    """The next packet brings all into the journal's file, the next inspection says so, and a new tail is made."""
    kept = fill(journal, 5)
    tail_file.unlink()
    kept += fill(journal, 1, first=5)
    assert committed(tmp_path) == 5
    [damage] = journal.inspect()
    assert "(journal.db-tail) was removed, replaced or cut short" in damage.text
    assert journal.inspect() == []
    kept += fill(journal, 3, first=6)
    assert raws(open_mortal(tmp_path)) == kept


@pytest.mark.parametrize("length", [0, 10, 100])
def test_a_tail_that_is_cut_short_costs_nothing(
    tmp_path: Path, journal: MortalJournal, tail_file: Path, length: int
) -> None:
    """As one that is removed."""
    kept = fill(journal, 50)
    os.truncate(tail_file, length)
    kept += fill(journal, 1, first=50)
    assert raws(open_mortal(tmp_path)) == kept


def test_a_tail_that_is_damaged_is_told(tmp_path: Path, journal: MortalJournal, tail_file: Path) -> None:
    """What comes before the damage is there, what is lost is told and counted, and readings are taken again."""
    kept = fill(journal, 20)
    assert journal.inspect() == []
    with tail_file.open("r+b") as file:
        file.seek(BEGIN.size + journal._gathering.size // 2)
        file.write(bytes(8))
    again = open_mortal(tmp_path)
    found = raws(again)
    assert 0 < len(found) < 20
    assert found == kept[: len(found)]
    [damage] = again.inspect()
    assert f"its tail (journal.db-tail) is damaged: {20 - len(found)} readings are lost" in damage.text
    assert damage.lost == 20 - len(found)
    assert fill(again, 3, first=100) == raws(again)[-3:]
    again.close()


def test_damage_to_a_tail_costs_its_block_alone(tmp_path: Path, journal: MortalJournal, tail_file: Path) -> None:
    """Of a tail of many blocks, what is before and after the damaged one is there, in order, and the loss is exact."""
    kept = [random.Random(n).randbytes(600) for n in range(200)]
    for n, raw in enumerate(kept):
        journal.append([raw_entry(n, raw)])
    with tail_file.open("r+b") as file:
        file.seek(BEGIN.size + journal._gathering.size // 2)
        file.write(bytes(PAGE))
    again = open_mortal(tmp_path)
    found = raws(again)
    [damage] = again.inspect()
    assert found == [raw for raw in kept if raw in set(found)]
    assert found[-1] == kept[-1]
    assert 200 - len(found) <= BLOCK // 600 + PAGE // 600 + 2
    assert damage.lost == 200 - len(found) > 0
    again.close()


@pytest.mark.parametrize("end", [BEGIN.size, PAGE])
def test_a_tail_without_its_beginning_is_read(tmp_path: Path, tail_file: Path, end: int) -> None:
    """The records say themselves that they belong together; none of an earlier filling is taken for one of them."""
    with closing(Tail(tmp_path / "journal.db")) as tail:
        for n in range(400):
            tail.write(b"earlier %d" % n * 50, n)
        tail.clear()
        records = [random.Random(n).randbytes(600) for n in range(100)]
        for n, record in enumerate(records):
            tail.write(record, n)
    with tail_file.open("r+b") as file:
        file.write(bytes(end))
    with closing(Tail(tmp_path / "journal.db")) as again:
        found = list(again.records())
        assert again.is_damaged == (end > BEGIN.size)
        assert again.newest == 99
    assert found == records[len(records) - len(found) :]
    assert len(found) >= 100 - (BLOCK if end > BEGIN.size else 0) // 600 - 2


def test_a_tail_is_replayed_into_another_file(tmp_path: Path, journal: MortalJournal) -> None:
    """Where the journal's file is an older one, or a new one, it gets what the tail has, at the same offsets."""
    fill(journal, 5)
    list(journal.check())  # commits
    kept = fill(journal, 5, first=5)
    checkpoint = journal.commit("sink.a", Checkpoint(7, {"1": Baseline(7)}))
    for name in ("journal.db", "journal.db-wal"):
        (tmp_path / name).unlink()
    again = open_mortal(tmp_path)
    assert [one.offset for one in again.read(0, 99)] == [6, 7, 8, 9, 10]
    assert (raws(again), again.checkpoint("sink.a")) == (kept, checkpoint)
    again.close()


def test_a_sink_is_where_the_last_record_of_the_tail_says(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, journal: MortalJournal
) -> None:
    """Also in a file that is begun anew: what is salvaged of the old one is older, and takes no sink back."""
    fill(journal, 5)
    first = journal.commit("sink.a", Checkpoint(1, {"1": Baseline(1)}))
    journal.compact()  # all is in journal.db itself
    second = journal.commit("sink.a", attrs.evolve(first, offset=3, baselines={**first.baselines, "2": Baseline(3)}))
    third = journal.commit("sink.a", attrs.evolve(second, offset=5, baselines={**second.baselines, "1": Baseline(5)}))
    left = shutil.copytree(tmp_path, tmp_path_factory.mktemp("died") / "state")
    (left / "journal.db-wal").write_bytes(os.urandom(500))
    with closing(open_mortal(left)) as again:
        assert list(left.glob("journal.db.damaged-*"))
        assert again.checkpoint("sink.a") == third
        assert list(again.check()) == []


def test_what_was_restamped_is_not_taken_back(tmp_path: Path, journal: MortalJournal) -> None:
    """A key that was given later is there after the death of the process, and in a file that is begun anew."""
    fill(journal, 3)
    first, *_ = journal.read(0, 1)
    journal.restamp([attrs.evolve(first, key=77, boot=4)])
    (tmp_path / "journal.db").write_bytes(os.urandom(30_000))
    journal._mender.suspicions.add("noise")
    journal.inspect()
    assert [(one.key, one.boot) for one in journal.read(0, 9)] == [(77, 4), (1, 0), (2, 0)]
    assert [(one.key, one.boot) for one in open_mortal(tmp_path).read(0, 9)] == [(77, 4), (1, 0), (2, 0)]


def test_a_command_leaves_the_tail_to_the_next_run(tmp_path: Path, journal: MortalJournal, tail_file: Path) -> None:
    """One that only looks into what a killed program left sees all of it, and the next run sees what is damaged."""
    kept = fill(journal, 20)
    assert journal.inspect() == []
    with tail_file.open("r+b") as file:
        file.seek(BEGIN.size + journal._gathering.size - 20)
        file.write(bytes(8))
    journal.die()
    with closing(SqliteJournal(tmp_path / "journal.db", mends=False)) as looking:
        assert raws(looking) == kept[:-1]
    with closing(open_mortal(tmp_path)) as again:
        [damage] = again.inspect()
        assert damage.lost == 1


def test_what_is_no_tail_is_overwritten(tmp_path: Path, tail_file: Path) -> None:
    """A file of zeros, or of anything, stops nothing."""
    for content in (b"", bytes(100), os.urandom(500)):
        tail_file.write_bytes(content)
        with closing(open_mortal(tmp_path)) as journal:
            fill(journal, 1, first=len(content))
    assert committed(tmp_path) == 3


def test_a_commit_that_fails_costs_nothing(tmp_path: Path, journal: MortalJournal) -> None:
    """Where SQLite has no room, readings are kept in the tail, in order, and a sink that is up to date goes on."""
    kept = fill(journal, 3)
    list(journal.check())  # commits
    (pages,) = journal._writer.execute("PRAGMA page_count").fetchone()
    journal._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Unavailable, match="disk is full"):  # noqa: PT012 - which of them it is, is SQLite's matter
        for n in range(3, 1000):
            kept += fill(journal, 1, first=n)
    journal._writer.execute("PRAGMA max_page_count = 100000")
    kept += fill(journal, 3, first=2000)
    assert raws(journal) == kept
    assert raws(open_mortal(tmp_path)) == kept


def test_with_always_each_append_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each append, and not for a checkpoint."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    with closing(SqliteJournal(tmp_path / "journal.db", always_sync=True)) as journal:
        fill(journal, 3)
        journal.commit("sink.a", Checkpoint(3))
        assert len(synced) == 3


def test_a_tail_that_cannot_be_written_costs_nothing(
    tmp_path: Path, journal: MortalJournal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each reading is committed at once, as long as that lasts; the log says so once."""
    kept = fill(journal, 2)
    with monkeypatch.context() as broken:
        broken.setattr(Tail, "write", failing_write)
        kept += fill(journal, 3, first=2)
        assert committed(tmp_path) == 5
    kept += fill(journal, 2, first=5)
    assert committed(tmp_path) == 5
    assert caplog.text.count("cannot write to") == 1
    assert raws(open_mortal(tmp_path)) == kept


def failing_write(_: Tail, _record: bytes, _newest: int, *, sync: bool) -> None:
    """Fail as a bad disk does."""
    raise OSError(5, f"Input/output error {sync}")


def test_a_reader_misses_nothing_while_it_is_committed(journal: MortalJournal) -> None:
    """What is known to be kept is read at any moment: before, during and after a commit."""
    sizes = [1, 1, 1, 120] * 60  # packets that are gathered, and many that are committed at once

    def write() -> None:
        key = 0
        for size in sizes:
            journal.append([raw_entry(key + n, bytes(600)) for n in range(size)])
            key += size

    writer, at = threading.Thread(target=write), 0
    writer.start()
    while writer.is_alive() or at < journal.newest():
        newest = journal.newest()
        found = journal.read(at, 500)
        assert found or newest <= at
        assert [one.offset for one in found] == list(range(at + 1, at + 1 + len(found)))
        at += len(found)
    writer.join()
    assert at == sum(sizes)


def test_what_is_lost_later_is_counted_with_what_was_kept_before_an_earlier_loss(
    tmp_path: Path, journal: MortalJournal, tail_file: Path
) -> None:
    """However often it is damaged, what is lost and what is kept are together all that ever came in."""
    fill(journal, 20)
    assert journal.inspect() == []
    with tail_file.open("r+b") as file:
        file.seek(BEGIN.size + journal._gathering.size // 2)
        file.write(bytes(8))
    again = open_mortal(tmp_path)
    [first] = again.inspect()
    fill(again, 30, first=100)
    assert again.inspect() == []
    again.close()
    for left in (tmp_path / "journal.db", tmp_path / "journal.db-wal", tail_file):
        left.unlink(missing_ok=True)
    last = open_mortal(tmp_path)
    [second] = last.inspect()
    assert raws(last) == []
    assert (first.lost or 0) + (second.lost or 0) == 50
    last.close()


def test_what_is_lost_is_counted_after_a_retention_that_forgot_nothing(
    tmp_path: Path, journal: MortalJournal, tail_file: Path
) -> None:
    """Only while entries are being forgotten nobody knows how many there are."""
    fill(journal, 30)
    assert journal.inspect() == []
    assert sum(one.entries for one in journal.apply_retention(["sink.none"], Retention(3600))) == 0
    for file in (tmp_path / "journal.db", tmp_path / "journal.db-wal", tail_file):
        file.unlink()
    again = open_mortal(tmp_path)
    assert [damage.lost for damage in again.inspect()] == [30]
    again.close()
