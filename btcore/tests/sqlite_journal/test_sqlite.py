# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: what was appended is there, in order, once, until every sink has had it."""

import sqlite3
import struct
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from helpers.journal_entries import dead_letter, entry, raw_entry
from helpers.packets import METER, packet
from helpers.times import START

from btcore.journal import Baseline, Checkpoint, Entry, Retention
from btcore.journal.waits import Waits
from btcore.sqlite_journal.connections import READ_CACHE, WRITE_CACHE
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing.journal_entries import forget

PAGE = 4096

# --- appending and reading


def test_entries_are_read_as_they_were_appended(journal: SqliteJournal) -> None:
    """What was appended is read in order, with its places, from any place, at most so many."""
    made = [attrs.evolve(entry(at), offset=at + 1) for at in range(5)]
    assert made == list(journal.append([entry(at) for at in range(5)]).kept)
    assert (made, made[3:], made[1:3], []) == (
        journal.read(0, 100),
        journal.read(3, 100),
        journal.read(1, 2),
        journal.read(5, 100),
    )
    assert journal.newest() == 5


def test_a_whole_reading_stays_one(journal: SqliteJournal) -> None:
    """The mark of a reading that came without a packet is kept."""
    whole = Entry(7, "old", METER, "meter", b"{}", packetless=True)
    journal.append([whole])
    assert [attrs.evolve(whole, offset=1)] == journal.read(0, 9)


def test_entries_are_found_by_their_places(journal: SqliteJournal) -> None:
    """Entries are given in the order in which they are asked for; what is not there is left out."""
    journal.append([raw_entry(key) for key in range(5)])
    assert [one.offset for one in journal.get([4, 99, 2])] == [4, 2]


def test_the_same_reading_is_kept_once(journal: SqliteJournal) -> None:
    """A reading with the time, meter and packet of one that is kept is not appended again."""
    journal.append([entry(1)])
    assert journal.append([entry(1), entry(1)]).kept == []
    assert len(journal.read(0, 9)) == 1


def test_all_or_none_is_kept(journal: SqliteJournal) -> None:
    """Where one entry cannot be kept, none of its call is, and the error is not one to wait for."""
    with pytest.raises(sqlite3.Error):
        journal.append([raw_entry(1), attrs.evolve(raw_entry(2), serial=[])])  # type: ignore[arg-type]
    assert journal.read(0, 9) == []
    assert len(journal.append([raw_entry(1)]).kept) == 1


class NotedWaits(Waits):
    """Takes note of each wait: for how many seconds it is."""

    def __init__(self, lock: threading.Lock) -> None:
        """Begin."""
        super().__init__(lock)
        self.seconds: list[float] = []
        self.begun = threading.Event()

    def wait(self, offset: int, timeout: float) -> None:
        """Take note, and wait."""
        self.seconds.append(timeout)
        self.begun.set()
        super().wait(offset, timeout)


def test_a_waiting_reader_is_told(journal: SqliteJournal) -> None:
    """Waiting goes on until there is an entry after the place; where there is one already, nobody waits."""
    journal._waits = waits = NotedWaits(journal._news)
    told: list[bool] = []
    waiting = threading.Thread(target=lambda: told.append(journal.wait(0, 20)))
    waiting.start()
    assert waits.begun.wait(20)
    journal.append([raw_entry(1)])
    waiting.join(20)
    assert (told, journal.wait(0, 30), waits.seconds) == ([True], True, [20])
    assert (journal.wait(1, 0.001), waits.seconds) == (False, [20, 0.001])


def test_a_waiting_reader_can_be_woken(journal: SqliteJournal) -> None:
    """Waking ends a wait that nothing else would."""
    told: list[bool] = []
    waiting = threading.Thread(target=lambda: told.append(journal.wait(0, 60)))
    waiting.start()
    while not told:
        journal.wake()
        waiting.join(0.001)
    assert told == [False]


