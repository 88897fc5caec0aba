# SPDX-License-Identifier: GPL-3.0-or-later
"""The source of virtual channels: it reads the journal as a sink does, and yields readings as a source does.

What it remembers is its checkpoint as a source, which the journal keeps after the readings that came before it. After a
crash it yields the same readings with the same times again, which the journal keeps once. Its checkpoint as a sink only
holds what it has not read yet.
"""

import json
from collections.abc import Iterator, Sequence
from logging import Logger, getLogger
from threading import Event
from time import monotonic

from btcore.calculate.chain import ChainBaseline
from btcore.calculate.chains import Chains
from btcore.decode.decoders import Decoders
from btcore.hookspecs import hookimpl
from btcore.journal import START, Checkpoint, Entry, Journal, Superseded
from btcore.journal.clock_watch import without_time
from btcore.records import Reading, SourceCheckpoint
from btcore.settings import Context
from btcore.virtual.counting import SOURCE, VirtualChannel
from btcore.virtual.following import Follower, Running

READ = 500
"""Journal entries read at once."""

CHECKPOINT_INTERVAL = 60.0
"""Seconds between two checkpoints while it keeps up: what came after the last one is read again after a crash."""

WAIT = 1.0
"""Seconds of the longest wait for more to read."""

PATIENCE = 600.0
"""Seconds after which the log says for which meter a virtual channel waits."""


class Collector:
    """The source of all virtual channels of a configuration."""

    def __init__(self, channels: Sequence[VirtualChannel], journal: Journal, decoders: Decoders) -> None:
        """Prepare; nothing is read before it is opened."""
        self._channels = channels
        self._journal = journal
        self._decoders = decoders
        self._log: Logger = getLogger(SOURCE)
        self._once = False
        self._followers: list[Follower] = []
        self._checkpoint_at = 0.0
        self._waiting_since: dict[str, float] = {}

    @hookimpl
    def open(self, context: Context) -> None:
        """Go on from the last checkpoint. A channel that is new begins with what the journal still has."""
        self._log, self._once = context.log, context.once
        self._decoders = self._decoders.for_worker(context.log)
        self._decoders.open()
        self._followers = self._restored(context.checkpoint)

    @hookimpl
    def close(self) -> None:
        """Close the decoders."""
        self._decoders.close()

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Reading | SourceCheckpoint]:
        """Yield the readings of the virtual channels. In a `once` run it ends when it has read everything."""
        while self._once or not stop.is_set():
            follower = self._followers[0]
            entries, held = without_time(self._journal.read(follower.offset, READ))
            if not entries and len(self._followers) == 1:
                yield from self._checkpoint()
                if stop.is_set():
                    break
                if held is None:
                    self._journal.wait(follower.offset, WAIT)
                else:  # its time is not known before the clock is set
                    stop.wait(WAIT)
            for entry in entries:
                if len(self._followers) > 1 and entry.offset > self._followers[1].offset:
                    break
                yield from self._read(follower, entry)
            self._merge(is_at_end=not entries)
            if len(entries) == READ:
                yield from self._checkpoint(now=True)
        yield from self._checkpoint(now=True)

    def _read(self, follower: Follower, entry: Entry) -> Iterator[Reading]:
        reading = None if entry.source == SOURCE else self._decoders.read_entry(entry)
        if reading is not None:
            yield from follower.feed(reading)
        follower.offset = entry.offset

    def _merge(self, *, is_at_end: bool) -> None:
        """Have the channels that have come as far as others go on with them."""
        while len(self._followers) > 1 and (is_at_end or self._followers[0].offset >= self._followers[1].offset):
            caught_up = self._followers.pop(0)
            self._followers[0].channels += caught_up.channels

    def _checkpoint(self, *, now: bool = False) -> Iterator[SourceCheckpoint]:
        """Yield a checkpoint, if it is time for one."""
        self._report_waits()
        if now or monotonic() - self._checkpoint_at >= CHECKPOINT_INTERVAL:
            self._checkpoint_at = monotonic()
            self._hold()
            yield SourceCheckpoint(json.dumps([one.state() for one in self._followers], separators=(",", ":")))

    def _hold(self) -> None:
        """Have the journal keep what is needed to go on from the checkpoint that it has now."""
        states = _states(self._journal.source_checkpoint(SOURCE))
        offset = min((int(str(state["offset"])) for state in states), default=START)
        before = self._journal.checkpoint(SOURCE) or Checkpoint()
        if offset > before.offset or before.revision == 0:
            try:
                self._journal.commit(SOURCE, before.moved(offset, {}))
            except Superseded:
                self._log.debug("its checkpoint as a sink was moved by another")

    def _report_waits(self) -> None:
        now = monotonic()
        waiting = {
            one.channel.name: one.timeline.waits_for for follower in self._followers for one in follower.channels
        }
        for name, serials in waiting.items():
            if not serials:
                self._waiting_since.pop(name, None)
            elif now - self._waiting_since.setdefault(name, now) >= PATIENCE:
                self._waiting_since[name] = float("inf")  # once
                self._log.warning(
                    "%s waits for meter %s, which is part of it: it goes on when that meter is heard again, with all"
                    " that was counted meanwhile; if it is gone, change the expression in [channels]",
                    name,
                    " and ".join(serials),
                )

    def _restored(self, checkpoint: str) -> list[Follower]:
        """Return the followers of the last checkpoint, and one for the channels that are new."""
        left = {channel.name: Running.new(channel) for channel in self._channels}
        followers = []
        for state in _states(checkpoint):
            kept = state.get("channels")
            found = []
            for name, remembered in kept.items() if isinstance(kept, dict) else ():
                if running := left.pop(name, None):
                    running.restore(remembered)
                    found.append(running)
            if found:
                followers.append(Follower(found, self._chains(state["baselines"]), int(str(state["offset"]))))
        if left:
            followers.insert(0, Follower(list(left.values())))
        return sorted(followers, key=lambda follower: follower.offset)

    def _chains(self, baselines: object) -> Chains:
        offsets = {str(key): int(at) for key, at in baselines.items()} if isinstance(baselines, dict) else {}
        entries = {entry.offset: entry for entry in self._journal.get(sorted(set(offsets.values())))}
        readings = {at: self._decoders.read_entry(entry) for at, entry in entries.items()}
        found = {
            key: ChainBaseline(reading) for key, at in offsets.items() if (reading := readings.get(at)) is not None
        }
        return Chains(found)


def _states(checkpoint: str) -> list[dict[str, object]]:
    states = json.loads(checkpoint) if checkpoint else []
    return [state for state in states if isinstance(state, dict)] if isinstance(states, list) else []
