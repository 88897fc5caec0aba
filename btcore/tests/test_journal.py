"""The journal: what was acknowledged is there, in order, once, whatever happens to the program or the disk."""

import random
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from made import METER, START, entry, packet

from btcore.errors import Unavailable
from btcore.journal import Aside, Cursor, Entry
from btcore.sqlite_journal import TABLES, VERSION, SqliteJournal

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
SOON = int(time.time()) + 1_000_000
"""Seconds since 1970: everything that these tests append was added before."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where the journal is."""
    return tmp_path / "journal.db"


@pytest.fixture
def journal(file: Path) -> Iterator[SqliteJournal]:
    """Return an empty journal."""
    with closing(SqliteJournal(file)) as made:
        yield made


def small(key: int, raw: bytes = b"", serial: str = METER) -> Entry:
    """Make an entry with a packet of one's own."""
    return Entry(key, "panel", serial, "ecm1220bin", raw or str(key).encode())


def aside(sink: str, *places: int) -> Aside:
    """Make something set aside."""
    return Aside(sink, METER, NOON, NOON + timedelta(seconds=10), "too sunny", places)


# --- appending and reading


def test_entries_are_read_as_they_were_appended(journal: SqliteJournal) -> None:
    """What was appended is read in order, with its places, from any place, at most so many."""
    made = [attrs.evolve(entry(at), seq=at + 1) for at in range(5)]
    assert made == list(journal.append([entry(at) for at in range(5)]))
    assert (made, made[3:], made[1:3], []) == (
        journal.read(0, 100),
        journal.read(3, 100),
        journal.read(1, 2),
        journal.read(5, 100),
    )
    assert journal.last() == 5


def test_a_whole_reading_stays_one(journal: SqliteJournal) -> None:
    """The mark of a reading that came without a packet is kept."""
    whole = Entry(7, "old", METER, "meter", b"{}", whole=True)
    journal.append([whole])
    assert [attrs.evolve(whole, seq=1)] == journal.read(0, 9)


def test_entries_are_found_by_their_places(journal: SqliteJournal) -> None:
    """Entries are given in the order in which they are asked for; what is not there is left out."""
    journal.append([small(key) for key in range(5)])
    assert [one.seq for one in journal.get([4, 99, 2])] == [4, 2]


def test_the_same_reading_is_kept_once(journal: SqliteJournal) -> None:
    """A reading with the time, meter and packet of one that is kept is not appended again."""
    journal.append([entry(1)])
    assert journal.append([entry(1), entry(1)]) == []
    assert len(journal.read(0, 9)) == 1


def test_no_two_readings_have_the_same_time(journal: SqliteJournal) -> None:
    """Different readings of one time are one microsecond apart, in order, also where those times are taken."""
    journal.append([small(START + 1, b"in the way")])
    kept = journal.append([small(START, b"a"), small(START, b"b"), small(START, b"a", "420467")])
    assert [one.key for one in kept] == [START, START + 2, START + 3]


def test_a_sequence_that_is_played_again_adds_nothing(journal: SqliteJournal) -> None:
    """Readings that were moved are known again when they come again at their own times."""
    played = [small(START, b"a"), small(START, b"b"), small(START + 1, b"a"), small(START + 1, b"c")]
    assert len(journal.append(played)) == 4
    assert journal.append(played) == []
    assert [*journal.append(played[2:]), *journal.append(played[:1])] == []


def test_many_readings_of_one_time_do_not_get_slow(journal: SqliteJournal) -> None:
    """Thousands of readings at one time, as from a clock that stands still, are kept in seconds."""
    began = time.monotonic()
    journal.append([small(START, str(n).encode()) for n in range(2000)])
    assert time.monotonic() - began < 15
    assert journal.last() == 2000


def test_all_or_none_is_kept(journal: SqliteJournal) -> None:
    """Where one entry cannot be kept, none of its call is, and the error is not one to wait for."""
    with pytest.raises(sqlite3.Error):
        journal.append([small(1), attrs.evolve(small(2), serial=[])])  # type: ignore[arg-type]
    assert journal.read(0, 9) == []
    assert len(journal.append([small(1)])) == 1


