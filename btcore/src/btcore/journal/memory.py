"""The journal in memory: the contract in its shortest form, for reading it and for tests.

Everything is done under one lock, and nothing survives the end of the process. What a file or a network needs does not
belong here: that is `sqlite.py`.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from threading import Condition

import attrs

from btcore.journal import Baseline, Checkpoint, DeadLetter, Entry, EntrySize, HeardMeter, Superseded, Usage


class MemoryJournal:
    """A journal as lists and dicts."""

    is_full = False

    def __init__(self) -> None:
        """Begin with nothing."""
        self._entries: dict[int, Entry] = {}  # by offset
        self._added: dict[int, float] = {}
        self._keys: dict[int, Entry] = {}
        self._newest = 0
        self._meters: dict[tuple[str, str], int] = {}  # the last heard is the last one
        self._checkpoints: dict[str, Checkpoint] = {}
        self._dead_letters: dict[tuple[str, str, tuple[int, ...]], tuple[DeadLetter, float]] = {}
        self._changed = Condition()

    # --- entries

    def append(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Keep these entries, all or none: nothing is changed before all of them are known to fit."""
        with self._changed:
            taken = dict(self._keys)
            new: list[Entry] = []
            for entry in entries:
                key = _free_key(taken, entry)
                if key is not None:
                    new.append(attrs.evolve(entry, key=key, offset=self._newest + len(new) + 1))
                    taken[key] = new[-1]
            for entry in new:
                self._keep(entry)
            self._changed.notify_all()
        return new

    def _keep(self, entry: Entry) -> None:
        self._keys[entry.key] = self._entries[entry.offset] = entry
        self._added[entry.offset] = time.time()
        self._newest = entry.offset
        self._meters.pop((entry.serial, entry.format), None)
        self._meters[entry.serial, entry.format] = entry.offset

    def read(self, after: int, limit: int) -> Sequence[Entry]:
        """Return the entries after an offset; it is in the order of the offsets that they were put in."""
        with self._changed:
            return [entry for entry in self._entries.values() if entry.offset > after][:limit]

    def get(self, places: Sequence[int]) -> Sequence[Entry]:
        """Return the entries at these offsets."""
        with self._changed:
            return [self._entries[offset] for offset in places if offset in self._entries]

    def recent(self, until: int, limit: int) -> Sequence[Entry]:
        """Return the last entries up to an offset."""
        with self._changed:
            return [entry for entry in self._entries.values() if entry.offset <= until][-limit:]

    def sizes(self, after: int, limit: int) -> Sequence[EntrySize]:
        """Return what the entries after an offset weigh."""
        return [EntrySize(entry.offset, entry.key, len(entry.raw)) for entry in self.read(after, limit)]

    def newest(self) -> int:
        """Return the newest offset."""
        with self._changed:
            return self._newest

    def lag(self, after: int) -> int:
        """Return how many entries came in after an offset."""
        return max(self.newest() - after, 0)

    def wait(self, after: int, timeout: float) -> bool:
        """Wait until there is an entry after an offset."""
        with self._changed:
            if self._newest <= after:
                self._changed.wait(timeout)
            return self._newest > after

    def wake(self) -> None:
        """Make every `wait` return now."""
        with self._changed:
            self._changed.notify_all()

    # --- meters

    def heard_meters(self) -> Sequence[HeardMeter]:
        """Return which meters were ever heard."""
        with self._changed:
            return [HeardMeter(*meter, offset) for meter, offset in self._meters.items()]

    def serials(self) -> Sequence[str]:
        """Return the meters that were ever heard, the last heard first."""
        return list(dict.fromkeys(meter.serial for meter in reversed(self.heard_meters())))

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
            new = attrs.evolve(checkpoint, baselines=baselines, revision=kept.revision + 1)
            self._checkpoints[sink] = new
            return new

    def baseline(self, sink: str, key: str) -> Baseline | None:
        """Return one baseline of a sink."""
        checkpoint = self.checkpoint(sink)
        return checkpoint.baselines.get(key) if checkpoint else None

    def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep these; one that is kept already stays as it is."""
        new = {letter.identity: (letter, time.time()) for letter in letters}
        with self._changed:
            self._dead_letters = {**self._dead_letters, **{k: v for k, v in new.items() if k not in self._dead_letters}}

    def dead_letters(self, sink: str | None = None) -> Sequence[DeadLetter]:
        """Return the dead letters."""
        with self._changed:
            return [letter for letter, _ in self._dead_letters.values() if sink in {None, letter.sink}]

    # --- retention

    def trim(self, sinks: Sequence[str], added_before: int) -> Iterator[int]:
        """Forget, in one portion, what all these sinks have had and nothing needs."""
        with self._changed:
            until = min([self._newest, *(self._checkpoints.get(sink, Checkpoint()).examined for sink in sinks)])
            held = {*self._baseline_offsets()}
            held |= {offset for letter, _ in self._dead_letters.values() for offset in letter.entries}
            old = {offset for offset, added in self._added.items() if offset <= until and added < added_before}
            for offset in old - held:
                del self._keys[self._entries.pop(offset).key], self._added[offset]
        yield len(old - held)

    def forget_dead_letters(self, added_before: int) -> Mapping[str, int]:
        """Forget the dead letters that were kept before a time."""
        with self._changed:
            old = [key for key, (_, added) in self._dead_letters.items() if added < added_before]
            return Counter(self._dead_letters.pop(key)[0].sink for key in old)

    def usage(self) -> Usage:
        """Return what it holds."""
        with self._changed:
            entries = list(self._entries.values())
        ends = (entries[0].key, entries[-1].key) if entries else (0, 0)
        return Usage(len(entries), *ends, sum(len(entry.raw) for entry in entries), "in memory")

    def _baseline_offsets(self) -> set[int]:
        return {one.offset for kept in self._checkpoints.values() for one in kept.baselines.values()}

    def close(self) -> None:
        """Wake whoever waits; there is nothing to give back."""
        self.wake()


def _free_key(taken: Mapping[int, Entry], entry: Entry) -> int | None:
    """Return the first key from the entry's own on that is free; None where the same reading is there."""
    key = entry.key
    while (other := taken.get(key)) is not None:
        if other.raw == entry.raw and (not entry.whole or other.serial == entry.serial):
            return None
        key += 1
    return key
