"""The contract of a journal, as tests: what `btcore.journal.Journal` promises, and no more.

Derive a test class from `JournalContract` that says how your journal is opened, and a state machine from
`contract_machine`; pytest does the rest:

    class TestMine(JournalContract):
        def open_journal(self, folder): return MyJournal(folder)

    TestMyModel = contract_machine(MyJournal).TestCase

What only one implementation does (its file, its bounds) does not belong here.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from btcore.journal import START, Baseline, Checkpoint, DeadLetter, Entry, Journal, Lag, Retention, Superseded
from btcore.journal.keys import append_all

Open = Callable[[Path], Journal]
"""Opens the journal that is in a folder, or makes it."""

ANY_AGE = Retention(-3600)
"""What keeps no entry for its age: also those of the next hour are older."""

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)

SINKS = ("sink.a", "sink.b")


class DiedError(BaseException):
    """What stands for the death of the process in the midst of an append."""


class HalfDone(list[Entry]):
    """Entries of which the last cannot be had any more: the process dies before."""

    def __iter__(self) -> Iterator[Entry]:
        """Yield all of them, then die."""
        yield from super().__iter__()
        raise DiedError


def make_entry(key: int, raw: bytes = b"", serial: str = "1") -> Entry:
    """Make an entry; its packet says of which meter and of which time it is, and `raw` tells two such packets apart."""
    return Entry(key, "source.test", serial, "ecm1220bin", b"%s %d %s" % (serial.encode(), key, raw))


def time_of(raw: bytes) -> int:
    """Return the time that a packet of `make_entry` says."""
    return int(raw.split()[1])


def make_dead_letter(sink: str, *entries: Entry) -> DeadLetter:
    """Make the dead letter of a sample between entries of the first one's meter."""
    serial = entries[0].serial if entries else "1"
    offsets, keys = tuple(one.offset for one in entries), tuple(one.key for one in entries)
    return DeadLetter(sink, serial, NOON, NOON + timedelta(seconds=10), "refused", offsets, keys)


def forget(journal: Journal, sinks: Sequence[str], retention: Retention = ANY_AGE) -> int:
    """Let a journal forget all that it may; return how many entries are gone."""
    return sum(one.entries for one in journal.apply_retention(sinks, retention))


def offsets_of(entries: Sequence[Entry]) -> list[int]:
    """Return where entries are."""
    return [one.offset for one in entries]


