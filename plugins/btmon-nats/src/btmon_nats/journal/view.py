# SPDX-License-Identifier: GPL-3.0-or-later
"""The reading side of a journal that is a stream: of all of it, or of one partition.

Readers read ahead, from any server of the cluster. That nothing comes after an offset is believed of the stream's
leader alone: whoever believed it of a server that lags behind would pass over readings.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from contextlib import suppress
from threading import Condition, Lock

from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg, StreamState
from nats.js.errors import NotFoundError

from btcore.journal import START, Entry, EntrySize, HeardMeter, Lag, Offset, Unavailable
from btmon_nats.journal.cluster import Cluster, MissingError
from btmon_nats.journal.entries import Trust, entries_of
from btmon_nats.journal.offsets import end_of, sequence_of
from btmon_nats.journal.reader import Reader
from btmon_nats.subjects import subjects_of

READERS = 3
"""Places of the stream at which one may read at once: the live delivery, a replay, and one more."""

MESSAGES = 32
"""Messages of up to 100 entries that are kept at hand, for what lies near each other."""

AT_ONCE = 64
"""Messages asked for at once."""

PORTION = 500
"""Entries read at once."""

MAX_METERS = 200_000
"""Meters, by their packet formats, that are remembered."""


class Heard:
    """The meters that were heard, of all partitions; the last heard is the last one. Safe between threads."""

    def __init__(self) -> None:
        """Begin with none."""
        self._meters: OrderedDict[tuple[str, str], Offset] = OrderedDict()
        self._lock = Lock()

    def add(self, entries: Sequence[Entry], offset: Offset | None = None) -> None:
        """Take note of entries; `offset` 0: of an earlier run."""
        with self._lock:
            for entry in entries:
                meter = entry.serial, entry.format
                self._meters[meter] = entry.offset if offset is None else offset
                self._meters.move_to_end(meter)
            while len(self._meters) > MAX_METERS:
                self._meters.popitem(last=False)

    def all(self) -> list[HeardMeter]:
        """Return them."""
        with self._lock:
            return [HeardMeter(*meter, offset) for meter, offset in self._meters.items()]


class View:
    """What is read of the stream, or of one partition. Safe between threads. All but `wait` raise Unavailable."""

    def __init__(self, cluster: Cluster, trust: Trust, heard: Heard, partition: int | None = None) -> None:
        """Prepare; nothing is read yet. `partition` None: all of it."""
        self._cluster = cluster
        self._stream = cluster.login.stream
        self._subjects = subjects_of(self._stream, partition)
        self._partitions = trust.partitions if partition is not None else 1
        self._trust = trust
        self._heard = heard
        self._changed = Condition()
        self._readers: list[Reader] = []
        self._messages: OrderedDict[int, list[Entry]] = OrderedDict()
        self._newest: Offset = START
        self._woken = 0

    def close(self) -> None:
        """End all reading."""
        for reader in self._readers:
            reader.close()
        self.wake()

    def restart(self) -> None:
        """Forget what was read: the stream is another one."""
        with self._changed:
            left, self._readers = self._readers, []
            self._messages.clear()
            self._newest = START
        for reader in left:
            reader.close()
        self.wake()

    # --- in order

    def read(self, after: Offset, limit: int) -> list[Entry]:
        """Return the entries after an offset, at most `limit`; fewer only where there are no more."""
        end = time.monotonic() + self._cluster.login.timeout
        while True:
            reader = self._reader(after)
            with self._changed:
                found, head, failure = reader.take(after, limit), reader.head, reader.failure
                newest = self._newest
            if failure:
                self._drop(reader)
                raise Unavailable(f"the stream cannot be read: {failure}")
            if len(found) >= limit or (sequence_of(head) >= sequence_of(newest) and self._is_last(head)):
                return found
            if not self._await_more(reader, head, end):
                if self._is_trimmed(newest) and self._is_last(head):
                    return found
                self._drop(reader)
                raise Unavailable(f"a server of the stream at {self._cluster.login.address} lags behind the others")

    def sizes(self, after: Offset, limit: int) -> list[EntrySize]:
        """Return the sizes of the entries after an offset."""
        return [EntrySize(one.offset, one.key, len(one.raw)) for one in self.read(after, limit)]

    def lag(self, after: Offset) -> Lag:
        """Return what comes after an offset: counted as far as it is at hand, and reckoned beyond that."""
        end = time.monotonic() + self._cluster.login.timeout
        reader = self._reader(after)
        with self._changed:
            while not reader.failure and not reader.is_full() and self._is_behind(reader):
                if not self._changed.wait(max(end - time.monotonic(), 0)):
                    break
            if not reader.failure:
                return reader.lag(after)
        self._drop(reader)
        raise Unavailable(f"the stream cannot be read: {reader.failure}")

    def _is_behind(self, reader: Reader) -> bool:
        return reader.pending is None or reader.pending > 0 or sequence_of(reader.head) < sequence_of(self._newest)

    def _reader(self, after: Offset) -> Reader:
        """Return the reader that has an offset at hand, or a new one; the one that was used longest ago ends."""
        with self._changed:
            broken = [one for one in self._readers if one.failure]
            self._readers = [one for one in self._readers if not one.failure]
            for reader in self._readers:
                if reader.has(after):
                    self._readers.remove(reader)
                    self._readers.append(reader)
                    return reader
        for one in broken:
            one.close()
        reader = Reader(self._cluster, self._subjects, after, self._made, self._changed)
        with self._changed:
            self._readers.append(reader)
            left, self._readers = self._readers[:-READERS], self._readers[-READERS:]
        for one in left:
            one.close()
        return reader

    def _drop(self, reader: Reader) -> None:
        reader.close()
        with self._changed:
            self._readers = [one for one in self._readers if one is not reader]

    def _made(self, data: bytes, sequence: int, subject: str) -> list[Entry]:
        """Make the entries of a message that has come in."""
        entries = entries_of(data, sequence, subject, self._trust)
        self._heard.add(entries)
        self.found(entries[-1].offset if entries else START)
        return entries

    def found(self, newest: Offset) -> None:
        """Take note of an offset that there is."""
        with self._changed:
            if newest > self._newest:
                self._newest = newest
                self._changed.notify_all()

    def _await_more(self, reader: Reader, head: Offset, end: float) -> bool:
        with self._changed:
            return self._changed.wait_for(
                lambda: reader.head > head or bool(reader.failure), max(end - time.monotonic(), 0)
            )

    def _is_last(self, head: Offset) -> bool:
        """Ask the leader whether there is no message after an offset."""
        sequence = sequence_of(head) + 1
        try:
            self._cluster.use(lambda stream: stream.get_msg(self._stream, sequence, self._subjects, next=True))
        except MissingError:
            return True
        return False

    def _is_trimmed(self, newest: Offset) -> bool:
        """Whether the stream has dropped an entry that was the newest."""
        return self.state().first_seq > sequence_of(newest)

    # --- waiting

    def wait(self, after: Offset, timeout: float) -> bool:
        """Wait until there is an entry after an offset; where the stream cannot be read, for the time."""
        end, woken = time.monotonic() + timeout, self._woken
        with suppress(Unavailable):  # whoever reads says why
            self._reader(after)
        with self._changed:
            self._changed.wait_for(lambda: self._newest > after or self._woken != woken, max(end - time.monotonic(), 0))
            return self._newest > after

    def wake(self) -> None:
        """Make every `wait` return now."""
        with self._changed:
            self._woken += 1
            self._changed.notify_all()

    # --- by offset

    def get(self, offsets: Sequence[Offset]) -> list[Entry]:
        """Return the entries at these offsets."""
        wanted = dict.fromkeys(sequence_of(offset) for offset in offsets)
        found: dict[Offset, Entry] = {}
        missing = []
        for sequence in wanted:
            if sequence in self._messages:
                found |= {one.offset: one for one in self._messages[sequence]}
            elif sequence > 0:
                missing.append(sequence)
        for at in range(0, len(missing), AT_ONCE):
            for entries in self._ask(missing[at : at + AT_ONCE]):
                found |= {one.offset: one for one in entries}
        return [found[offset] for offset in offsets if offset in found]

    def _ask(self, sequences: Sequence[int]) -> list[list[Entry]]:
        async def one(stream: JetStreamContext, sequence: int) -> RawStreamMsg | None:
            try:
                return await stream.get_msg(self._stream, sequence)
            except NotFoundError:
                return None

        async def all_of_them(stream: JetStreamContext) -> list[RawStreamMsg | None]:
            return await asyncio.gather(*(one(stream, sequence) for sequence in sequences))

        found = self._cluster.use(all_of_them)
        made = [self._of_raw(message) for message in found if message is not None]
        with self._changed:
            for entries in made:
                if entries:
                    self._messages[sequence_of(entries[0].offset)] = entries
            while len(self._messages) > MESSAGES:
                self._messages.popitem(last=False)
        return made

    def _of_raw(self, message: RawStreamMsg) -> list[Entry]:
        return entries_of(message.data or b"", message.seq or 0, message.subject or "", self._trust)

    def recent(self, until: Offset, limit: int) -> list[Entry]:
        """Return the last entries up to an offset: looked for in a span before it, that grows until it has them."""
        if limit == 1 and until >= self._newest and (found := self.get([self._newest])):
            return found
        first, span = max(self.state().first_seq, 1), max(limit // 16, 8) * self._partitions
        while True:
            start = max(sequence_of(until) - span, first - 1)
            entries = self._between(end_of(start) if start else START, until, limit)
            if len(entries) >= limit or start <= first - 1:
                return entries
            span *= 8

    def _between(self, after: Offset, until: Offset, limit: int) -> list[Entry]:
        last: deque[Entry] = deque(maxlen=limit)
        while found := self.read(after, PORTION):
            last.extend(one for one in found if one.offset <= until)
            after = found[-1].offset
            if after >= until:
                break
        return list(last)

    # --- what there is

    def state(self) -> StreamState:
        """Return what the leader says of the stream."""
        return self._cluster.use(lambda stream: stream.stream_info(self._stream)).state

    def newest(self) -> Offset:
        """Return the newest offset, as far as is known: nobody is asked."""
        return self._newest

    def refresh(self) -> None:
        """Ask the leader for the newest entry."""
        try:
            message = self._cluster.use(lambda stream: stream.get_msg(self._stream, subject=self._subjects))
        except MissingError:
            return
        entries = self._of_raw(message)
        self.found(entries[-1].offset if entries else START)

    def kept_after(self) -> Offset:
        """Return the end of what the stream has dropped."""
        first = self.state().first_seq
        return end_of(first - 1) if first > 1 else START

    def note_heard(self, entries: Sequence[Entry]) -> None:
        """Take note of the meters of entries of an earlier run."""
        self._heard.add(entries, START)

    def heard_meters(self) -> list[HeardMeter]:
        """Return which meters were heard in this run, and just before it."""
        return self._heard.all()
