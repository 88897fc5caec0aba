# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of a journal as a state machine: any operations in any order, deaths and reopenings among them.

    TestMyModel = contract_machine(MyJournal).TestCase

Single promises are in `journal.py`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from btcore.journal import START, Baseline, Checkpoint, DeadLetter, Entry, Journal, Offset, Superseded
from btcore.journal.keys import append_all
from btcore.testing.journal_entries import (
    SINKS,
    DiedError,
    HalfDone,
    forget,
    make_dead_letter,
    make_entry,
    offsets_of,
    time_of,
)

Open = Callable[[Path], Journal]
"""Opens the journal that is in a folder, or makes it."""


class ContractMachine(RuleBasedStateMachine):
    """A model of a journal, against one through any operations, deaths and reopenings. Use `contract_machine`."""

    open: Open
    survives = True
    forgets = True

    def __init__(self) -> None:
        """Begin with an empty journal in a folder of its own."""
        super().__init__()
        self.folder = TemporaryDirectory()
        self.left: list[Journal] = []  # by processes that died
        self.journal = type(self).open(Path(self.folder.name))
        self.entries: list[Entry] = []
        self.all: list[Entry] = []  # also what was forgotten
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
        self.all += kept
        self.ever |= {one.raw for one in kept}

    @rule(batch=batches)
    def die_in_an_append(self, batch: list[Entry]) -> None:
        """Begin to append some, and die: nothing of it is kept."""
        with pytest.raises(DiedError):
            self.journal.append(HalfDone(batch))
        self.die()

    def _upcoming(self, after: Offset, count: int) -> Offset:
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

    @rule(sink=sinks, serial=serials)
    def look_for_baseline(self, sink: str, serial: str) -> None:
        """Ask for a baseline of a sink by its key: it is that of the checkpoint, or none."""
        expected = self.checkpoints.get(sink, Checkpoint()).baselines.get(serial)
        assert self.journal.baseline(sink, serial) == expected

    @rule(sink=sinks, ahead=st.integers(0, 4))
    def examine(self, sink: str, ahead: int) -> None:
        """Look at some entries after a checkpoint, and want nothing of them."""
        before = self._checkpoint(sink)
        offset = self._upcoming(before.examined, ahead)
        after = attrs.evolve(before, examined=offset, first_unwanted=before.first_unwanted or offset, settings="some")
        self.checkpoints[sink] = self.journal.commit(sink, after)

    @rule(sink=sinks)
    def change_settings(self, sink: str) -> None:
        """Change the settings of a sink: with these, it has examined nothing after its offset."""
        before = self._checkpoint(sink)
        after = attrs.evolve(before, examined=before.offset, settings="others", accepted="others")
        self.checkpoints[sink] = self.journal.commit(sink, after)

    @precondition(lambda self: self.checkpoints)
    @rule(data=st.data())
    def be_superseded(self, data: st.DataObject) -> None:
        """Commit what was made from an earlier checkpoint: it is refused."""
        sink = data.draw(st.sampled_from(sorted(self.checkpoints)))
        late = attrs.evolve(self.checkpoints[sink], offset=START, revision=self.checkpoints[sink].revision - 1)
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

    @precondition(lambda self: self.letters)
    @rule(data=st.data(), is_delivered=st.booleans())
    def retry(self, data: st.DataObject, *, is_delivered: bool) -> None:
        """Deliver a dead letter after all, or have it refused for another reason."""
        letter = data.draw(st.sampled_from(list(self.letters.values())))
        if is_delivered:
            self.journal.forget_dead_letters([letter])
            del self.letters[letter.identity]
        else:
            self.letters[letter.identity] = attrs.evolve(letter, why="again")
            self.journal.replace_dead_letters([self.letters[letter.identity]])

    @rule()
    def apply_retention(self) -> None:
        """Forget what both sinks have had: what is needed stays, and nothing else comes up."""
        had = min(self.checkpoints.get(sink, Checkpoint()).examined for sink in SINKS)
        held = {one.offset for checkpoint in self.checkpoints.values() for one in checkpoint.baselines.values()}
        held |= {offset for one in self.letters.values() for offset in one.entries}
        needed = [one for one in self.entries if one.offset > had or one.offset in held]
        gone = forget(self.journal, SINKS)
        left = list(self.journal.read(0, 1000))
        assert [one for one in left if one in needed] == needed
        assert len(self.entries) - len(left) == gone
        assert self.forgets or gone == 0
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
        after = self.journal.kept_after()
        assert list(self.journal.read(after, 1000)) == [one for one in self.all if one.offset > after]

    def teardown(self) -> None:
        """Close and remove it."""
        for journal in (*self.left, self.journal):
            journal.close()
        self.folder.cleanup()


def contract_machine(open_journal: Open, *, survives: bool = True, forgets: bool = True) -> type[ContractMachine]:
    """Return the state machine for a journal; its `TestCase` is what pytest runs."""
    members = {"open": staticmethod(open_journal), "survives": survives, "forgets": forgets}
    return type("Contract", (ContractMachine,), members)
