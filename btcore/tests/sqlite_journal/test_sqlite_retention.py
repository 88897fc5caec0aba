# SPDX-License-Identifier: GPL-3.0-or-later
"""What the journal forgets, how much it holds, and a full disk: it heals once the sinks have had what is in it."""

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from helpers.journal_entries import dead_letter, raw_entry
from helpers.packets import METER
from helpers.times import AFTER_NOW

from btcore.errors import JournalFull
from btcore.journal import Baseline, Checkpoint, Retention, known_serials
from btcore.runtime.retention import Upkeep
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.sqlite_journal.tables import lag, meters, retention
from btcore.sqlite_journal.tables.sinks import MAX_IN_CHECKPOINT
from btcore.testing.journal_entries import ANY_AGE, forget

FULL_DISK = """
import os, subprocess, sys
from pathlib import Path
from btcore.errors import Unavailable
from btcore.journal import Baseline, Checkpoint, Entry, Retention
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.runtime.retention import Upkeep

folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)], check=True)
journal = SqliteJournal(folder / "journal.db")
filler = folder / "filler"
with filler.open("wb") as other:  # something else has filled most of the disk
    other.write(bytes(22 << 20))

kept = 0
def append(count):
    global kept
    for _ in range(count):
        journal.append([Entry(kept, "panel", "312345", "ecm1220bin", os.urandom(625))])
        kept += 1

for _ in range(2):
    try:
        append(100_000)
    except Unavailable as error:
        print("full", "disk is full" in str(error), journal.is_full)
    else:
        sys.exit("the disk did not fill")
    journal.commit("sink.a", (journal.checkpoint("sink.a") or Checkpoint()).moved(journal.newest(), {}))
    now = [0.0]
    upkeep = Upkeep(journal, ["sink.a"], Retention(10**9), clock=lambda: now[0])
    upkeep.turn()
    while upkeep.is_busy:
        upkeep.turn()
    before = kept
    append(1000)  # it takes readings again
    print("healed", kept - before, len(journal.read(0, 100_000)) < 2000)  # some were not in the file yet
journal.close()
journal = SqliteJournal(folder / "journal.db")  # it can be opened although the disk is full
print("opened", len(journal.append([Entry(10**9, "panel", "312345", "ecm1220bin", b"x")]).kept))
filler.unlink()
list(journal.apply_retention(["sink.a"], Retention(10**9)))
append(30_000)  # the file may grow again, and has its reserve
print("room again", (folder / "reserve").exists())
journal.close()
"""