def test_threads_append_and_read_at_once(journal: SqliteJournal) -> None:
    """Two threads append while two read: nobody fails, nothing is lost, and no reader sees a gap that fills later."""
    count = 300
    seen: dict[int, list[int]] = {0: [], 1: []}

    def write(which: int) -> None:
        for n in range(count):
            journal.append([raw_entry(START + n, f"{which} {n}".encode(), str(which))])

    def read(which: int) -> None:
        place = 0
        while len(seen[which]) < 2 * count:
            journal.wait(place, 1)
            for one in journal.read(place, 50):
                place = one.offset
                seen[which].append(place)

    threads = [threading.Thread(target=work, args=(which,)) for work in (write, read) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {0: list(range(1, 2 * count + 1)), 1: list(range(1, 2 * count + 1))} == seen
    assert 2 * count == journal.newest()
    written = [one.raw for one in journal.read(0, 2 * count) if one.serial == "1"]
    assert [f"1 {n}".encode() for n in range(count)] == written


def test_the_newest_entry_stays_the_newest(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a thread appends more before an earlier one has taken note of its own: the later entry counts."""
    kept, go_on = threading.Event(), threading.Event()
    publish = journal._publish

    def held_up(entries: Sequence[Entry]) -> None:
        if threading.current_thread() is first:
            kept.set()
            assert go_on.wait(20)
        publish(entries)

    first = threading.Thread(target=journal.append, args=([raw_entry(1)],))
    monkeypatch.setattr(journal, "_publish", held_up)
    first.start()
    assert kept.wait(20)
    journal.append([raw_entry(2)])
    go_on.set()
    first.join(20)
    assert (journal.newest(), journal.wait(1, 20)) == (2, True)


# --- cursors


def test_a_sink_that_was_never_here_has_no_cursor(journal: SqliteJournal) -> None:
    """There is no cursor before the first commit."""
    assert journal.checkpoint("sink.new") is None


def test_a_cursor_is_kept_with_its_bases(journal: SqliteJournal) -> None:
    """A commit writes the offset, and the baselines that changed since the last one; each sink has its own."""
    first = journal.commit("a", Checkpoint(3, {"1": Baseline(1), "2": Baseline(2)}))
    journal.commit("b", Checkpoint(9))
    statements: list[str] = []
    journal._writer.set_trace_callback(statements.append)
    journal.commit("a", first.moved(5, {"1": Baseline(4, {"ch1_aws": 9})}))
    journal._writer.set_trace_callback(None)
    assert len([one for one in statements if "INTO baseline" in one]) == 1
    expected = Checkpoint(5, {"1": Baseline(4, {"ch1_aws": 9}), "2": Baseline(2)})
    assert (expected, Checkpoint(9)) == (journal.checkpoint("a"), journal.checkpoint("b"))


def test_both_connections_keep_only_so_much_of_the_file(journal: SqliteJournal) -> None:
    """The one that writes keeps what is gathered for a commit, the one that reads what is read at once."""
    written, read = (one.execute("PRAGMA cache_size").fetchone() for one in (journal._writer, journal._reader))
    assert (written, read) == ((-WRITE_CACHE,), (-READ_CACHE,))


@pytest.mark.parametrize("at_once", [20, 250])
def test_a_burst_is_committed_before_its_pages_are_written(
    journal: SqliteJournal, tmp_path: Path, at_once: int
) -> None:
    """Packets that are not compressed are committed while the connection still keeps all of their pages."""
    journal._writer.execute("PRAGMA wal_autocheckpoint = 0")
    for first in range(0, 10_000, at_once):
        journal.append([entry(one) for one in range(first, first + at_once)])
    journal._commit()
    transactions = written_pages(tmp_path / "journal.db-wal")
    assert max(map(len, transactions)) > 80  # a commit of a few pages would write a dozen more for each
    assert [len(set(pages)) for pages in transactions] == [len(pages) for pages in transactions]
    assert max(map(len, transactions)) * PAGE < 0.9 * WRITE_CACHE * 1024


def written_pages(log: Path) -> list[list[int]]:
    """Return which pages each transaction in SQLite's log has written, in their order."""
    data = log.read_bytes()
    found: list[list[int]] = [[]]
    for at in range(32, len(data), 24 + PAGE):
        page, size_after_commit = struct.unpack_from(">II", data, at)
        found[-1].append(page)
        if size_after_commit:
            found.append([])
    return found[:-1]


def test_a_commit_is_all_or_nothing(journal: SqliteJournal) -> None:
    """Where something of a commit cannot be written, the checkpoint has not moved, and can be moved later."""
    first = journal.commit("a", Checkpoint(1))
    with pytest.raises(sqlite3.Error):
        journal.commit("a", first.moved(2, {"1": Baseline([])}))  # type: ignore[arg-type]
    assert journal.checkpoint("a") == Checkpoint(1)
    journal.commit("a", first.moved(2, {"1": Baseline(2)}))
    assert journal.checkpoint("a") == Checkpoint(2, {"1": Baseline(2)})


def test_dead_letters_are_all_kept_or_none(journal: SqliteJournal) -> None:
    """Where one of them cannot be written, none is."""
    with pytest.raises(sqlite3.Error):
        journal.keep_dead_letters([dead_letter("a", 1), attrs.evolve(dead_letter("a"), why=None)])  # type: ignore[arg-type]
    assert journal.dead_letters() == []


# --- what a backlog weighs


def test_what_entries_weigh(journal: SqliteJournal) -> None:
    """Of entries after a place, their places, keys and sizes are told, oldest first, at most so many."""
    journal.append([raw_entry(key, b"x" * key) for key in (10, 30, 20)])
    assert journal.sizes(0, 2) == [(1, 10, 10), (2, 30, 30)]
    assert journal.sizes(2, 9) == [(3, 20, 20)]
    assert journal.sizes(3, 9) == []


# --- trimming


@pytest.fixture
def ten(journal: SqliteJournal) -> SqliteJournal:
    """Return a journal with ten entries."""
    journal.append([raw_entry(key) for key in range(10)])
    return journal


def places(journal: SqliteJournal) -> list[int]:
    """Return the places that are kept."""
    return [one.offset for one in journal.read(0, 99)]


def test_only_what_all_sinks_had_is_forgotten(ten: SqliteJournal) -> None:
    """What any configured sink has not had stays; a sink that is not configured any more does not count."""
    ten.commit("a", Checkpoint(8))
    ten.commit("b", Checkpoint(4))
    ten.commit("gone", Checkpoint(1))
    assert (forget(ten, ["a", "b"]), places(ten)) == (4, [5, 6, 7, 8, 9, 10])


def test_nothing_is_forgotten_before_every_sink_has_begun(ten: SqliteJournal) -> None:
    """A configured sink without a cursor has had nothing, so everything stays."""
    ten.commit("a", Checkpoint(8))
    assert (0, list(range(1, 11))) == (forget(ten, ["a", "new"]), places(ten))


def test_what_was_added_lately_stays(ten: SqliteJournal) -> None:
    """Delivered entries stay until they were in the journal for long enough."""
    ten.commit("a", Checkpoint(8))
    assert forget(ten, ["a"], Retention(60)) == 0


def test_bases_and_what_is_set_aside_stay(ten: SqliteJournal) -> None:
    """Readings that a sample will count from, or that belong to what was set aside, are not forgotten."""
    ten.keep_dead_letters([dead_letter("a", 5, 6)])
    ten.commit("a", Checkpoint(9, {METER: Baseline(3)}))
    ten.commit("gone", Checkpoint(9, {METER: Baseline(2)}))
    assert (forget(ten, ["a"]), places(ten)) == (5, [2, 3, 5, 6, 10])


def test_without_sinks_everything_old_is_forgotten(ten: SqliteJournal) -> None:
    """Where no sink is configured, age alone decides."""
    assert (forget(ten, []), places(ten)) == (10, [])


def test_places_are_never_used_again(ten: SqliteJournal, file: Path) -> None:
    """After everything was forgotten, also after reopening, new entries come after the cursors."""
    first = ten.commit("a", Checkpoint(10))
    assert forget(ten, ["a"]) == 10
    assert [one.offset for one in ten.append([raw_entry(11)]).kept] == [11]
    ten.commit("a", first.moved(11, {}))
    forget(ten, ["a"])
    with closing(SqliteJournal(file)) as again:
        assert again.newest() == 11
        assert [one.offset for one in again.append([raw_entry(12)]).kept] == [12]


# --- packets


def test_packets_are_kept_bit_by_bit(journal: SqliteJournal) -> None:
    """Every byte of a packet comes back."""
    raw = packet(energy=0xFF_FE_FD_FC_FB) + bytes(range(256))
    journal.append([raw_entry(1, raw)])
    assert [raw] == [one.raw for one in journal.read(0, 1)]
