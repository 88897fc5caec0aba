# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stream has of one publisher: the serial numbers and keys of its readings from a time on.

It is read through a consumer whose name and subjects the server can hold a publisher to, so that one sees its own
messages alone.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta

import attrs
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from btcore import Reject
from btmon_nats.messages import EPOCH, NotAMessage, decode

FETCH = 64
"""Messages asked for at once."""

INACTIVE = 60.0
"""Seconds after which the server forgets a reader that has gone."""

MARGIN = timedelta(hours=1)
"""A message is stored after its readings came in; by how much the clocks of both may differ."""

MAX_READINGS = 4_000_000
"""Of a span that can be looked at at once; each takes eight bytes."""


def consumer_name(publisher: str) -> str:
    """Return the name of the consumer by which a publisher reads its own messages."""
    return f"gaps-{publisher}"


@attrs.define
class Published:
    """The readings of a publisher that a stream has. It is read on whenever it is asked."""

    stream: str
    publisher: str
    timeout: float
    _known: dict[str, "array[int]"] = attrs.field(factory=dict, init=False)
    _sorted: set[str] = attrs.field(factory=set, init=False)
    _since: int | None = attrs.field(default=None, init=False)
    _next: int = attrs.field(default=0, init=False)

    def has(self, serial: str, key: int) -> bool:
        """Whether the stream had a reading when it was read last."""
        keys = self._known.get(serial)
        if keys is None:
            return False
        if serial not in self._sorted:
            keys = self._known[serial] = array("q", sorted(keys))
            self._sorted.add(serial)
        at = bisect_left(keys, key)
        return at < len(keys) and keys[at] == key

    async def read(self, stream: JetStreamContext, since: int) -> None:
        """Read what was published since a key, or since this was called last. Raises Reject, and as the client does."""
        if self._since is None or since < self._since:
            self._since, self._next = since, 0
            self._known.clear()
        name = consumer_name(self.publisher)
        with suppress(NotFoundError):  # that of a run before
            await stream.delete_consumer(self.stream, name)
        consumer = await stream.add_consumer(self.stream, self._consumer(name))
        reader = await stream.pull_subscribe_bind(consumer=name, stream=self.stream)
        pending = consumer.num_pending or 0
        while pending:
            try:
                messages = await reader.fetch(FETCH, timeout=self.timeout)
            except (NatsTimeout, TimeoutError):
                break
            for message in messages:
                self._add(message.data)
                self._next, pending = message.metadata.sequence.stream + 1, message.metadata.num_pending
        await reader.unsubscribe()
        await stream.delete_consumer(self.stream, name)

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

    def _add(self, data: bytes) -> None:
        with suppress(NotAMessage):  # it has no reading; the archive reports it
            self._remember((one.serial, one.key) for one in decode(data))

    def _remember(self, readings: Iterable[tuple[str, int]]) -> None:
        for serial, key in readings:
            self._known.setdefault(serial, array("q")).append(key)
            self._sorted.discard(serial)
        if sum(map(len, self._known.values())) > MAX_READINGS:
            self._since = None
            raise Reject(
                f"the stream has more than {MAX_READINGS:,} readings of this span: name a shorter one, by --from"
            )