@pytest.mark.servers
def test_a_full_disk_heals_by_itself(tmp_path: Path) -> None:
    """A journal that has filled the disk forgets what the sinks had, and goes on; again, and when there is room."""
    script = tmp_path / "script.py"
    script.write_text(FULL_DISK)
    (tmp_path / "disk").mkdir()
    alone = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    command = [*alone, sys.executable, str(script), str(tmp_path / "disk")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines() == [*["full True True", "healed 1000 True"] * 2, "opened 1", "room again True"], (
        done.stderr
    )


def test_trimming_holds_nobody_up(journal: SqliteJournal) -> None:
    """What is forgotten goes in portions, between which others have their turn; a portion that is left is no harm."""
    journal.append([raw_entry(n) for n in range(2 * retention.PORTION + 5)])
    first = journal.commit("a", Checkpoint(journal.newest()))
    portions = journal.apply_retention(["a"], ANY_AGE)
    assert next(portions).entries == retention.PORTION
    assert len(journal.append([raw_entry(10**6)]).kept) == 1
    journal.commit("a", first.moved(journal.newest(), {METER: Baseline(journal.newest())}))
    assert [one.entries for one in portions] == [retention.PORTION, 5, 0]
    assert [one.key for one in journal.read(0, 9)] == [10**6]


def test_what_is_committed_beside_trimming_stays(journal: SqliteJournal) -> None:
    """A baseline that moves while the journal is trimmed keeps its entry, and the one before it may go later."""
    journal.append([raw_entry(n) for n in range(3 * retention.PORTION)])
    kept = 5 * retention.PORTION // 2
    first = journal.commit("a", Checkpoint(10, {METER: Baseline(10)}))
    portions = journal.apply_retention(["a"], ANY_AGE)
    assert next(portions).entries == 9
    journal.commit("a", first.moved(journal.newest(), {METER: Baseline(kept)}))
    assert sum(one.entries for one in portions) == 0
    forget(journal, ["a"])
    assert [one.offset for one in journal.read(0, 10_000)] == [kept]


def test_dead_letters_are_kept_within_limits(journal: SqliteJournal, caplog: pytest.LogCaptureFixture) -> None:
    """The oldest above a number are forgotten by sink, which the log says, and hold no entries any more."""
    journal.append([raw_entry(n) for n in range(8)])
    journal.keep_dead_letters([*(dead_letter("a", n) for n in range(1, 6)), dead_letter("b", 8)])
    journal.commit("a", Checkpoint(8))
    journal.commit("b", Checkpoint(8))
    clean(Upkeep(journal, ["a", "b"], Retention(10**6, max_dead_letters=3)))
    assert [(one.sink, one.entries) for one in journal.dead_letters()] == [("a", (n,)) for n in (3, 4, 5)] + [
        ("b", (8,))
    ]
    assert caplog.messages == ["a: deleted 2 dead letters, as they are too old or too many"]
    forget(journal, ["a", "b"])
    assert [one.offset for one in journal.read(0, 9)] == [3, 4, 5, 8]


def test_how_much_waits_is_known_without_counting_it(journal: SqliteJournal) -> None:
    """To ask how far a sink is behind takes hardly longer for twice as large a backlog."""

    def steps_of_sqlite() -> int:
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        journal._reader.set_progress_handler(count, 1)
        assert journal.lag(0).entries == journal.newest()
        journal._reader.set_progress_handler(None, 1)
        return steps

    journal.append([raw_entry(n) for n in range(5 * lag.BLOCK)])
    before = steps_of_sqlite()
    journal.append([raw_entry(n) for n in range(5 * lag.BLOCK, 10 * lag.BLOCK)])
    assert steps_of_sqlite() - before < lag.BLOCK


def test_baselines_are_bounded_and_those_that_are_not_in_memory_are_found(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of invented meters the oldest go; a cursor holds those heard last, and each of the others can be asked for."""
    count = MAX_IN_CHECKPOINT + 500
    journal.append([attrs.evolve(raw_entry(n), serial=str(n)) for n in range(count)])
    bases = {str(n): Baseline(n + 1) for n in range(count)}
    journal.commit("a", Checkpoint(count, bases))
    cursor = journal.checkpoint("a")
    assert cursor is not None
    assert len(cursor.baselines) == MAX_IN_CHECKPOINT
    assert (journal.baseline("a", "0"), journal.baseline("a", "none")) == (Baseline(1), None)
    assert known_serials(journal)[0] == str(count - 1)
    monkeypatch.setattr(retention, "MAX_BASELINES", 100)
    forget(journal, ["a"])
    assert (journal.baseline("a", "0"), journal.baseline("a", str(count - 100))) == (None, Baseline(count - 99))


def test_a_journal_at_its_bound_forgets_before_it_refuses(file: Path) -> None:
    """Near its bound, what all sinks had is forgotten at once; where that is not enough, new readings are refused."""
    with closing(SqliteJournal(file, 2_000_000)) as journal:
        for n in range(1500):
            journal.append([raw_entry(n, os.urandom(1000))])
        with pytest.raises(
            JournalFull, match=r"journal\.db has come to its bound of 2000000 bytes, all of it undelivered"
        ):
            fill(journal)
        assert journal.is_full
        journal.commit("a", Checkpoint(journal.newest() - 10))
        clean(Upkeep(journal, ["a"], Retention(10**9)))
        assert not journal.is_full
        assert len(journal.append([raw_entry(10**6)]).kept) == 1


def clean(upkeep: Upkeep) -> None:
    """Let a clean-up begin, and end."""
    upkeep.turn()
    while upkeep.is_busy:
        upkeep.turn()


def fill(journal: SqliteJournal) -> None:
    """Append more than the journal may hold."""
    for n in range(1500, 3000):
        journal.append([raw_entry(n, os.urandom(1000))])


def test_only_its_owner_may_read_the_journal(file: Path) -> None:
    """When and how much a household uses is its own affair: the file and SQLite's own beside it are private."""
    umask = os.umask(0)
    try:
        with closing(SqliteJournal(file)) as journal:
            journal.append([raw_entry(1)])
            modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in file.parent.iterdir()}
    finally:
        os.umask(umask)
    assert set(modes) >= {"journal.db", "journal.db-wal", "journal.db-shm"}
    assert set(modes.values()) == {0o600}


def test_a_clock_that_was_ahead_or_is_behind_does_not_stop_the_clean_up(journal: SqliteJournal) -> None:
    """Rows that were added at a time that is still to come are passed over; where there is no room, no time counts."""
    journal.append([raw_entry(n) for n in range(3 * retention.PORTION)])
    journal._writer.execute("UPDATE entry SET added = ? WHERE offset <= ?", (AFTER_NOW + 10**6, 2 * retention.PORTION))
    journal.commit("a", Checkpoint(journal.newest()))
    assert forget(journal, ["a"]) == retention.PORTION
    journal._used = 1
    journal._most = 1
    clean(Upkeep(journal, ["a"], Retention(10**9)))
    assert journal.read(0, 1) == []


def test_the_lack_of_room_is_told_now_and_then(journal: SqliteJournal, caplog: pytest.LogCaptureFixture) -> None:
    """A disk that is full again and again is told once an hour."""
    now = 0.0
    upkeep = Upkeep(journal, ["a"], Retention(10**9), clock=lambda: now)
    for minute in range(100):
        now = minute * 60.0
        journal._room.is_full = minute % 2 == 0
        clean(upkeep)
    assert len(caplog.messages) == 2


# --- which meters were heard


def test_meters_are_remembered_when_their_readings_are_forgotten(file: Path) -> None:
    """Each meter with each format is known, also after its entries were let go and the file was opened again."""
    with closing(SqliteJournal(file)) as journal:
        journal.append(
            [raw_entry(1), attrs.evolve(raw_entry(2), format="gem48pbin"), attrs.evolve(raw_entry(3), serial="420467")]
        )
        forget(journal, [])
    with closing(SqliteJournal(file)) as journal:
        earlier = {(METER, "ecm1220bin", 0), (METER, "gem48pbin", 0), ("420467", "ecm1220bin", 0)}
        assert {tuple(one) for one in journal.heard_meters()} == earlier
        journal.append([raw_entry(4)])
        assert journal.heard_meters()[-1] == (METER, "ecm1220bin", 4)
        assert known_serials(journal) == [METER, "420467"]


def test_many_new_meters_at_once_do_not_pass_the_bound(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more meters come in than are forgotten at once otherwise, as many go."""
    monkeypatch.setattr(meters, "MOST", 16)
    journal.append([raw_entry(n, serial=str(n)) for n in range(16)])
    journal.append([raw_entry(n, serial=str(n)) for n in range(16, 22)])
    assert [one.serial for one in journal.heard_meters()] == [str(n) for n in range(6, 22)]


def test_invented_meters_are_forgotten_before_those_that_are_heard(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more meters than are remembered, those go that were not heard for longest, in memory and in the file."""
    monkeypatch.setattr(meters, "MOST", 16)
    with closing(SqliteJournal(file)) as journal:
        for n in range(100):
            journal.append([attrs.evolve(raw_entry(2 * n), serial=f"4{n:05}"), raw_entry(2 * n + 1)])
        known = {one.serial for one in journal.heard_meters()}
    assert METER in known
    assert known - {METER} == {f"4{n:05}" for n in range(101 - len(known), 100)}
    assert 8 < len(known) <= 16
    with closing(SqliteJournal(file)) as again:
        assert {one.serial for one in again.heard_meters()} == known


def test_a_meter_whose_reading_could_not_be_kept_was_not_heard(journal: SqliteJournal) -> None:
    """What is not in the file is not remembered, and is once it is."""
    with pytest.raises(sqlite3.Error):
        journal.append([raw_entry(1), attrs.evolve(raw_entry(2), serial=[])])  # type: ignore[arg-type]
    assert journal.heard_meters() == []
    journal.append([raw_entry(1)])
    assert [one.serial for one in journal.heard_meters()] == [METER]
