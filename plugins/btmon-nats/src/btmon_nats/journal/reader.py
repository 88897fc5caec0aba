# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a part of the stream in its order, ahead of whoever asks; what was read last stays at hand.

A consumer of the cluster sends it, in large portions; the cluster keeps nothing about it. Each message says which one
of its consumer it is, so that one that went astray is noticed. Whether there is more is not decided here: a consumer
may be on a server that lags behind.
"""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Condition

from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from btcore.journal import Entry, Lag, Offset
from btmon_nats.asking import fetch
from btmon_nats.journal.cluster import Cluster
from btmon_nats.journal.offsets import end_of, sequence_of

FETCH = 64
"""Messages asked for at once."""

POLL = 5.0
"""Seconds that one request waits for a message."""

INACTIVE = 60.0
"""Seconds after which the server forgets a reader that has gone."""

AHEAD = 1500
"""Entries that are read before they are asked for."""

BEHIND = 1500
"""Entries that stay at hand after they were given out."""

Make = Callable[[bytes, int, str], list[Entry]]
"""Makes the entries of a message: its bytes, its number, its subject."""


class Reader:
    """The entries after an offset. `floor`: all after it, up to `head`, is at hand. Safe between threads."""

    def __init__(self, cluster: Cluster, subjects: str, after: Offset, make: Make, changed: Condition) -> None:
        """Begin to read. `changed` is notified when more is at hand. Raises Unavailable."""
        self.floor = after
        self.head = after
        self.pending: int | None = None
        """Messages that are not at hand yet, as the cluster said last; None before it said anything."""
        self.failure = ""
        self._after = after
        self._cluster = cluster
        self._subjects = subjects
        self._make = make
        self._changed = changed
        self._entries: deque[Entry] = deque()
        self._given = after
        self._count = 0
        self._bytes = 0
        self._messages = 0
        self._more = asyncio.Event()
        self._task: Future[None] = cluster.begin(self._run)
        self._task.add_done_callback(self._ended)

    def close(self) -> None:
        """End it."""
        self.failure = self.failure or "it was closed"
        self._task.cancel()

    # --- with `changed` held

    def has(self, after: Offset) -> bool:
        """Whether the entries after an offset are at hand, or will be next."""
        return not self.failure and self.floor <= after <= max(self.head, self.floor)

    def take(self, after: Offset, limit: int) -> list[Entry]:
        """Return the entries after an offset that are at hand, at most so many; those before it may go."""
        at = bisect_right(self._entries, after, key=_offset)
        found = [self._entries[index] for index in range(at, min(at + limit, len(self._entries)))]
        self._given = max(self._given, found[-1].offset if found else after)
        self._forget()
        return found

    def lag(self, after: Offset) -> Lag:
        """Return what comes after an offset; what is not at hand yet is reckoned by what is."""
        at = bisect_right(self._entries, after, key=_offset)
        size = sum(len(self._entries[index].raw) for index in range(at, len(self._entries)))
        oldest = self._entries[at].key if at < len(self._entries) else 0
        count, messages, pending = len(self._entries) - at, max(self._messages, 1), self.pending or 0
        more, bytes_more = pending * self._count // messages, pending * self._bytes // messages
        return Lag(count + max(more, pending), size + bytes_more, oldest)

    def is_full(self) -> bool:
        """Whether it reads no more before some is taken."""
        return len(self._entries) - bisect_right(self._entries, self._given, key=_offset) >= AHEAD

    def _forget(self) -> None:
        given = bisect_right(self._entries, self._given, key=_offset)
        while given > BEHIND:
            self.floor = self._entries.popleft().offset
            given -= 1
        self._cluster.call_soon(self._more.set)

    def _add(self, entries: list[Entry], sequence: int, pending: int) -> None:
        new = [entry for entry in entries if entry.offset > self._after]
        self._entries.extend(new)
        self.head, self.pending = end_of(sequence), pending
        self._count += len(entries)
        self._bytes += sum(len(entry.raw) for entry in entries)
        self._messages += 1

    # --- in the client's thread

    async def _run(self, stream: JetStreamContext) -> None:
        with suppress(ConnectionClosedError):  # nothing is left to end; whoever reads is told
            await self._receive_all(stream)

    async def _receive_all(self, stream: JetStreamContext) -> None:
        subscription = await self._subscribe(stream)
        expected = 1
        try:
            while True:
                for message in await fetch(subscription, FETCH, POLL):
                    if message.metadata.sequence.consumer != expected:
                        raise ValueError("a message went astray")
                    expected += 1
                    self._receive(message)
                await self._wait_for_room()
        finally:
            await subscription.unsubscribe()

    async def _subscribe(self, stream: JetStreamContext) -> JetStreamContext.PullSubscription:
        name = self._cluster.login.stream
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=max(sequence_of(self._after), 1),
            ack_policy=AckPolicy.NONE,
            filter_subject=self._subjects,
            inactive_threshold=INACTIVE,
            mem_storage=True,
        )
        info = await stream.add_consumer(name, config=config)
        with self._changed:
            self.pending = info.num_pending or 0
            self._changed.notify_all()
        return await stream.pull_subscribe_bind(consumer=info.name, stream=name)

    def _receive(self, message: Msg) -> None:
        sequence = message.metadata.sequence.stream
        entries = self._make(message.data, sequence, message.subject)
        with self._changed:
            self._add(entries, sequence, message.metadata.num_pending)
            self._changed.notify_all()

    async def _wait_for_room(self) -> None:
        while True:
            self._more.clear()
            with self._changed:
                if not self.is_full():
                    return
            await self._more.wait()

    def _ended(self, task: Future[None]) -> None:
        error = None if task.cancelled() else task.exception()
        with self._changed:
            self.failure = self.failure or (str(error) if error else "") or "the connection has ended"
            self._changed.notify_all()


def _offset(entry: Entry) -> Offset:
    return entry.offset