def test_a_waiting_reader_is_told(journal: SqliteJournal) -> None:
    """Waiting ends when there is an entry after the place, at once when there is one already."""
    told: list[bool] = []
    waiting = threading.Thread(target=lambda: told.append(journal.wait(0, 20)))
    waiting.start()
    journal.append([small(1)])
    waiting.join(20)
    assert (told, journal.wait(0, 20), journal.wait(1, 0.001)) == ([True], True, False)


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
            journal.append([small(START + n, f"{which} {n}".encode(), str(which))])

    def read(which: int) -> None:
        place = 0
        while len(seen[which]) < 2 * count:
            journal.wait(place, 1)
            for one in journal.read(place, 50):
                place = one.seq
                seen[which].append(place)

    threads = [threading.Thread(target=work, args=(which,)) for work in (write, read) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {0: list(range(1, 2 * count + 1)), 1: list(range(1, 2 * count + 1))} == seen
    assert 2 * count == journal.last()
    written = [one.raw for one in journal.read(0, 2 * count) if one.serial == "1"]
    assert [f"1 {n}".encode() for n in range(count)] == written


# --- cursors


def test_a_sink_that_was_never_here_has_no_cursor(journal: SqliteJournal) -> None:
    """There is no cursor before the first commit."""
    assert journal.cursor("sink.new") is None


def test_a_cursor_is_kept_with_its_bases(journal: SqliteJournal) -> None:
    """A commit writes the position, and the bases of the meters that changed; each sink has its own."""
    journal.commit("a", Cursor(3, {"1": 1, "2": 2}), ["1", "2"])
    journal.commit("b", Cursor(9))
    journal.commit("a", Cursor(5, {"1": 4, "2": 77}), ["1"])
    assert (Cursor(5, {"1": 4, "2": 2}), Cursor(9)) == (journal.cursor("a"), journal.cursor("b"))


def test_what_is_set_aside_is_kept_with_the_cursor(journal: SqliteJournal) -> None:
    """What a sink refused is kept as it was told, in order, and is found by sink."""
    journal.commit("a", Cursor(1), (), [aside("a", 1), aside("a", 1, 2)])
    journal.commit("b", Cursor(1), (), [aside("b")])
    assert [aside("a", 1), aside("a", 1, 2)] == journal.aside("a")
    assert [aside("a", 1), aside("a", 1, 2), aside("b")] == journal.aside()
    assert journal.aside("c") == []


def test_a_commit_is_all_or_nothing(journal: SqliteJournal) -> None:
    """Where something of a commit cannot be written, the cursor has not moved."""
    journal.commit("a", Cursor(1))
    with pytest.raises(sqlite3.Error):
        journal.commit("a", Cursor(2), (), [attrs.evolve(aside("a"), why=None)])  # type: ignore[arg-type]
    assert (Cursor(1), []) == (journal.cursor("a"), journal.aside())


# --- the bounds of a backlog


def test_the_backlog_beyond_an_age(journal: SqliteJournal) -> None:
    """What is older than a time lies beyond, up to the first entry that is not."""
    journal.append([small(key) for key in (10, 20, 30, 5)])
    assert [
        journal.beyond(0, oldest=30, most_bytes=0),
        journal.beyond(1, oldest=30, most_bytes=0),
        journal.beyond(0, oldest=31, most_bytes=0),
        journal.beyond(0, oldest=0, most_bytes=0),
        journal.beyond(3, oldest=5, most_bytes=0),
    ] == [(2, 2), (2, 1), (4, 4), (0, 0), (3, 0)]


def test_the_backlog_beyond_a_size(journal: SqliteJournal) -> None:
    """The newest entries whose packets fit into the size stay, the others lie beyond."""
    journal.append([small(key, bytes([key]) * 10) for key in range(1, 6)])
    assert [
        journal.beyond(0, oldest=0, most_bytes=29),
        journal.beyond(1, oldest=0, most_bytes=29),
        journal.beyond(0, oldest=0, most_bytes=30),
        journal.beyond(0, oldest=0, most_bytes=9),
        journal.beyond(0, oldest=0, most_bytes=50),
    ] == [(3, 3), (3, 2), (2, 2), (5, 5), (0, 0)]


def test_the_stricter_bound_counts(journal: SqliteJournal) -> None:
    """Of two bounds the one that leaves less counts."""
    journal.append([small(key, b"1234567890") for key in (10, 20, 30, 40)])
    assert [
        journal.beyond(0, oldest=20, most_bytes=10),
        journal.beyond(0, oldest=40, most_bytes=30),
    ] == [(3, 3), (3, 3)]


# --- trimming


@pytest.fixture
def ten(journal: SqliteJournal) -> SqliteJournal:
    """Return a journal with ten entries."""
    journal.append([small(key) for key in range(10)])
    return journal


def places(journal: SqliteJournal) -> list[int]:
    """Return the places that are kept."""
    return [one.seq for one in journal.read(0, 99)]


def test_only_what_all_sinks_had_is_forgotten(ten: SqliteJournal) -> None:
    """What any configured sink has not had stays; a sink that is not configured any more does not count."""
    ten.commit("a", Cursor(8))
    ten.commit("b", Cursor(4))
    ten.commit("gone", Cursor(1))
    assert (ten.trim(["a", "b"], SOON), places(ten)) == (4, [5, 6, 7, 8, 9, 10])


def test_nothing_is_forgotten_before_every_sink_has_begun(ten: SqliteJournal) -> None:
    """A configured sink without a cursor has had nothing, so everything stays."""
    ten.commit("a", Cursor(8))
    assert (0, list(range(1, 11))) == (ten.trim(["a", "new"], SOON), places(ten))


def test_what_was_added_lately_stays(ten: SqliteJournal) -> None:
    """Delivered entries stay until they were in the journal for long enough."""
    ten.commit("a", Cursor(8))
    assert ten.trim(["a"], int(time.time()) - 60) == 0


def test_bases_and_what_is_set_aside_stay(ten: SqliteJournal) -> None:
    """Readings that a sample will count from, or that belong to what was set aside, are not forgotten."""
    ten.commit("a", Cursor(9, {METER: 3}), [METER], [aside("a", 5, 6)])
    ten.commit("gone", Cursor(9, {METER: 2}), [METER])
    assert (ten.trim(["a"], SOON), places(ten)) == (5, [2, 3, 5, 6, 10])


def test_without_sinks_everything_old_is_forgotten(ten: SqliteJournal) -> None:
    """Where no sink is configured, age alone decides."""
    assert (ten.trim([], SOON), places(ten)) == (10, [])


def test_places_are_never_used_again(ten: SqliteJournal, file: Path) -> None:
    """After everything was forgotten, also after reopening, new entries come after the cursors."""
    ten.commit("a", Cursor(10))
    assert ten.trim(["a"], SOON) == 10
    assert [one.seq for one in ten.append([small(11)])] == [11]
    ten.commit("a", Cursor(11))
    ten.trim(["a"], SOON)
    with closing(SqliteJournal(file)) as again:
        assert again.last() == 11
        assert [one.seq for one in again.append([small(12)])] == [12]


# --- a model


class Model(RuleBasedStateMachine):
    """A list and some dicts, against the journal through any operations and reopenings."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.file = Path(self.folder.name) / "journal.db"
        self.journal = SqliteJournal(self.file)
        self.entries: list[Entry] = []
        self.taken: dict[int, Entry] = {}
        self.cursors: dict[str, Cursor] = {}
        self.aside: list[Aside] = []
        self.newest = 0

    keys = st.integers(0, 6)
    sinks = st.sampled_from(["a", "b"])
    serials = st.sampled_from(["1", "2"])
    made = st.builds(small, keys, st.sampled_from([b"x", b"y", b"z"]), serials)

    @rule(batch=st.lists(made, max_size=5))
    def append(self, batch: list[Entry]) -> None:
        """Append some; the journal tells which were new."""
        expected = [(new.key, new.serial, new.raw) for one in batch if (new := self._keep(one))]
        kept = self.journal.append(batch)
        assert expected == [(one.key, one.serial, one.raw) for one in kept]
        self.entries += kept
        self.newest += len(kept)
        self.taken |= {one.key: one for one in kept}

    def _keep(self, one: Entry) -> Entry | None:
        key = one.key
        while (there := self.taken.get(key)) is not None:
            if (there.serial, there.raw) == (one.serial, one.raw):
                return None
            key += 1
        self.taken[key] = attrs.evolve(one, key=key)
        return self.taken[key]

    @rule(sink=sinks, ahead=st.integers(0, 4), serial=serials)
    def commit(self, sink: str, ahead: int, serial: str) -> None:
        """Move a cursor on, with the newest entry delivered as a base."""
        before = self.cursors.get(sink, Cursor())
        upcoming = [one for one in self.entries if one.seq > before.position][:ahead]
        place = upcoming[-1].seq if upcoming else before.position
        bases = {serial: place} if upcoming else {}
        self.cursors[sink] = before.moved(place, bases)
        self.journal.commit(sink, self.cursors[sink], list(bases))

    @rule(sink=sinks)
    def refuse(self, sink: str) -> None:
        """Set the newest entry aside."""
        refused = aside(sink, *(one.seq for one in self.entries[-1:]))
        self.aside.append(refused)
        self.cursors.setdefault(sink, Cursor())
        self.journal.commit(sink, self.cursors[sink], (), [refused])

    @rule()
    def trim(self) -> None:
        """Forget what both sinks had."""
        if len(self.cursors) < 2:
            assert self.journal.trim(["a", "b"], SOON) == 0
            return
        had = min(cursor.position for cursor in self.cursors.values())
        held = {place for cursor in self.cursors.values() for place in cursor.bases.values()}
        held |= {place for one in self.aside for place in one.entries}
        left = [one for one in self.entries if one.seq > had or one.seq in held]
        assert len(self.entries) - len(left) == self.journal.trim(["a", "b"], SOON)
        self.entries, self.taken = left, {one.key: one for one in left}

    @rule()
    def reopen(self) -> None:
        """Close the file and open it again."""
        self.journal.close()
        self.journal = SqliteJournal(self.file)

    @invariant()
    def same(self) -> None:
        """Compare what is read with what the model holds."""
        assert self.entries == self.journal.read(0, 1000)
        assert [self.cursors.get(sink) for sink in "ab"] == [self.journal.cursor(sink) for sink in "ab"]
        assert self.aside == self.journal.aside()
        assert self.journal.last() == self.newest

    def teardown(self) -> None:
        """Close and remove it."""
        self.journal.close()
        self.folder.cleanup()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


# --- files that cannot be used


def test_a_newer_file_is_refused(file: Path) -> None:
    """A journal of a later version is not touched; the message says what to do."""
    with closing(sqlite3.connect(file)) as later:
        later.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(Unavailable, match=r"journal\.db was written by a newer btcore .*: upgrade btcore"):
        SqliteJournal(file)


def test_a_file_that_is_no_database_is_refused(file: Path) -> None:
    """A file that is something else is named, and what to do."""
    file.write_bytes(b"something else " * 1000)
    with pytest.raises(Unavailable, match=r"cannot open the journal .*journal\.db: .*not a database; .*move it away"):
        SqliteJournal(file)


def test_a_place_that_cannot_hold_a_file_is_told(tmp_path: Path) -> None:
    """A journal that cannot be made is named."""
    with pytest.raises(Unavailable, match=r"cannot open the journal .*nowhere/journal\.db"):
        SqliteJournal(tmp_path / "nowhere" / "journal.db")


def test_damage_within_the_file_is_told(file: Path) -> None:
    """A file that a disk has damaged raises Unavailable with its name, and what to do; never wrong entries."""
    with closing(SqliteJournal(file)) as whole:
        whole.append([small(key, bytes(500) + bytes([key])) for key in range(200)])
    content = bytearray(file.read_bytes())
    content[3 * 4096 : -4096] = random.Random(1).randbytes(len(content) - 4 * 4096)
    file.write_bytes(content)

    def read_all() -> None:
        with closing(SqliteJournal(file)) as damaged:
            damaged.read(0, 1000)

    with pytest.raises(Unavailable, match=r"journal\.db: database disk image is malformed; .*move it away"):
        read_all()


def test_a_full_disk_loses_nothing(file: Path) -> None:
    """When the disk is full, appending fails clearly; what was acknowledged stays, and it goes on later."""
    with closing(SqliteJournal(file)) as journal:
        pages = journal._writer.execute("PRAGMA page_count").fetchone()[0]
        journal._writer.execute(f"PRAGMA max_page_count = {pages + 10}")
        kept: list[Entry] = []

        def fill() -> None:
            for key in range(10_000):
                kept.extend(journal.append([small(key, bytes(700) + bytes([key % 256]))]))

        with pytest.raises(Unavailable, match=r"cannot write to the journal .*journal\.db: database or disk is full"):
            fill()
        with pytest.raises(Unavailable):
            journal.append([small(key, bytes(900)) for key in range(20_000, 20_100)])
        assert kept == journal.read(0, 10_000)
        journal._writer.execute("PRAGMA max_page_count = 1000000")
        kept += journal.append([small(99_999, b"and again")])
        journal.commit("a", Cursor(kept[-1].seq))
    with closing(SqliteJournal(file)) as again:
        assert (kept, Cursor(kept[-1].seq)) == (again.read(0, 10_000), again.cursor("a"))


def test_a_person_who_looks_into_the_file_does_not_disturb(file: Path, journal: SqliteJournal) -> None:
    """While another connection reads, appending goes on."""
    journal.append([small(1)])
    with closing(sqlite3.connect(file)) as person:
        person.execute("BEGIN")
        assert person.execute("SELECT count(*) FROM entry").fetchall() == [(1,)]
        assert len(journal.append([small(2)])) == 1
        assert person.execute("SELECT count(*) FROM entry").fetchall() == [(1,)]


# --- kill -9

CHILD = """
import sys
from pathlib import Path
from btcore.journal import Cursor, Entry
from btcore.sqlite_journal import SqliteJournal

journal = SqliteJournal(Path(sys.argv[1]))
n = int(sys.argv[2])
while True:
    size = n % 3 + 1
    journal.append([Entry(k, "panel", "1", "f", b"%d" % k * 40) for k in range(n, n + size)])
    n += size
    print("kept", n, flush=True)
    journal.commit("a", Cursor(journal.last(), {"1": journal.last()}), ["1"])
    print("moved", journal.last(), flush=True)
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
            cursor = journal.cursor("a") or Cursor()
            assert moved <= cursor.position <= journal.last()
            assert cursor.bases.get("1", 0) == cursor.position
            next_key = len(entries)
    assert next_key > 50


def test_packets_are_kept_bit_by_bit(journal: SqliteJournal) -> None:
    """Every byte of a packet comes back."""
    raw = packet(energy=0xFF_FE_FD_FC_FB) + bytes(range(256))
    journal.append([small(1, raw)])
    assert [raw] == [one.raw for one in journal.read(0, 1)]


# --- docs/journal.md

PAGE = Path(__file__).parents[2] / "docs" / "journal.md"
STATEMENTS = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_tables_are_as_documented() -> None:
    """The page about the journal shows its tables exactly, and the version."""
    assert STATEMENTS[0] == TABLES.lstrip()
    assert f"`PRAGMA user_version` is {VERSION}." in PAGE.read_text()


def test_what_is_documented_works(file: Path, journal: SqliteJournal) -> None:
    """The page's statements tell what they say, beside a journal in use, and make a sink begin again."""
    journal.append([entry(at) for at in range(5)])
    journal.commit("sink.roof", Cursor(3, {METER: 3}), [METER], [aside("sink.roof", 2)])
    with closing(sqlite3.connect(file)) as person:
        waiting, asides, heard = (person.execute(statement).fetchall() for statement in STATEMENTS[1:4])
        person.executescript(STATEMENTS[4])
    assert waiting == [("sink.roof", 2)]
    assert asides == [("sink.roof", METER, "2026-06-21T12:00:10+00:00", "too sunny")]
    assert heard == [(METER, "2023-11-14 22:00:04")]
    assert journal.cursor("sink.roof") is None
