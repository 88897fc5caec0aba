# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stream has of one publisher: the serial numbers and keys of its readings from a time on.

It is read through a consumer whose name and subjects the server can hold a publisher to, so that one sees its own
messages alone.
"""

from array import array
from bisect import bisect_right
from contextlib import suppress
from datetime import datetime, timedelta

import attrs
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from btcore import Reject
from btmon_nats.asking import fetch
from btmon_nats.messages import EPOCH, NotAMessage, decode

FETCH = 64
"""Messages asked for at once."""

INACTIVE = 60.0
"""Seconds after which the server forgets a reader that has gone."""

MARGIN = timedelta(hours=1)
"""A message is stored after its readings came in; by how much the clocks of both may differ."""

MAX_READINGS = 2_000_000
"""Of a span that can be looked at at once; each takes sixteen bytes."""


def consumer_name(publisher: str) -> str:
    """Return the name of the consumer by which a publisher reads its own messages."""
    return f"gaps-{publisher}"


@attrs.define
class Keys:
    """The keys of one meter's readings, each with the number of the message that had it last."""

    keys: "array[int]" = attrs.field(factory=lambda: array("q"))
    messages: "array[int]" = attrs.field(factory=lambda: array("q"))
    _is_sorted: bool = attrs.field(default=True, init=False)

    def add(self, key: int, message: int) -> None:
        """Add one; messages come in their order."""
        self._is_sorted = self._is_sorted and (not self.keys or self.keys[-1] <= key)
        self.keys.append(key)
        self.messages.append(message)

    def message_of(self, key: int) -> int:
        """Return the last message that had a key; 0 where none had."""
        if not self._is_sorted:
            pairs = sorted(zip(self.keys, self.messages, strict=True))
            self.keys, self.messages = (array("q", column) for column in zip(*pairs, strict=True))
            self._is_sorted = True
        at = bisect_right(self.keys, key) - 1
        return self.messages[at] if at >= 0 and self.keys[at] == key else 0


@attrs.define
class Published:
    """The readings of a publisher that a stream has. It is read on whenever it is asked."""

    stream: str
    publisher: str
    timeout: float
    _known: dict[str, Keys] = attrs.field(factory=dict, init=False)
    _count: int = attrs.field(default=0, init=False)
    _since: int | None = attrs.field(default=None, init=False)
    _next: int = attrs.field(default=0, init=False)
    _first: int = attrs.field(default=0, init=False)
    _made: datetime | None = attrs.field(default=None, init=False)

    def has(self, serial: str, key: int) -> bool:
        """Whether the stream had a reading when it was read last."""
        return serial in self._known and self._known[serial].message_of(key) >= max(self._first, 1)

    async def read(self, stream: JetStreamContext, since: int) -> None:
        """Read what was published since a key, or since this was called last. Raises Reject, and as the client does."""
        info = await stream.stream_info(self.stream)
        if self._since is None or since < self._since or info.created != self._made:
            self._forget()
            self._since = since
        self._made, self._first = info.created, info.state.first_seq  # what was before it is dropped
        name = consumer_name(self.publisher)
        with suppress(NotFoundError):  # that of a run before
            await stream.delete_consumer(self.stream, name)
        consumer = await stream.add_consumer(self.stream, self._consumer(name))
        reader = await stream.pull_subscribe_bind(consumer=name, stream=self.stream)
        try:
            pending = consumer.num_pending or 0
            while pending:
                if not (messages := await fetch(reader, FETCH, self.timeout)):
                    raise NatsTimeout
                for message in messages:
                    sequence = message.metadata.sequence.stream
                    self._add(message.data, sequence)
                    self._next, pending = sequence + 1, message.metadata.num_pending
        finally:
            await reader.unsubscribe()
        await stream.delete_consumer(self.stream, name)

    def _forget(self) -> None:
        self._since, self._next, self._count = None, 0, 0
        self._known.clear()

    def _consumer(self, name: str) -> ConsumerConfig:
        start = EPOCH + timedelta(microseconds=self._since or 0) - MARGIN
        return ConsumerConfig(
            name=name,
            filter_subject=f"{self.stream}.*.{self.publisher}",
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE if self._next else DeliverPolicy.BY_START_TIME,
            opt_start_seq=self._next or None,
            opt_start_time=None if self._next else max(start, EPOCH),
            ack_policy=AckPolicy.NONE,
            inactive_threshold=INACTIVE,
            mem_storage=True,
            num_replicas=1,
        )

    def _add(self, data: bytes, message: int) -> None:
        with suppress(NotAMessage):  # it has no reading; the archive reports it
            for one in decode(data):
                self._known.setdefault(one.serial, Keys()).add(one.key, message)
                self._count += 1
        if self._count > MAX_READINGS:
            self._forget()
            raise Reject(
                f"the stream has more than {MAX_READINGS:,} readings of this span: name a shorter one, by --from"
            )
