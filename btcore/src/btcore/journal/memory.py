# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal in memory: the contract in its shortest form, for reading it and for tests.

Everything is done under one lock, and nothing survives the end of the process. What a file or a network needs does not
belong here: that is `btcore.sqlite_journal`.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock

from btcore.classes import evolve
from btcore.errors import Unavailable
from btcore.journal import (
    START,
    Appended,
    Baseline,
    Checkpoint,
    Damage,
    DeadLetter,
    Entry,
    EntrySize,
    Forgotten,
    HeardMeter,
    Lag,
    Offset,
    Retention,
    Superseded,
)
from btcore.journal.opening import JournalOptions
from btcore.journal.waits import Waits

log = logging.getLogger("btcore")


def open_journal(options: JournalOptions) -> "MemoryJournal":
    """Make a journal. It says that it keeps nothing: whoever chose it for a run should know."""
    if options.must_exist:
        raise Unavailable("the journal is in memory: nothing of it is left when btcore does not run")
    log.warning("the journal is in memory: readings that are not delivered are lost at the end of the run")
    return MemoryJournal()


class MemoryJournal:
    """A journal as lists and dicts."""

    is_full = False
    location = "memory"
    damages: Sequence[Damage] = ()

    def __init__(self) -> None:
        """Begin with nothing."""
        self._entries: dict[Offset, Entry] = {}
        self._added: dict[Offset, float] = {}
        self._keys: dict[int, dict[str, Entry]] = {}  # by key, then by serial number
        self._newest: Offset = START
        self._kept_after: Offset = START
        self._meters: dict[tuple[str, str], int] = {}  # the last heard is the last one
        self._checkpoints: dict[str, Checkpoint] = {}
        self._source_checkpoints: dict[str, str] = {}
        self._dead_letters: dict[tuple[str, str, tuple[int, ...]], tuple[DeadLetter, float]] = {}
        self._changed = Lock()
        self._waits = Waits(self._changed)

    # --- entries

    def append(self, entries: Sequence[Entry]) -> Appended:
        """Keep these entries up to the first whose key is taken; nothing is changed before all are known to fit."""
        with self._changed:
            new, rest = self._sort_out(entries)
            for entry in new:
                self._add(entry)
            self._waits.came(self._newest)
        return Appended(new, rest)

    def _sort_out(self, entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
        """Return the entries that are to be kept, with their offsets, and those from the first taken key on."""
        fresh: dict[int, dict[str, Entry]] = {}
        new: list[Entry] = []
        rest: list[Entry] = []
        for entry in entries:
            others = {**self._keys.get(entry.key, {}), **fresh.get(entry.key, {})}
            if rest or (entry.serial in others and not _is_known(entry, others)):
                rest.append(entry)
            elif not _is_known(entry, others):
                new.append(evolve(entry, offset=self._newest + len(new) + 1))
                fresh.setdefault(entry.key, {})[entry.serial] = new[-1]
        return new, rest

    def _add(self, entry: Entry) -> None:
        self._keys.setdefault(entry.key, {})[entry.serial] = self._entries[entry.offset] = entry
        self._added[entry.offset] = time.time()
        self._newest = entry.offset
        self._meters.pop((entry.serial, entry.format), None)
        self._meters[entry.serial, entry.format] = entry.offset

    def restamp(self, entries: Sequence[Entry]) -> None:
        """Give entries these keys and boots."""
        with self._changed:
            for entry in entries:
                if (kept := self._entries.get(entry.offset)) is not None:
                    del self._keys[kept.key][kept.serial]
                    key = entry.key
                    while kept.serial in self._keys.get(key, {}):
                        key += 1
                    changed = evolve(kept, key=key, boot=entry.boot)
                    self._entries[entry.offset] = self._keys.setdefault(key, {})[kept.serial] = changed
                    self._added[entry.offset] = key / 1e6

    def read(self, after: Offset, limit: int) -> Sequence[Entry]:
        """Return the entries after an offset; it is in the order of the offsets that they were put in."""
        with self._changed:
            return [entry for entry in self._entries.values() if entry.offset > after][:limit]

    def get(self, offsets: Sequence[Offset]) -> Sequence[Entry]:
        """Return the entries at these offsets."""
        with self._changed:
            return [self._entries[offset] for offset in offsets if offset in self._entries]

    def recent(self, until: Offset, limit: int) -> Sequence[Entry]:
        """Return the last entries up to an offset."""
        with self._changed:
            return [entry for entry in self._entries.values() if entry.offset <= until][-limit:]

    def sizes(self, after: Offset, limit: int) -> Sequence[EntrySize]:
        """Return the sizes of the entries after an offset."""
        return [EntrySize(entry.offset, entry.key, len(entry.raw)) for entry in self.read(after, limit)]

    def newest(self) -> Offset:
        """Return the newest offset."""
        with self._changed:
            return self._newest

    def kept_after(self) -> Offset:
        """Return the newest offset that was forgotten."""
        with self._changed:
            return self._kept_after

    def lag(self, after: Offset) -> Lag:
        """Return what is kept after an offset."""
        with self._changed:
            kept = [entry for entry in self._entries.values() if entry.offset > after]
        return Lag(len(kept), sum(len(entry.raw) for entry in kept), kept[0].key if kept else 0)

    def wait(self, after: Offset, timeout: float, count: int = 1) -> bool:
        """Wait until there are so many entries after an offset."""
        wanted = after + count
        with self._changed:
            if self._newest < wanted:
                self._waits.wait(wanted, timeout)
            return self._newest >= wanted

    def wake(self) -> None:
        """Make every `wait` return now."""
        with self._changed:
            self._waits.wake()

    # --- meters

    def heard_meters(self) -> Sequence[HeardMeter]:
        """Return which meters were ever heard."""
        with self._changed:
            return [HeardMeter(*meter, offset) for meter, offset in self._meters.items()]

    def heard(self, recent: int) -> Sequence[Entry]:
        """Return the entries of all baselines, and so many of the newest."""
        with self._changed:
            offsets = {*self._baseline_offsets(), *list(self._entries)[-recent:]}
        return self.get(sorted(offsets))

    # --- sinks

    def checkpoint(self, sink: str) -> Checkpoint | None:
        """Return how far a sink has come."""
        with self._changed:
            return self._checkpoints.get(sink)

    def commit(self, sink: str, checkpoint: Checkpoint) -> Checkpoint:
        """Make this a sink's checkpoint, where it was made from the one that is kept."""
        with self._changed:
            kept = self._checkpoints.get(sink, Checkpoint())
            if kept.revision != checkpoint.revision:
                raise Superseded(sink)
            baselines = {**kept.baselines, **checkpoint.baselines}
            new = evolve(checkpoint, baselines=baselines, revision=kept.revision + 1)
            self._checkpoints[sink] = new
            return new

    def baseline(self, sink: str, key: str) -> Baseline | None:
        """Return one baseline of a sink."""
        checkpoint = self.checkpoint(sink)
        return checkpoint.baselines.get(key) if checkpoint else None

    def source_checkpoint(self, source: str) -> str:
        """Return what was committed for a source last."""
        with self._changed:
            return self._source_checkpoints.get(source, "")

    def commit_source(self, source: str, state: str) -> None:
        """Keep how far a source has come."""
        with self._changed:
            self._source_checkpoints[source] = state

    def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep these; one that is kept already stays as it is."""
        new = {letter.identity: (letter, time.time()) for letter in letters}
        with self._changed:
            self._dead_letters = {**self._dead_letters, **{k: v for k, v in new.items() if k not in self._dead_letters}}

    def dead_letters(self, sink: str | None = None) -> Sequence[DeadLetter]:
        """Return the dead letters."""
        with self._changed:
            return [letter for letter, _ in self._dead_letters.values() if sink in {None, letter.sink}]

    def replace_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Give those that are kept these reasons."""
        with self._changed:
            kept = {one.identity: self._dead_letters.get(one.identity) for one in letters}
            new = {one.identity: (one, found[1]) for one in letters if (found := kept[one.identity])}
            self._dead_letters = {**self._dead_letters, **new}

    def forget_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Forget these."""
        gone = {letter.identity for letter in letters}
        with self._changed:
            self._dead_letters = {k: v for k, v in self._dead_letters.items() if k not in gone}

    # --- retention

    def apply_retention(self, sinks: Sequence[str], retention: Retention) -> Iterator[Forgotten]:
        """Forget, in one portion, what is too old, and what nobody needs."""
        with self._changed:
            letters = self._forget_dead_letters(retention)
            entries = self._forget_entries(sinks, time.time() - retention.age)
        yield Forgotten(entries, letters)

    def _forget_entries(self, sinks: Sequence[str], added_before: float) -> int:
        until = min([self._newest, *(self._checkpoints.get(sink, Checkpoint()).examined for sink in sinks)])
        needed = {*self._baseline_offsets()}
        needed |= {offset for letter, _ in self._dead_letters.values() for offset in letter.entries}
        old = {offset for offset, added in self._added.items() if offset <= until and added < added_before}
        for offset in old - needed:
            gone = self._entries.pop(offset)
            del self._keys[gone.key][gone.serial], self._added[offset]
            self._kept_after = max(self._kept_after, offset)
        return len(old - needed)

    def _forget_dead_letters(self, retention: Retention) -> Mapping[str, int]:
        added_before = time.time() - retention.dead_letter_age
        gone: Counter[str] = Counter()
        count: Counter[str] = Counter()
        for identity, (letter, added) in reversed(list(self._dead_letters.items())):
            count[letter.sink] += 1
            if added < added_before or count[letter.sink] > retention.max_dead_letters:
                gone[letter.sink] += 1
                del self._dead_letters[identity]
        return gone

    def inspect(self) -> Sequence[Damage]:
        """Return nothing: what is in memory is well."""
        return ()

    def check(self) -> Iterator[str]:
        """Yield nothing: there is no disk that could fail."""
        yield from ()

    def compact(self) -> None:
        """Do nothing: there is no disk."""

    def size(self) -> int:
        """Return the bytes of the packets."""
        return self.lag(START).size

    def free(self) -> None:
        """Return nothing: there is no disk."""

    def _baseline_offsets(self) -> set[int]:
        return {one.offset for kept in self._checkpoints.values() for one in kept.baselines.values()}

    def close(self) -> None:
        """Wake whoever waits; there is nothing to give back."""
        self.wake()


def _is_known(entry: Entry, others: Mapping[str, Entry]) -> bool:
    """Whether one of the entries with its key is the same reading, whatever its meter was called then."""
    same = [other for other in others.values() if other.raw == entry.raw]
    return any(not entry.packetless or other.serial == entry.serial for other in same)