class JournalContract:
    """The contract as single tests. `survives` says whether what was kept is there when the journal is opened again."""

    survives = True

    def open_journal(self, folder: Path) -> Journal:
        """Open the journal that is in a folder, or make it."""
        raise NotImplementedError

    def reopen(self, folder: Path, journal: Journal) -> Journal:
        """Return the journal after the death of the process that used it: it was not closed."""
        return self.open_journal(folder) if self.survives else journal

    @pytest.fixture
    def journal(self, tmp_path: Path) -> Iterator[Journal]:
        """Return an empty journal."""
        journal = self.open_journal(tmp_path)
        yield journal
        journal.close()

    # --- entries

    def test_entries_are_read_in_the_order_in_which_they_were_appended(self, journal: Journal) -> None:
        """What was appended is read in order, as it was, from any offset, at most so many."""
        made = [make_entry(key) for key in (5, 3, 9, 1)]
        kept = list(journal.append(made).kept)
        assert [one.raw for one in kept] == [one.raw for one in made]
        assert offsets_of(kept) == sorted(set(offsets_of(kept)))
        assert list(journal.read(0, 9)) == kept
        assert list(journal.read(kept[0].offset, 2)) == kept[1:3]
        assert list(journal.read(kept[-1].offset, 9)) == []
        assert journal.newest() == kept[-1].offset

    def test_all_of_an_entry_is_kept(self, journal: Journal) -> None:
        """Each field of an entry, and each byte of its packet, comes back."""
        reading = Entry(7, "a", "12", "f", bytes(range(256)) * 3, packetless=True)
        made = attrs.evolve(reading, monotonic=5, boot=6, address="10.0.0.1", origin="recorded")
        [kept] = journal.append([made]).kept
        assert list(journal.read(0, 1)) == [kept] == list(journal.get([kept.offset]))
        assert attrs.evolve(kept, offset=0) == made

    def test_entries_are_found_by_their_offsets(self, journal: Journal) -> None:
        """Entries come in the order in which they are asked for; one that is not kept is left out."""
        kept = journal.append([make_entry(key) for key in range(4)]).kept
        assert list(journal.get([kept[3].offset, kept[3].offset + 9, kept[1].offset])) == [kept[3], kept[1]]

    def test_the_entries_before_an_offset_are_found(self, journal: Journal) -> None:
        """The entries that came in last before an offset, and at it, are read oldest first, at most so many."""
        kept = journal.append([make_entry(key) for key in range(5)]).kept
        assert list(journal.recent(kept[3].offset, 2)) == [kept[2], kept[3]]
        assert list(journal.recent(journal.newest(), 99)) == list(kept)

    def test_the_same_reading_is_kept_once(self, tmp_path: Path, journal: Journal) -> None:
        """A reading that comes again, in one call or after a restart, is not kept again."""
        kept = journal.append([make_entry(1), make_entry(1), make_entry(2)]).kept
        assert [one.key for one in kept] == [1, 2]
        again = self.reopen(tmp_path, journal)
        assert list(again.append([make_entry(2), make_entry(1)]).kept) == []
        assert list(again.read(0, 9)) == list(kept)

    def test_a_reading_is_identified_by_its_meter_and_its_key(self, journal: Journal) -> None:
        """Two meters may have one key; of one meter, the key of another reading is taken, and no other is chosen."""
        first, other = make_entry(1, b"x"), make_entry(1, b"x", "2")
        assert [(one.serial, one.key) for one in journal.append([first, other]).kept] == [("1", 1), ("2", 1)]
        taken = make_entry(1, b"y")
        done = journal.append([taken])
        assert (list(done.kept), list(done.rest)) == ([], [taken])
        assert len(journal.read(0, 9)) == 2

    def test_nothing_is_kept_after_a_taken_key(self, journal: Journal) -> None:
        """What comes before the first taken key is kept, what comes after it waits for it: the order stays."""
        made = [make_entry(1, b"x"), make_entry(1, b"x"), make_entry(1, b"y"), make_entry(2), make_entry(3, serial="2")]
        done = journal.append(made)
        assert ([one.raw for one in done.kept], list(done.rest)) == ([made[0].raw], made[2:])
        assert list(journal.read(0, 9)) == list(done.kept)

    def test_a_writer_keeps_all_readings_of_one_time(self, tmp_path: Path, journal: Journal) -> None:
        """With the keys that a writer chooses all are kept, in order; played again, also after a restart, once."""
        made = [make_entry(1, b"x"), make_entry(1, b"y"), make_entry(1, b"x", "2"), make_entry(2, b"x")]
        kept = append_all(journal.append, made)
        assert [one.raw for one in kept] == [one.raw for one in made]
        again = self.reopen(tmp_path, journal)
        assert append_all(again.append, made) == []
        assert list(again.read(0, 9)) == kept

    def test_an_append_is_all_or_nothing(self, tmp_path: Path, journal: Journal) -> None:
        """Of an append in the midst of which the process dies, nothing is kept, and the same can be appended later."""
        with pytest.raises(DiedError):
            journal.append(HalfDone([make_entry(1), make_entry(2)]))
        again = self.reopen(tmp_path, journal)
        assert list(again.read(0, 9)) == []
        assert len(again.append([make_entry(1), make_entry(2)]).kept) == 2

    def test_how_much_comes_after_an_offset_is_known(self, journal: Journal) -> None:
        """The number of entries after an offset, their bytes, the key of the first, and each size can be asked."""
        kept = journal.append([make_entry(key, bytes(key)) for key in (30, 10, 20)]).kept
        sizes = [len(one.raw) for one in kept]
        found = [journal.lag(offset) for offset in (START, *offsets_of(kept))]
        assert found == [Lag(3, sum(sizes), 30), Lag(2, sum(sizes[1:]), 10), Lag(1, sizes[2], 20), Lag()]
        assert list(journal.sizes(kept[0].offset, 9)) == [(one.offset, one.key, len(one.raw)) for one in kept[1:]]

    def test_what_is_forgotten_is_no_lag(self, tmp_path: Path, journal: Journal) -> None:
        """Only what is kept counts, also in a large journal, and after a restart."""
        kept = journal.append([make_entry(key) for key in range(2500)]).kept
        journal.commit(SINKS[0], Checkpoint(kept[1700].offset, {"1": Baseline(kept[3].offset)}))
        forget(journal, SINKS[:1])
        again = self.reopen(tmp_path, journal)
        left = list(again.read(START, 9999))
        assert again.lag(START) == Lag(len(left), sum(len(one.raw) for one in left), left[0].key)
        for after in (kept[3], kept[900], kept[1701], kept[2200]):
            rest = [one for one in left if one.offset > after.offset]
            assert again.lag(after.offset) == Lag(len(rest), sum(len(one.raw) for one in rest), rest[0].key)

    # --- waiting, and threads

    def test_a_wait_ends_when_something_comes_in(self, journal: Journal) -> None:
        """Waiting ends with an entry after the offset, at once where there is one, and else after the time."""
        found: list[bool] = []
        waiting = Thread(target=lambda: found.append(journal.wait(0, 60)))
        waiting.start()
        [kept] = journal.append([make_entry(1)]).kept
        waiting.join(60)
        assert (found, journal.wait(0, 60), journal.wait(kept.offset, 0.001)) == ([True], True, False)

    def test_a_wait_can_be_ended(self, journal: Journal) -> None:
        """Waking ends a wait that nothing else would."""
        found: list[bool] = []
        waiting = Thread(target=lambda: found.append(journal.wait(0, 60)))
        waiting.start()
        while not found:
            journal.wake()
            waiting.join(0.001)
        assert found == [False]

    def test_threads_append_and_read_at_once(self, journal: Journal) -> None:
        """While two threads append, a reader misses nothing, and has each meter's readings in order."""
        count = 100
        writers = [Thread(target=_append_each, args=(journal, serial, count)) for serial in "12"]
        for writer in writers:
            writer.start()
        seen: list[Entry] = []
        while len(seen) < 2 * count:
            journal.wait(seen[-1].offset if seen else 0, 1)
            seen += journal.read(seen[-1].offset if seen else 0, 50)
        for writer in writers:
            writer.join(60)
        expected = [[make_entry(key, serial=serial).raw for key in range(count)] for serial in "12"]
        assert [[one.raw for one in seen if one.serial == serial] for serial in "12"] == expected

    # --- checkpoints

    def test_a_sink_that_never_began_has_no_checkpoint(self, journal: Journal) -> None:
        """There is none before the first commit, and no baseline."""
        assert (journal.checkpoint(SINKS[0]), journal.baseline(SINKS[0], "1")) == (None, None)

    def test_a_checkpoint_is_kept(self, tmp_path: Path, journal: Journal) -> None:
        """A checkpoint is one value, and each sink has its own; a baseline that it does not have stays."""
        [kept] = journal.append([make_entry(1)]).kept
        first = Checkpoint(kept.offset, {"1": Baseline(kept.offset, {"ch1_aws": 9}), "2": Baseline(kept.offset)})
        second = journal.commit(SINKS[0], first)
        journal.commit(SINKS[0], attrs.evolve(second, baselines={"1": Baseline(kept.offset)}, accepted="x"))
        journal.commit(SINKS[1], Checkpoint(examined=kept.offset, settings="y"))
        again = self.reopen(tmp_path, journal)
        baselines = {"1": Baseline(kept.offset), "2": Baseline(kept.offset)}
        assert again.checkpoint(SINKS[0]) == Checkpoint(kept.offset, baselines, accepted="x")
        assert again.checkpoint(SINKS[1]) == Checkpoint(examined=kept.offset, settings="y")
        assert again.baseline(SINKS[0], "2") == Baseline(kept.offset)

    def test_a_worker_that_was_superseded_moves_nothing(self, tmp_path: Path, journal: Journal) -> None:
        """Where another has committed since a checkpoint was read, a commit raises Superseded and changes nothing."""
        journal.append([make_entry(key) for key in range(3)])
        mine = journal.commit(SINKS[0], Checkpoint())
        other = self.reopen(tmp_path, journal)
        found = other.checkpoint(SINKS[0])
        assert found is not None
        theirs = other.commit(SINKS[0], attrs.evolve(found, offset=2))
        with pytest.raises(Superseded, match=SINKS[0]):
            journal.commit(SINKS[0], attrs.evolve(mine, offset=3, baselines={"1": Baseline(3)}))
        assert other.checkpoint(SINKS[0]) == theirs == attrs.evolve(found, offset=2)
        other.commit(SINKS[0], attrs.evolve(theirs, offset=3))

    def test_of_two_that_begin_one_wins(self, journal: Journal) -> None:
        """Two workers that find no checkpoint cannot both make the first one."""
        journal.commit(SINKS[0], Checkpoint(settings="mine"))
        with pytest.raises(Superseded):
            journal.commit(SINKS[0], Checkpoint(settings="theirs"))
        assert journal.checkpoint(SINKS[0]) == Checkpoint(settings="mine")

    # --- dead letters

    def test_dead_letters_are_kept_in_order_and_found_by_sink(self, tmp_path: Path, journal: Journal) -> None:
        """A dead letter is kept as it is, oldest first, and is found by its sink."""
        one, two = journal.append([make_entry(1), make_entry(2)]).kept
        made = [(SINKS[0], [one]), (SINKS[1], [one]), (SINKS[0], [one, two])]
        letters = [make_dead_letter(sink, *entries) for sink, entries in made]
        journal.keep_dead_letters(letters[:1])
        journal.keep_dead_letters(letters[1:])
        again = self.reopen(tmp_path, journal)
        assert list(again.dead_letters()) == letters
        assert list(again.dead_letters(SINKS[0])) == [letters[0], letters[2]]
        assert list(again.dead_letters("sink.c")) == []

    def test_a_crash_between_a_dead_letter_and_the_checkpoint_costs_nothing(
        self, tmp_path: Path, journal: Journal
    ) -> None:
        """A worker that dies after it kept a dead letter keeps it again when it is back: it is there once."""
        [entry] = journal.append([make_entry(1)]).kept
        journal.keep_dead_letters([make_dead_letter(SINKS[0], entry)])
        again = self.reopen(tmp_path, journal)
        assert again.checkpoint(SINKS[0]) is None
        again.keep_dead_letters([attrs.evolve(make_dead_letter(SINKS[0], entry), why="in other words")])
        again.commit(SINKS[0], Checkpoint(entry.offset))
        assert list(again.dead_letters()) == [make_dead_letter(SINKS[0], entry)]

    # --- retention

    def test_what_any_sink_needs_is_not_forgotten(self, journal: Journal) -> None:
        """What a sink has not examined, a baseline and the readings of a dead letter stay; the rest may go."""
        kept = journal.append([make_entry(key) for key in range(8)]).kept
        offset = offsets_of(kept)
        journal.commit(SINKS[0], Checkpoint(offset[5], {"1": Baseline(offset[1])}))
        journal.commit(SINKS[1], Checkpoint(offset[2], examined=offset[6]))
        journal.keep_dead_letters([make_dead_letter(SINKS[0], kept[3])])
        forget(journal, SINKS)
        assert {offset[1], offset[3], offset[6], offset[7]} <= set(offsets_of(journal.read(0, 99)))

    def test_a_sink_that_never_began_holds_everything(self, journal: Journal) -> None:
        """Before a configured sink has begun, nothing is forgotten; nor is what was added lately."""
        kept = journal.append([make_entry(key) for key in range(3)]).kept
        journal.commit(SINKS[0], Checkpoint(kept[-1].offset))
        forget(journal, SINKS)
        journal.commit(SINKS[1], Checkpoint(kept[-1].offset))
        forget(journal, SINKS, Retention(3600))
        assert list(journal.read(0, 9)) == list(kept)

    def test_dead_letters_are_forgotten_by_age_and_by_number(self, journal: Journal) -> None:
        """Of each sink the newest dead letters stay, and none that is too old; what is gone is told by sink."""
        kept = journal.append([make_entry(key) for key in range(4)]).kept
        letters = [make_dead_letter(SINKS[0], one) for one in kept] + [make_dead_letter(SINKS[1], kept[0])]
        journal.keep_dead_letters(letters)
        few = list(journal.apply_retention(SINKS, Retention(3600, max_dead_letters=3)))
        assert [dict(one.dead_letters) for one in few if one.dead_letters] == [{SINKS[0]: 1}]
        assert list(journal.dead_letters()) == letters[1:]
        old = list(journal.apply_retention(SINKS, Retention(3600, dead_letter_age=-3600)))
        assert [dict(one.dead_letters) for one in old if one.dead_letters] == [{SINKS[0]: 3, SINKS[1]: 1}]
        assert list(journal.dead_letters()) == []
        assert list(journal.read(START, 9)) == list(kept)

    def test_a_dead_letter_that_is_forgotten_holds_no_entry(self, journal: Journal) -> None:
        """Once a dead letter is forgotten, its entries are as any others."""
        [entry] = journal.append([make_entry(1)]).kept
        journal.keep_dead_letters([make_dead_letter(SINKS[0], entry)])
        assert forget(journal, []) == 0
        assert forget(journal, [], Retention(-3600, max_dead_letters=0)) == 1

    def test_no_offset_is_given_twice(self, tmp_path: Path, journal: Journal) -> None:
        """Also after everything was forgotten, new entries come after all checkpoints."""
        kept = journal.append([make_entry(key) for key in range(3)]).kept
        forget(journal, [])
        again = self.reopen(tmp_path, journal)
        assert again.newest() == kept[-1].offset
        assert again.append([make_entry(9)]).kept[0].offset > kept[-1].offset

    def test_meters_are_remembered_longer_than_their_readings(self, tmp_path: Path, journal: Journal) -> None:
        """Which meters were heard, in which formats, is known when their readings are forgotten."""
        journal.append([make_entry(1), make_entry(2, serial="2"), attrs.evolve(make_entry(3), format="gem48pbin")])
        forget(journal, [])
        again = self.reopen(tmp_path, journal)
        heard = {(one.serial, one.format) for one in again.heard_meters()}
        assert heard == {("1", "ecm1220bin"), ("2", "ecm1220bin"), ("1", "gem48pbin")}
        assert sorted(again.serials()) == ["1", "2"]


