# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to a journal that is recorded, each time from a seed, and what was acknowledged after each step.

The journal is the real one; only its bounds are small, so that a short history reaches them.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import attrs
from power.recorder import Recorder

from btcore.errors import Unavailable
from btcore.journal import Baseline, Checkpoint, DeadLetter, Entry, Offset, Retention
from btcore.sqlite_journal import gathering, mending, recovery
from btcore.sqlite_journal.files import mapping, open_files, space, tail
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.sqlite_journal.tables import waiting

FILE = "journal.db"
SINKS = ("sink.roof", "sink.hourly")
SOURCE = "source.old"
METERS = ("311111", "322222", "333333")

ALIKE = bytes(range(200, 256)) * 8
"""What many packets have in common, so that they are compressed."""

SHARE_ALIKE = 0.6
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
FRAME = 4096 + 24
"""Bytes of a page in SQLite's log."""

WRITTEN_BACK = "written back"
KILLED = "killed"
MOST_TRIES = 10


@attrs.frozen
class Known:
    """What a journal has acknowledged by some moment.

    `entries` are kept, `versions` has all that was ever kept at an offset, `groups` has the append by which it came.
    `forgotten` are offsets of which it was told that nobody needs them. `checkpoints` has all of each sink,
    `states` all of the source, each with the newest offset of its time.
    """

    entries: Mapping[Offset, Entry] = attrs.field(factory=dict)
    versions: Mapping[Offset, tuple[Entry, ...]] = attrs.field(factory=dict)
    groups: Mapping[Offset, int] = attrs.field(factory=dict)
    forgotten: frozenset[Offset] = frozenset()
    checkpoints: Mapping[str, tuple[Checkpoint, ...]] = attrs.field(factory=dict)
    states: tuple[tuple[str, Offset], ...] = ()
    letters: Mapping[tuple[str, str, tuple[int, ...]], DeadLetter] = attrs.field(factory=dict)

    @property
    def newest(self) -> Offset:
        """The newest offset that was given."""
        return max(self.versions, default=0)


@attrs.frozen
class Step:
    """One step of a history: what was known after it.

    `is_durable`: the journal has said that all is on the disk. `is_damage`: its files were damaged, and mended, in it.
    """

    name: str
    known: Known
    is_durable: bool = False
    is_damage: bool = False


class SmallJournal(SqliteJournal):
    """The journal, whose log is brought into its file soon."""

    log_pages = 1000

    @property
    def in_memory(self) -> list[Entry]:
        """The newest entries of this run."""
        return list(self._mender._recent)

    def _connect(self, failing: ExitStack) -> sqlite3.Connection:
        connection = super()._connect(failing)
        connection.execute(f"PRAGMA wal_autocheckpoint = {self.log_pages}")
        return connection


def shrink(random: Random) -> None:
    """Give the journal small bounds."""
    SmallJournal.log_pages = random.choice((5, 20, 60, 1000))
    tail.SIZE = random.choice((4, 8, 32)) << 10
    tail.BLOCK = random.choice((500, 2000, 16 << 10))
    gathering.MAX_TAIL = random.choice((1000, 3000, 8000, 30_000))
    gathering.MAX_RECORD = random.choice((2000, 10_000, 64 << 10))
    waiting.MOST = random.choice((1, 3, 10, 64))
    space.RESERVE = 1 << 12
    recovery.YIELD = 0.0
    mending.SHARE = mending.PATIENCE = 600.0  # however busy the computer is
    gathering.MAX_UNSYNCED = 1e9  # seconds: `_grow_old` lets them pass
    mapping.WRITE_OUT = 1.0  # with each change as many bytes ahead as were written since the last one
    vars(mapping)["monotonic"] = lambda: 0.0
    mapping.time_of_change = partial(change, count(), random.randint(2, 30))
    open_files.FRAMES = 2


def change(asked: Iterator[int], often: int, _descriptor: int) -> int:
    """Return when a file has changed: by how often that was asked, so that a seed is always the same history."""
    return next(asked) // often


