# SPDX-License-Identifier: GPL-3.0-or-later
"""Histories of a SQLite journal: what is done to it, its death, and damage while it is open, in any order.

None of these may cost anything. A failure names its seed, and comes again with it.
"""

import os
from contextlib import suppress
from pathlib import Path
from random import Random

import attrs
import pytest
from helpers.journal_death import MortalJournal
from helpers.journal_entries import raw_entry

from btcore.journal import Baseline, Checkpoint, Entry, Offset
from btcore.sqlite_journal import gathering
from btcore.sqlite_journal.tables import waiting

SINK = "sink.roof"
SOURCE = "source.old"

ALIKE = Random(1).randbytes(500)
"""What many packets have in common."""

SHARE_ALIKE = 0.6


class History:
    """A journal, and what must be in it."""

    def __init__(self, file: Path, random: Random) -> None:
        """Begin with an empty one."""
        self.file = file
        self.random = random
        self.journal = MortalJournal(file)
        self.kept: dict[Offset, Entry] = {}
        self.checkpoint: Checkpoint | None = None
        self.state = ""
        self.key = 0

    def append(self, count: int = 1) -> None:
        """Append some entries."""
        raws = [self._packet() for _ in range(count)]
        entries = [raw_entry(self.key + n, raw) for n, raw in enumerate(raws)]
        self.key += count
        self.kept |= {one.offset: one for one in self.journal.append(entries).kept}

    def _packet(self) -> bytes:
        """Make a packet, which may be much like others."""
        changed = self.random.randbytes(self.random.randint(1, 700))
        return changed[:20] + ALIKE if self.random.random() < SHARE_ALIKE else changed

    def append_many(self) -> None:
        """Append so many that they are committed at once."""
        self.append(250)

    def commit(self) -> None:
        """Move a sink's checkpoint."""
        last, newest = self.checkpoint or Checkpoint(0), self.journal.newest()
        baselines = {**last.baselines, str(self.random.randint(0, 3)): Baseline(newest)}
        moved = attrs.evolve(last, offset=newest, examined=newest, baselines=baselines)
        self.checkpoint = self.journal.commit(SINK, moved)

    def commit_source(self) -> None:
        """Keep how far a source has come."""
        self.state = str(self.random.random())
        self.journal.commit_source(SOURCE, self.state)

    def restamp(self) -> None:
        """Give an entry another key."""
        if self.kept:
            entry = self.random.choice(list(self.kept.values()))
            self.kept[entry.offset] = attrs.evolve(entry, key=10**9 + entry.offset, boot=3)
            self.journal.restamp([self.kept[entry.offset]])

    def die(self) -> None:
        """Die, and open it again."""
        self.journal.die()
        self.journal = MortalJournal(self.file)

    def close(self) -> None:
        """End in order, and open it again."""
        self.journal.close()
        self.journal = MortalJournal(self.file)

    def check(self) -> None:
        """Look for faults; what is gathered is committed."""
        assert list(self.journal.check()) == []

    def remove(self) -> None:
        """Remove some of the files, or all."""
        files = sorted(self.file.parent.glob("journal.db*"))
        for file in self.random.choice([files, [self.random.choice(files)]]):
            file.unlink()

    def garble_tail(self) -> None:
        """Write over the tail, or cut it short."""
        with suppress(FileNotFoundError), Path(f"{self.file}-tail").open("r+b") as tail:
            if self.random.random() < 0.5:
                os.truncate(tail.fileno(), self.random.randint(0, 5000))
            else:
                tail.seek(self.random.randint(0, 20_000))
                tail.write(self.random.randbytes(200))

    def go_on(self) -> None:
        """Do something, and see that nothing is lost by it."""
        harmless = [self.append] * 6 + [self.append_many, self.commit, self.commit_source, self.restamp]
        harmless += [self.die, self.close, self.check]
        self.random.choice(harmless)()
        if self.random.random() < 0.4:
            self.random.choice([self.remove, self.garble_tail])()
            self.random.choice([self.append, self.commit, self.look])()
        assert [one for one in self.journal.inspect() if one.lost != 0] == []
        self.look()

    def look(self) -> None:
        """See that all is there, once and in order, and nothing else."""
        expected = [self.kept[offset] for offset in sorted(self.kept)]
        assert self.journal.read(0, 10**6) == expected
        assert (self.journal.checkpoint(SINK), self.journal.source_checkpoint(SOURCE)) == (self.checkpoint, self.state)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost_or_invented(file: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """After each step all that was kept is there, in order, and no damage under the running program costs anything."""
    random = Random(seed)
    monkeypatch.setattr(gathering, "MAX_TAIL", random.choice([3000, 20_000, 256 << 10]))
    monkeypatch.setattr(waiting, "MOST", random.choice([1, 4, 64]))
    history = History(file, random)
    for _ in range(random.randint(5, 30)):
        history.go_on()
    history.check()
    history.die()
    history.look()
    history.journal.close()