def _append_each(journal: Journal, serial: str, count: int) -> None:
    for key in range(count):
        journal.append([make_entry(key, serial=serial)])


class ContractMachine(RuleBasedStateMachine):
    """A model of a journal, against one through any operations, deaths and reopenings. Use `contract_machine`."""

    open: Open
    survives = True

    def __init__(self) -> None:
        """Begin with an empty journal in a folder of its own."""
        super().__init__()
        self.folder = TemporaryDirectory()
        self.left: list[Journal] = []  # by processes that died
        self.journal = type(self).open(Path(self.folder.name))
        self.entries: list[Entry] = []
        self.ever: set[bytes] = set()
        self.has_forgotten = False
        self.checkpoints: dict[str, Checkpoint] = {}
        self.letters: dict[tuple[str, str, tuple[int, ...]], DeadLetter] = {}

    sinks = st.sampled_from(SINKS)
    serials = st.sampled_from(["1", "2"])
    batches = st.lists(
        st.builds(make_entry, st.integers(0, 6), st.sampled_from([b"x", b"y"]), serials),
        max_size=5,
    )

    @rule(batch=batches)
    def append(self, batch: list[Entry]) -> None:
        """Append some: what is new is kept, up to the first whose key another packet of its meter has."""
        keys = {(one.serial, one.key): one.raw for one in self.entries}
        new: list[bytes] = []
        rest: list[Entry] = []
        for one in batch:
            if rest or keys.get((one.serial, one.key), one.raw) != one.raw:
                rest.append(one)
            elif (one.serial, one.key) not in keys:
                keys[one.serial, one.key] = one.raw
                new.append(one.raw)
        done = self.journal.append(batch)
        assert ([one.raw for one in done.kept], list(done.rest)) == (new, rest)
        self._has_kept(done.kept)

    @rule(batch=batches)
    def write(self, batch: list[Entry]) -> None:
        """Append some as a writer does: all that never was there is kept; once any was forgotten, others may be too."""
        kept = append_all(self.journal.append, batch)
        new = [one.raw for one in kept]
        had = {one.raw for one in self.entries if one.key == time_of(one.raw) or not self.has_forgotten}
        assert len(set(new)) == len(new)
        assert {one.raw for one in batch} - self.ever <= set(new) <= {one.raw for one in batch} - had
        assert new == [raw for raw in dict.fromkeys(one.raw for one in batch) if raw in new]
        self._has_kept(kept)

    def _has_kept(self, kept: Sequence[Entry]) -> None:
        self.entries += kept
        self.ever |= {one.raw for one in kept}

    @rule(batch=batches)
    def die_in_an_append(self, batch: list[Entry]) -> None:
        """Begin to append some, and die: nothing of it is kept."""
        with pytest.raises(DiedError):
            self.journal.append(HalfDone(batch))
        self.die()

    def _upcoming(self, after: int, count: int) -> int:
        """Return the offset of an entry after another, or that one where there is none."""
        found = [one.offset for one in self.entries if one.offset > after][:count]
        return found[-1] if found else after

    def _checkpoint(self, sink: str) -> Checkpoint:
        return self.journal.checkpoint(sink) or Checkpoint()

    @rule(sink=sinks, ahead=st.integers(0, 4), serial=serials)
    def deliver(self, sink: str, ahead: int, serial: str) -> None:
        """Move a checkpoint on, with the newest entry that was delivered as a baseline."""
        before = self._checkpoint(sink)
        offset = self._upcoming(before.offset, ahead)
        baselines = {serial: Baseline(offset, {"ch1_aws": offset})} if offset > before.offset else {}
        self.checkpoints[sink] = self.journal.commit(sink, before.moved(offset, baselines))

    @rule(sink=sinks, ahead=st.integers(0, 4))
    def examine(self, sink: str, ahead: int) -> None:
        """Look at some entries after a checkpoint, and want nothing of them."""
        before = self._checkpoint(sink)
        offset = self._upcoming(before.examined, ahead)
        after = attrs.evolve(before, examined=offset, first_unwanted=before.first_unwanted or offset, settings="some")
        self.checkpoints[sink] = self.journal.commit(sink, after)

    @rule(sink=sinks)
    def mend(self, sink: str) -> None:
        """Change the settings of a sink: with these, it has examined nothing after its offset."""
        before = self._checkpoint(sink)
        after = attrs.evolve(before, examined=before.offset, settings="others", accepted="others")
        self.checkpoints[sink] = self.journal.commit(sink, after)

    @precondition(lambda self: self.checkpoints)
    @rule(data=st.data())
    def be_superseded(self, data: st.DataObject) -> None:
        """Commit what was made from an earlier checkpoint: it is refused."""
        sink = data.draw(st.sampled_from(sorted(self.checkpoints)))
        late = attrs.evolve(self.checkpoints[sink], offset=0, revision=self.checkpoints[sink].revision - 1)
        with pytest.raises(Superseded):
            self.journal.commit(sink, late)

    @precondition(lambda self: self.entries)
    @rule(sink=sinks, dies=st.booleans())
    def refuse(self, sink: str, dies: bool) -> None:
        """Keep the newest entry as a dead letter, and die before the checkpoint moves: it is kept again, and is one."""
        letter = make_dead_letter(sink, self.entries[-1])
        self.journal.keep_dead_letters([letter])
        if dies:
            self.die()
            self.journal.keep_dead_letters([letter])
        self.letters.setdefault(letter.identity, letter)

    @rule()
    def trim(self) -> None:
        """Forget what both sinks have had: what is needed stays, and nothing else comes up."""
        had = min(self.checkpoints.get(sink, Checkpoint()).examined for sink in SINKS)
        held = {one.offset for checkpoint in self.checkpoints.values() for one in checkpoint.baselines.values()}
        held |= {offset for one in self.letters.values() for offset in one.entries}
        needed = [one for one in self.entries if one.offset > had or one.offset in held]
        gone = forget(self.journal, SINKS)
        left = list(self.journal.read(0, 1000))
        assert [one for one in left if one in needed] == needed
        assert len(self.entries) - len(left) == gone
        assert [one for one in self.entries if one in left] == left
        self.has_forgotten = self.has_forgotten or gone > 0
        self.entries = left

    @rule()
    def close(self) -> None:
        """Close the journal and open it again."""
        if self.survives:
            self.journal.close()
            self.journal = type(self).open(Path(self.folder.name))

    @rule()
    def die(self) -> None:
        """Open the journal again without closing it."""
        if self.survives:
            self.left.append(self.journal)
            self.journal = type(self).open(Path(self.folder.name))

    @invariant()
    def same(self) -> None:
        """Compare what is read with what the model holds."""
        assert list(self.journal.read(0, 1000)) == self.entries
        assert len({(one.serial, one.key) for one in self.entries}) == len(self.entries)
        assert offsets_of(self.entries) == sorted(set(offsets_of(self.entries)))
        assert self.journal.lag(START).entries == len(self.entries)
        assert [self.journal.checkpoint(sink) for sink in SINKS] == [self.checkpoints.get(sink) for sink in SINKS]
        assert list(self.journal.dead_letters()) == list(self.letters.values())

    def teardown(self) -> None:
        """Close and remove it."""
        for journal in (*self.left, self.journal):
            journal.close()
        self.folder.cleanup()


def contract_machine(open_journal: Open, *, survives: bool = True) -> type[ContractMachine]:
    """Return the state machine for a journal; its `TestCase` is what pytest runs."""
    members = {"open": staticmethod(open_journal), "survives": survives}
    return type("Contract", (ContractMachine,), members)
