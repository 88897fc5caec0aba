"""The journal against a model of it: a list and some dicts, through any operations and reopenings."""

from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
from helpers.journal_entries import dead_letter, raw_entry
from helpers.property_tests import examples
from helpers.times import AFTER_NOW
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from btcore.journal import Baseline, Checkpoint, DeadLetter, Entry
from btcore.journal.sqlite import SqliteJournal


class Model(RuleBasedStateMachine):
    """A list and some dicts, against the journal through any operations and reopenings."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.file = Path(self.folder.name) / "journal.db"
        self.journal = SqliteJournal(self.file)
        self.entries: list[Entry] = []
        self.taken: dict[int, Entry] = {}
        self.cursors: dict[str, Checkpoint] = {}
        self.aside: list[DeadLetter] = []
        self.newest = 0
        self.heard: set[str] = set()

    keys = st.integers(0, 6)
    sinks = st.sampled_from(["a", "b"])
    serials = st.sampled_from(["1", "2"])
    packets = st.sampled_from([b"x", b"y", b"z"])
    made = st.builds(lambda key, raw, serial: raw_entry(key, raw + serial.encode(), serial), keys, packets, serials)

    @rule(batch=st.lists(made, max_size=5))
    def append(self, batch: list[Entry]) -> None:
        """Append some; the journal tells which were new."""
        expected = [(new.key, new.serial, new.raw) for one in batch if (new := self._keep(one))]
        kept = self.journal.append(batch)
        assert expected == [(one.key, one.serial, one.raw) for one in kept]
        self.entries += kept
        self.newest += len(kept)
        self.taken |= {one.key: one for one in kept}
        self.heard |= {one.serial for one in kept}

    def _keep(self, one: Entry) -> Entry | None:
        key = one.key
        while (there := self.taken.get(key)) is not None:
            if there.raw == one.raw:
                return None
            key += 1
        self.taken[key] = attrs.evolve(one, key=key)
        return self.taken[key]

    @rule(sink=sinks, ahead=st.integers(0, 4), serial=serials)
    def commit(self, sink: str, ahead: int, serial: str) -> None:
        """Move a cursor on, with the newest entry delivered as a base."""
        before = self.cursors.get(sink, Checkpoint())
        upcoming = [one for one in self.entries if one.offset > before.offset][:ahead]
        place = upcoming[-1].offset if upcoming else before.offset
        bases = {serial: Baseline(place)} if upcoming else {}
        self.cursors[sink] = before.moved(place, bases)
        self.journal.commit(sink, self.cursors[sink], list(bases))

    @rule(sink=sinks, ahead=st.integers(0, 4))
    def look(self, sink: str, ahead: int) -> None:
        """Look at some entries behind a cursor, and want nothing of them."""
        before = self.cursors.get(sink, Checkpoint())
        upcoming = [one for one in self.entries if one.offset > before.examined][:ahead]
        place = upcoming[-1].offset if upcoming else before.examined
        self.cursors[sink] = attrs.evolve(
            before, examined=place, first_unwanted=before.first_unwanted or place, settings="some"
        )
        self.journal.commit(sink, self.cursors[sink])

    @rule(sink=sinks)
    def mend(self, sink: str) -> None:
        """Change the settings of a sink: it has looked at nothing behind its position with these."""
        before = self.cursors.get(sink, Checkpoint())
        self.cursors[sink] = attrs.evolve(before, examined=before.offset, settings="others", accepted="others")
        self.journal.commit(sink, self.cursors[sink])

    @rule(sink=sinks)
    def refuse(self, sink: str) -> None:
        """Set the newest entry aside."""
        refused = dead_letter(sink, *(one.offset for one in self.entries[-1:]))
        self.aside.append(refused)
        self.cursors.setdefault(sink, Checkpoint())
        self.journal.commit(sink, self.cursors[sink], (), [refused])

    @rule()
    def trim(self) -> None:
        """Forget what both sinks had, or wanted nothing of."""
        if len(self.cursors) < 2:
            assert sum(self.journal.trim(["a", "b"], AFTER_NOW)) == 0
            return
        had = min(cursor.examined for cursor in self.cursors.values())
        held = {base.offset for cursor in self.cursors.values() for base in cursor.baselines.values()}
        held |= {place for one in self.aside for place in one.entries}
        left = [one for one in self.entries if one.offset > had or one.offset in held]
        assert len(self.entries) - len(left) == sum(self.journal.trim(["a", "b"], AFTER_NOW))
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
        assert [self.cursors.get(sink) for sink in "ab"] == [self.journal.checkpoint(sink) for sink in "ab"]
        assert self.aside == self.journal.dead_letters()
        assert self.journal.newest() == self.newest
        assert {one.serial for one in self.journal.heard_meters()} == self.heard
        assert set(self.journal.serials()) == self.heard

    def teardown(self) -> None:
        """Close and remove it."""
        self.journal.close()
        self.folder.cleanup()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=examples(30), stateful_step_count=25, deadline=None)
