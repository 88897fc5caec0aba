# SPDX-License-Identifier: GPL-3.0-or-later
"""Appending to the stream what this program's own sources read: each reading once, of several programs too.

What the partition had last is known here, and a message is taken only where nothing came after that: so a key that is
taken is seen, whoever took it. What lies further back than the window is not known any more.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import groupby
from threading import Lock

import attrs
from nats.js import JetStreamContext
from nats.js.api import Header

from btcore.journal import START, Appended, Entry, Offset, Unavailable
from btmon_nats.journal.cluster import ChangedMeanwhileError, Cluster
from btmon_nats.journal.entries import OWN, message_of
from btmon_nats.journal.offsets import end_of, offset_of, sequence_of
from btmon_nats.journal.view import View
from btmon_nats.messages import MAX_READINGS
from btmon_nats.subjects import partition_of, subject_of, subjects_of

WINDOW = 5000
"""Readings of a partition among which one that comes again is known."""

TRIES = 20
"""How often a message is tried while others append to its partition."""

PORTION = 500

EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"
"""The subjects of which nothing may have come since: JetStream's, from 2.12 on."""


class Partition:
    """The end of one partition: the keys of its last readings, and the number of its last message."""

    def __init__(self, view: View, number: int) -> None:
        """Prepare; the first use reads the window."""
        self.number = number
        self._view = view
        self.last: Offset | None = None
        self._keys: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def catch_up(self) -> None:
        """Read what others have appended. Raises Unavailable."""
        if self.last is None:
            self._view.refresh()
            newest = self._view.newest()
            self._add(self._view.recent(newest, WINDOW) if newest else [])
            self.last = end_of(sequence_of(newest)) if newest else START
        while found := self._view.read(self.last, PORTION):
            self.appended(found)

    def appended(self, entries: Sequence[Entry]) -> None:
        """Take note of entries that were appended."""
        self._add(entries)
        self._view.found(entries[-1].offset)
        self.last = end_of(sequence_of(entries[-1].offset))

    def _add(self, entries: Sequence[Entry]) -> None:
        self._keys.update({(one.serial, one.key): one.raw for one in entries})
        while len(self._keys) > WINDOW:
            self._keys.popitem(last=False)

    def sort_out(self, entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
        """Return those that are new, and those from the first taken key on."""
        fresh: dict[tuple[str, int], bytes] = {}
        new: list[Entry] = []
        for at, entry in enumerate(entries):
            identity = entry.serial, entry.key
            known = fresh.get(identity) or self._keys.get(identity)
            if known is None:
                fresh[identity] = entry.raw
                new.append(entry)
            elif known != entry.raw:
                return new, list(entries[at:])
        return new, []


class Appending:
    """Appends entries; one thread at a time."""

    def __init__(self, cluster: Cluster, partitions: int, view_of: Callable[[int], View]) -> None:
        """Prepare; nothing is read yet. `view_of` reads a partition."""
        self._cluster = cluster
        self._stream = cluster.login.stream
        self._count = partitions
        self._view_of = view_of
        self._lock = Lock()
        self.restart()

    def restart(self) -> None:
        """Forget what the partitions had: the stream is another one."""
        with self._lock:
            self._partitions = {number: Partition(self._view_of(number), number) for number in range(self._count)}

    def append(self, entries: Sequence[Entry]) -> Appended:
        """Keep entries up to the first whose key is taken. A message is kept or not; several, in their order."""
        waiting = list(entries)
        if any(entry.boot < 0 for entry in waiting):
            raise Unavailable("this computer's clock is not set, and a reading in the stream gets no other time later")
        kept: list[Entry] = []
        with self._lock:
            while waiting:
                run = self._run_of(waiting)
                new, rest = self._append_run(self._partitions[self._partition_of(run[0])], run)
                kept += new
                waiting = waiting[len(run) :]
                if rest:
                    return Appended(kept, [*rest, *waiting])
        return Appended(kept)

    def _partition_of(self, entry: Entry) -> int:
        return partition_of(entry.serial, self._count)

    def _run_of(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the first entries that fit in one message."""
        _, run = next(groupby(entries, self._partition_of))
        return list(run)[:MAX_READINGS]

    def _append_run(self, partition: Partition, run: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
        for _ in range(TRIES):
            if partition.last is None:
                partition.catch_up()
            new, rest = partition.sort_out(run)
            if not new:
                return [], rest
            try:
                sequence = self._publish(partition, new)
            except ChangedMeanwhileError:
                partition.catch_up()
                continue
            except Unavailable:
                partition.last = None  # whether it was stored is not known
                raise
            done = [attrs.evolve(one, offset=offset_of(sequence, index)) for index, one in enumerate(new)]
            partition.appended(done)
            return done, rest
        raise Unavailable(f"others append to partition {partition.number} of stream {self._stream} all the time")

    def _publish(self, partition: Partition, entries: Sequence[Entry]) -> int:
        subject, message = subject_of(self._stream, partition.number, OWN), message_of(entries)
        headers = {
            Header.EXPECTED_LAST_SUBJECT_SEQUENCE: str(sequence_of(partition.last or START)),
            EXPECTED_SUBJECT: subjects_of(self._stream, partition.number),
        }

        async def publish(stream: JetStreamContext) -> int:
            done = await stream.publish(subject, message, stream=self._stream, headers=headers)
            return done.seq

        return self._cluster.use(publish)