class Workload:
    """A journal that is recorded, and what it has acknowledged. `steps` are in order."""

    def __init__(self, folder: Path, recorder: Recorder, random: Random) -> None:
        """Begin with an empty directory; lives of the program have one each below `folder`."""
        self.steps: list[Step] = []
        self.is_always = random.random() < 0.5
        self._folder = folder
        self._recorder = recorder
        self._random = random
        self._known = Known()
        self._key = 1
        self._lives: list[SmallJournal] = []
        self._done: list[tuple[str, bool, bool]] = []

    def run(self) -> None:
        """Do it; afterwards everything is closed."""
        self._recorder.begin(self._new_folder(), self._folder / "log")
        self._step("open", self._open)
        for _ in range(self._random.randint(4, 25)):
            name, do = self._random.choice(self._actions())
            self._step(name, do)
            if self._random.random() < 0.1:
                self._recorder.mark(WRITTEN_BACK)

    def close(self) -> None:
        """Close what was left open by each life."""
        for journal in self._lives:
            journal.close()

    def _new_folder(self) -> Path:
        state = self._folder / f"life-{len(self._lives)}"
        state.mkdir()
        return state

    def _step(self, name: str, do: Callable[[], object]) -> None:
        self._recorder.mark(f"begin {name}")
        do()
        is_durable = name in {"check", "retention", "compact", "close"}
        self.steps.append(Step(name, self._known, is_durable, name in DAMAGES))
        self._recorder.mark("end")

    def _actions(self) -> list[tuple[str, Callable[[], object]]]:
        usual: list[tuple[str, Callable[[], object]]] = [("append", self._append)] * 8
        usual += [("checkpoint", self._checkpoint)] * 4 + [("state", self._commit_source)] * 2
        usual += [("many", self._append_many), ("restamp", self._restamp), ("letter", self._keep_letter)]
        usual += [("check", self._check), ("retention", self._forget), ("compact", self.journal.compact)]
        usual += [("close", self._close), ("kill", self._kill), ("inspect", self.journal.inspect)] * 2
        usual += [("grow old", self._grow_old)]
        return usual + [("remove", self._remove)] * 2 + [("garble", self._garble), ("garble log", self._garble_log)]

    # --- the journal

    @property
    def journal(self) -> SmallJournal:
        """The journal that is open."""
        return self._lives[-1]

    @property
    def state(self) -> Path:
        """The directory of the present life."""
        return self._folder / f"life-{max(len(self._lives) - 1, 0)}"

    def _open(self) -> None:
        self._lives.append(self._opened(self._folder / f"life-{len(self._lives)}"))

    def _opened(self, state: Path) -> SmallJournal:
        """Open the journal, and read from it what a program reads first."""
        journal = SmallJournal(state / FILE, always_sync=self.is_always)
        for sink in SINKS:
            journal.checkpoint(sink)
        journal.source_checkpoint(SOURCE)
        return journal

    def _close(self) -> None:
        self.journal.close()
        self._lives[-1] = self._opened(self.state)

    def _kill(self) -> None:
        """Leave all as it is: whoever comes next has the same files, and nothing is closed."""
        self._recorder.mark(KILLED)
        old = self.state
        self._recorder.watch(Path())
        shutil.copytree(old, self._folder / f"life-{len(self._lives)}")
        self._recorder.watch(self._folder / f"life-{len(self._lives)}")
        self._open()

    # --- what it is told

    def _append(self, most: int = 4) -> None:
        entries = []
        for _ in range(self._random.randint(1, most)):
            raw = self._random.randbytes(self._random.choice((5, 60, 300, 700)))
            if self._random.random() < SHARE_ALIKE:
                raw = raw[:20] + ALIKE
            entries.append(Entry(self._key, "panel", self._random.choice(METERS), "ecm1220bin", raw))
            self._key += self._random.randint(1, 3)
        kept = self.journal.append(entries).kept
        assert len(kept) == len(entries)
        new = {one.offset: one for one in kept}
        known = self._known
        self._know(
            entries={**known.entries, **new},
            versions={**known.versions, **{offset: (*known.versions.get(offset, ()), e) for offset, e in new.items()}},
            groups={**known.groups, **dict.fromkeys(new, len(self.steps))},
        )

    def _append_many(self) -> None:
        self._append(60)

    def _checkpoint(self) -> None:
        sink = self._random.choice(SINKS)
        commits = self._known.checkpoints.get(sink, ())
        last = commits[-1] if commits else Checkpoint()
        newest = self.journal.newest()
        offset = newest if sink == SINKS[0] else self._random.randint(last.offset, newest)
        baselines = {**last.baselines, self._random.choice(METERS): Baseline(newest, {"ch1_wh": self._key})}
        kept = self.journal.commit(sink, attrs.evolve(last, offset=offset, examined=offset, baselines=baselines))
        self._know(checkpoints={**self._known.checkpoints, sink: (*commits, kept)})

    def _commit_source(self) -> None:
        state = f"row {len(self._known.states)}"
        self.journal.commit_source(SOURCE, state)
        self._know(states=(*self._known.states, (state, self.journal.newest())))

    def _restamp(self) -> None:
        if not self._known.entries:
            return
        old = self._random.choice(list(self._known.entries.values()))
        new = attrs.evolve(old, key=10**9 + self._key, boot=3)
        self._key += 1
        self.journal.restamp([new])
        known = self._known
        versions = (*known.versions[old.offset], new)
        self._know(entries={**known.entries, old.offset: new}, versions={**known.versions, old.offset: versions})

    def _keep_letter(self) -> None:
        if not self._known.entries:
            return
        entry = self._random.choice(list(self._known.entries.values()))
        places, keys = (entry.offset,), (entry.key,)
        letter = DeadLetter(SINKS[0], entry.serial, LONG_AGO, LONG_AGO, "too sunny", places, keys)
        self.journal.keep_dead_letters([letter])
        self._know(letters={letter.identity: letter, **self._known.letters})

    def _grow_old(self) -> None:
        """Let so much time pass that the next change waits until the tail is on the disk."""
        self.journal._gathering._synced -= 2 * gathering.MAX_UNSYNCED

    def _check(self) -> None:
        assert list(self.journal.check()) == []

    def _forget(self) -> None:
        """Forget all that both sinks have had."""
        for _ in self.journal.apply_retention(SINKS, Retention(-(10**6))):
            pass
        left = {one.offset for one in self.journal.read(0, 10**6)}
        gone = frozenset(self._known.entries) - left
        entries = {offset: entry for offset, entry in self._known.entries.items() if offset in left}
        self._know(entries=entries, forgotten=self._known.forgotten | gone)

    # --- what happens to it: no reading may be lost by it, but what was forgotten may come back

    def _remove(self) -> None:
        files = sorted(self.state.glob(f"{FILE}*"))
        for file in self._random.choice([files, [self._random.choice(files)]]):
            file.unlink()
        self._mend()

    def _garble(self) -> None:
        with (self.state / f"{FILE}-tail").open("r+b", buffering=0) as file:
            file.seek(self._random.randint(0, 2000))
            file.write(self._random.randbytes(200))
        self._mend()

    def _garble_log(self) -> None:
        """Write over a page of SQLite's log: dead letters may be lost by it, and readings that are in no memory."""
        in_memory = {one.offset for one in self.journal.in_memory}
        log = self.state / f"{FILE}-wal"
        frames = log.stat().st_size // FRAME
        with log.open("r+b", buffering=0) as file:
            file.seek(frames // 2 * FRAME + 300)
            file.write(self._random.randbytes(200))
        for _ in range(frames // open_files.FRAMES + 2):
            self._mend(may_lose=True)
        lost = self._known.entries.keys() - self._offsets(may_lose=True)
        assert not lost & in_memory
        self._know(entries={offset: one for offset, one in self._known.entries.items() if offset not in lost})
        there = {one.identity for one in self.journal.dead_letters()}
        self._know(letters={name: one for name, one in self._known.letters.items() if name in there})

    def _mend(self, *, may_lose: bool = False) -> None:
        self._inspect(may_lose=may_lose)
        known = self._known
        back = known.forgotten & self._offsets(may_lose=may_lose)
        entries = {**known.entries, **{offset: known.versions[offset][-1] for offset in back}}
        self._know(entries=entries, forgotten=known.forgotten - back)

    def _offsets(self, *, may_lose: bool = False) -> set[Offset]:
        """Return the offsets of all that is there; what reading finds damaged is mended first, as a program does."""
        for _ in range(MOST_TRIES):
            with suppress(Unavailable):
                return {one.offset for one in self.journal.read(0, 1 << 20)}
            self._inspect(may_lose=may_lose)
        raise AssertionError("what is damaged is not mended")

    def _inspect(self, *, may_lose: bool) -> None:
        found = self.journal.inspect()
        assert may_lose or [one for one in found if one.lost] == []

    def _know(self, **changes: Any) -> None:  # noqa: ANN401 - fields of `Known`
        self._known = attrs.evolve(self._known, **changes)


DAMAGES = frozenset({"remove", "garble", "garble log"})
