# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of a journal, as tests: what `btcore.journal.Journal` promises, and no more.

Derive a test class from `JournalContract` that says how your journal is opened, and make a state machine with
`contract_machine` (in `journal_machine.py`); pytest does the rest:

    class TestMine(JournalContract):
        def open_journal(self, folder): return MyJournal(folder)

    TestMyModel = contract_machine(MyJournal).TestCase

What only one implementation does (its file, its limits) does not belong here.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Thread

import attrs
import pytest

from btcore.journal import (
    START,
    Baseline,
    Checkpoint,
    Entry,
    Journal,
    Lag,
    Retention,
    Superseded,
    Unavailable,
    known_serials,
)
from btcore.journal.keys import append_all
from btcore.testing.journal_entries import (
    SINKS,
    DiedError,
    HalfDone,
    forget,
    make_dead_letter,
    make_entry,
    offsets_of,
)


class JournalContract:
    """The contract as single tests. `survives` says whether what was kept is there when the journal is opened again.

    `is_shared` says whether two processes may have it open at once; else the second has it once the first is dead.
    `forgets` says whether it forgets entries when it is told to; else its store does, by limits of its own, and here
    all stay. `restamps` says whether an entry that is kept can get another time; else one without a time is not kept.
    """

    survives = True
    is_shared = True
    forgets = True
    restamps = True

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
        assert list(journal.read(START, 9)) == kept
        assert list(journal.read(kept[0].offset, 2)) == kept[1:3]
        assert list(journal.read(kept[-1].offset, 9)) == []
        assert journal.newest() == kept[-1].offset

    def test_all_of_an_entry_is_kept(self, journal: Journal) -> None:
        """Each field of an entry, and each byte of its packet, comes back."""
        reading = Entry(7, "a", "12", "f", bytes(range(256)) * 3, packetless=True)
        made = attrs.evolve(reading, monotonic=5, boot=6, address="10.0.0.1", origin="recorded")
        [kept] = journal.append([made]).kept
        assert list(journal.read(START, 1)) == [kept] == list(journal.get([kept.offset]))
        assert attrs.evolve(kept, offset=0) == made

    def test_entries_are_found_by_their_offsets(self, journal: Journal) -> None:
        """Entries come in the order in which they are asked for; one that is not kept is left out."""
        kept = journal.append([make_entry(key) for key in range(4)]).kept
        assert list(journal.get([kept[3].offset, START, kept[1].offset])) == [kept[3], kept[1]]

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
        assert list(again.read(START, 9)) == list(kept)

    def test_a_reading_is_identified_by_its_meter_and_its_key(self, journal: Journal) -> None:
        """Two meters may have one key; of one meter, the key of another reading is taken, and no other is chosen."""
        first, other = make_entry(1, b"x"), make_entry(1, b"x", "2")
        assert [(one.serial, one.key) for one in journal.append([first, other]).kept] == [("1", 1), ("2", 1)]
        taken = make_entry(1, b"y")
        done = journal.append([taken])
        assert (list(done.kept), list(done.rest)) == ([], [taken])
        assert len(journal.read(START, 9)) == 2

    def test_nothing_is_kept_after_a_taken_key(self, journal: Journal) -> None:
        """What comes before the first taken key is kept, what comes after it waits for it: the order stays."""
        made = [make_entry(1, b"x"), make_entry(1, b"x"), make_entry(1, b"y"), make_entry(2), make_entry(3, serial="2")]
        done = journal.append(made)
        assert ([one.raw for one in done.kept], list(done.rest)) == ([made[0].raw], made[2:])
        assert list(journal.read(START, 9)) == list(done.kept)

    def test_a_writer_keeps_all_readings_of_one_time(self, tmp_path: Path, journal: Journal) -> None:
        """With the keys that a writer chooses all are kept, in order; played again, also after a restart, once."""
        made = [make_entry(1, b"x"), make_entry(1, b"y"), make_entry(1, b"x", "2"), make_entry(2, b"x")]
        kept = append_all(journal.append, made)
        assert [one.raw for one in kept] == [one.raw for one in made]
        again = self.reopen(tmp_path, journal)
        assert append_all(again.append, made) == []
        assert list(again.read(START, 9)) == kept

    def test_an_append_is_all_or_nothing(self, tmp_path: Path, journal: Journal) -> None:
        """Of an append in the midst of which the process dies, nothing is kept, and the same can be appended later."""
        with pytest.raises(DiedError):
            journal.append(HalfDone([make_entry(1), make_entry(2)]))
        again = self.reopen(tmp_path, journal)
        assert list(again.read(START, 9)) == []
        assert len(again.append([make_entry(1), make_entry(2)]).kept) == 2

    def test_how_much_comes_after_an_offset_is_known(self, journal: Journal) -> None:
        """The number of entries after an offset, their bytes, the key of the first, and each size can be asked."""
        kept = journal.append([make_entry(key, bytes(key)) for key in (30, 10, 20)]).kept
        sizes = [len(one.raw) for one in kept]
        found = [journal.lag(offset) for offset in (START, *offsets_of(kept))]
        assert found == [Lag(3, sum(sizes), 30), Lag(2, sum(sizes[1:]), 10), Lag(1, sizes[2], 20), Lag()]
        assert list(journal.sizes(kept[0].offset, 9)) == [(one.offset, one.key, len(one.raw)) for one in kept[1:]]

    def test_after_which_offset_all_is_kept_is_known(self, tmp_path: Path, journal: Journal) -> None:
        """From the start on where nothing was forgotten; else after the newest entry that was, and not earlier."""
        kept = journal.append([make_entry(key) for key in range(2500)]).kept
        assert journal.kept_after() == START
        if not self.forgets:
            self._forgets_nothing(journal, kept)
            return
        journal.commit(SINKS[0], Checkpoint(kept[1700].offset, {"1": Baseline(kept[1690].offset)}))
        forget(journal, SINKS[:1])
        again = self.reopen(tmp_path, journal)
        after = again.kept_after()
        assert after < kept[1701].offset
        assert [one for one in kept if one.offset > after] == list(again.read(after, 9999))
        again.commit(SINKS[0], Checkpoint(kept[-1].offset, revision=1))
        forget(again, SINKS[:1])
        assert list(again.read(again.kept_after(), 9)) == []

    def test_what_is_forgotten_is_no_lag(self, tmp_path: Path, journal: Journal) -> None:
        """Only what is kept counts, also in a large journal, and after a restart."""
        kept = journal.append([make_entry(key) for key in range(2500)]).kept
        if not self.forgets:
            self._forgets_nothing(journal, kept)
            return
        journal.commit(SINKS[0], Checkpoint(kept[1700].offset, {"1": Baseline(kept[3].offset)}))
        forget(journal, SINKS[:1])
        again = self.reopen(tmp_path, journal)
        left = list(again.read(START, 9999))
        assert again.lag(START) == Lag(len(left), sum(len(one.raw) for one in left), left[0].key)
        for after in (kept[3], kept[900], kept[1701], kept[2200]):
            rest = [one for one in left if one.offset > after.offset]
            assert again.lag(after.offset) == Lag(len(rest), sum(len(one.raw) for one in rest), rest[0].key)

    def _forgets_nothing(self, journal: Journal, kept: Sequence[Entry]) -> None:
        """See that what every sink has had stays, where the store alone forgets."""
        journal.commit(SINKS[0], Checkpoint(kept[-1].offset))
        assert forget(journal, SINKS[:1]) == 0
        assert (journal.kept_after(), list(journal.read(START, len(kept) + 1))) == (START, list(kept))

    # --- waiting, and threads

    def test_a_wait_ends_when_something_comes_in(self, journal: Journal) -> None:
        """Waiting ends with an entry after the offset, at once where there is one, and else after the time."""
        found: list[bool] = []
        waiting = Thread(target=lambda: found.append(journal.wait(START, 60)))
        waiting.start()
        [kept] = journal.append([make_entry(1)]).kept
        waiting.join(60)
        assert (found, journal.wait(START, 60), journal.wait(kept.offset, 0.001)) == ([True], True, False)

    def test_a_wait_for_several_ends_with_the_last(self, journal: Journal) -> None:
        """Waiting for several entries ends when they are there, at the latest."""
        found: list[bool] = []
        waiting = Thread(target=lambda: found.append(journal.wait(START, 60, 3)))
        waiting.start()
        journal.append([make_entry(1), make_entry(2), make_entry(3)])
        waiting.join(60)
        assert (found, journal.wait(START, 60, 3)) == ([True], True)

    def test_a_wait_can_be_ended(self, journal: Journal) -> None:
        """Waking ends a wait that nothing else would."""
        found: list[bool] = []
        waiting = Thread(target=lambda: found.append(journal.wait(START, 60)))
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
            journal.wait(seen[-1].offset if seen else START, 1)
            seen += journal.read(seen[-1].offset if seen else START, 50)
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

    def test_entries_get_another_time(self, tmp_path: Path, journal: Journal) -> None:
        """Keys that were a guess are corrected, in place; one that is taken is raised; the old ones are free again."""
        guesses = [attrs.evolve(make_entry(key), boot=-7) for key in range(3)]
        if not self.restamps:
            with pytest.raises(Unavailable, match="clock is not set"):
                journal.append(guesses)
            return
        kept = journal.append(guesses).kept
        journal.restamp([attrs.evolve(one, key=100, boot=7) for one in kept[:2]])
        journal = self.reopen(tmp_path, journal)
        found = [(one.key, one.boot, one.raw) for one in journal.read(START, 9)]
        raws = [one.raw for one in guesses]
        assert found == [(100, 7, raws[0]), (101, 7, raws[1]), (2, -7, raws[2])]
        assert len(journal.append([make_entry(0), make_entry(100)]).kept) == 1

    def test_a_worker_that_was_superseded_moves_nothing(self, tmp_path: Path, journal: Journal) -> None:
        """Where another has committed since a checkpoint was read, a commit raises Superseded and changes nothing."""
        _, second, third = offsets_of(journal.append([make_entry(key) for key in range(3)]).kept)
        mine = journal.commit(SINKS[0], Checkpoint())
        other = self.reopen(tmp_path, journal)
        found = other.checkpoint(SINKS[0])
        assert found is not None
        theirs = other.commit(SINKS[0], attrs.evolve(found, offset=second))
        late = journal if self.is_shared else other  # then a worker of the same process
        with pytest.raises(Superseded, match=SINKS[0]):
            late.commit(SINKS[0], attrs.evolve(mine, offset=third, baselines={"1": Baseline(third)}))
        assert other.checkpoint(SINKS[0]) == theirs == attrs.evolve(found, offset=second)
        other.commit(SINKS[0], attrs.evolve(theirs, offset=third))

    def test_of_two_that_begin_one_wins(self, journal: Journal) -> None:
        """Two workers that find no checkpoint cannot both make the first one."""
        journal.commit(SINKS[0], Checkpoint(settings="mine"))
        with pytest.raises(Superseded):
            journal.commit(SINKS[0], Checkpoint(settings="theirs"))
        assert journal.checkpoint(SINKS[0]) == Checkpoint(settings="mine")

    def test_how_far_a_source_has_come_is_kept(self, tmp_path: Path, journal: Journal) -> None:
        """What was committed for a source last is found again, each source's by itself; "" where nothing was."""
        for source, state in (("old", "1"), ("other", "x"), ("old", "2")):
            journal.commit_source(source, state)
        again = self.reopen(tmp_path, journal)
        assert [again.source_checkpoint(source) for source in ("old", "other", "new")] == ["2", "x", ""]

    # --- damage

    def test_a_journal_that_is_well_is_inspected_in_vain(self, tmp_path: Path, journal: Journal) -> None:
        """Where nothing has happened nothing is told, however often it is asked, and nothing is changed."""
        kept = list(journal.append([make_entry(key) for key in range(5)]).kept)
        assert [*journal.inspect(), *journal.inspect(), *journal.damages] == []
        again = self.reopen(tmp_path, journal)
        assert [*again.inspect(), *again.damages] == []
        assert list(again.read(START, 9)) == kept

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

    def test_a_dead_letter_gets_another_reason_or_goes(self, tmp_path: Path, journal: Journal) -> None:
        """The reason of one that is kept is replaced, one that is not kept stays away; what is forgotten is gone."""
        kept = journal.append([make_entry(key) for key in range(3)]).kept
        letters = [make_dead_letter(SINKS[0], one) for one in kept]
        journal.keep_dead_letters(letters[:2])
        changed = [attrs.evolve(one, why="in other words") for one in letters]
        journal.replace_dead_letters(changed[1:])
        journal.forget_dead_letters(letters[:1])
        assert list(self.reopen(tmp_path, journal).dead_letters()) == changed[1:2]

    # --- being in order

    def test_a_journal_is_in_order_and_can_be_compacted(self, tmp_path: Path, journal: Journal) -> None:
        """Nothing is wrong with it, also after forgetting and giving room back; what was kept is kept."""
        kept = journal.append([make_entry(key, bytes(500)) for key in range(1200)]).kept
        journal.commit(SINKS[0], Checkpoint(kept[1100].offset))
        forget(journal, SINKS[:1])
        journal.compact()
        again = self.reopen(tmp_path, journal)
        left = [one for one in kept if one.offset > kept[1100].offset]
        assert [one for one in again.read(START, 9999) if one in left] == left
        assert list(again.check()) == []
        assert again.newest() == kept[-1].offset

    # --- retention

    def test_what_any_sink_needs_is_not_forgotten(self, journal: Journal) -> None:
        """What a sink has not examined, a baseline and the readings of a dead letter stay; the rest may go."""
        kept = journal.append([make_entry(key) for key in range(8)]).kept
        offset = offsets_of(kept)
        journal.commit(SINKS[0], Checkpoint(offset[5], {"1": Baseline(offset[1])}))
        journal.commit(SINKS[1], Checkpoint(offset[2], examined=offset[6]))
        journal.keep_dead_letters([make_dead_letter(SINKS[0], kept[3])])
        forget(journal, SINKS)
        assert {offset[1], offset[3], offset[6], offset[7]} <= set(offsets_of(journal.read(START, 99)))

    def test_a_sink_that_never_began_holds_everything(self, journal: Journal) -> None:
        """Before a configured sink has begun, nothing is forgotten; nor is what was added lately."""
        kept = journal.append([make_entry(key) for key in range(3)]).kept
        journal.commit(SINKS[0], Checkpoint(kept[-1].offset))
        forget(journal, SINKS)
        journal.commit(SINKS[1], Checkpoint(kept[-1].offset))
        forget(journal, SINKS, Retention(3600))
        assert list(journal.read(START, 9)) == list(kept)

    def test_dead_letters_are_forgotten_by_age_and_by_number(self, journal: Journal) -> None:
        """Of each sink the newest dead letters stay, and none that is too old; what is gone is counted by sink."""
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
        assert forget(journal, [], Retention(-3600, max_dead_letters=0)) == int(self.forgets)
        assert list(journal.dead_letters()) == []

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
        assert sorted(known_serials(again)) == ["1", "2"]


def _append_each(journal: Journal, serial: str, count: int) -> None:
    for key in range(count):
        journal.append([make_entry(key, serial=serial)])
