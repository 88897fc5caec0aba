# SPDX-License-Identifier: GPL-3.0-or-later
"""The source: what a stream has, in its order, from where the journal says that it has come.

It is for an archive that one btcore keeps. Whose readings are taken can be said; what cannot be read is reported and
passed over, as it will never be read.
"""

import json
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from threading import Event
from typing import Any, TypeVar

import attrs
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from btcore import (
    Context,
    Reading,
    SourceCheckpoint,
    hookimpl,
    plugin,
    setting,
)
from btmon_nats.asking import fetch
from btmon_nats.connection import Connection
from btmon_nats.login import Login
from btmon_nats.messages import NotAMessage, decode
from btmon_nats.refusals import meaning
from btmon_nats.stream import partitions_of
from btmon_nats.subjects import all_subjects, publisher_of

T = TypeVar("T")

FETCH = 64
"""Messages asked for at once."""

POLL = 1.0
"""Seconds that new messages are waited for, and until a stop is noticed."""

INACTIVE = 300.0
"""Seconds after which the server forgets a reader that has gone."""


@plugin(api=1)
class NatsStream(Login):
    """Collects the readings of a stream of NATS JetStream, which `nats` sinks publish."""

    publishers: dict[str, list[str]] = setting(
        factory=dict,
        help="who may publish, and readings of which meters; left out: everybody, of every meter",
        example='{ house-1 = ["01000777"], house-2 = ["01000778", "412345"] }',
    )

    @property
    def inbox(self) -> str:
        """Where answers to an archive come."""
        return "_INBOX_ARCHIVE"

    @hookimpl
    def open(self, context: Context) -> None:
        """Connect, and see that the stream is there. Raises Retry or Stop."""
        self._log = context.log
        self._once = context.once
        self._refused: Counter[str] = Counter()
        self._connection = Connection(self, f"btcore {context.name}")
        self._try(lambda stream: partitions_of(stream, self.stream))
        info = self._try(lambda stream: stream.stream_info(self.stream))
        self._made = info.created.isoformat() if info.created else ""
        self._next = self._resume(_read_checkpoint(context.checkpoint), info.state.last_seq)

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Reading | SourceCheckpoint]:
        """Yield the readings of each message, and how far that is. Raises Retry or Stop."""
        reader = self._try(self._subscribe)
        while not stop.is_set():
            messages = self._try(lambda _stream: fetch(reader, FETCH, POLL))
            for message in messages:
                sequence = message.metadata.sequence.stream
                self._look_for_gap(sequence)
                yield from self._readings(message)
                self._next = sequence + 1
            if messages:  # once for all of these: each is a commit of the journal
                made = {"stream": self.stream, "made": self._made}
                yield SourceCheckpoint(json.dumps({**made, "sequence": self._next - 1}))
            if self._once and not messages:
                return

    @hookimpl
    def close(self) -> None:
        """Disconnect."""
        if hasattr(self, "_connection"):
            self._connection.close()

    def _resume(self, checkpoint: Mapping[str, Any], last: int) -> int:
        """Return the number of the message to begin with: the first one, where the stream was made anew since."""
        sequence = checkpoint.get("sequence", 0)
        made = checkpoint.get("made", self._made)
        if not isinstance(sequence, int) or sequence > last or made != self._made:
            self._log.warning(
                "stream %s was made anew since it was read last: it is read from its beginning", self.stream
            )
            return 1
        return sequence + 1

    def _readings(self, message: Msg) -> Iterator[Reading]:
        publisher = publisher_of(message.subject)
        try:
            readings = decode(message.data)
        except NotAMessage as error:
            which = f"message {message.metadata.sequence.stream} of publisher {publisher}"
            self._report(f"{which} is passed over: {error}", publisher)
            return
        allowed = self.publishers.get(publisher)
        for reading in readings:
            if self.publishers and (allowed is None or reading.serial not in allowed):
                whose = f"meter {reading.serial} by publisher {publisher}"
                self._report(f"readings of {whose} are refused: `publishers` does not have it", whose)
            else:
                yield _from(reading, publisher)

    def _report(self, text: str, kind: str) -> None:
        """Warn once of a kind, and at each ten times as many."""
        self._refused[kind] += 1
        count = self._refused[kind]
        if count == 10 ** (len(str(count)) - 1):
            self._log.warning("%s (%d so far)", text, count)

    def _look_for_gap(self, sequence: int) -> None:
        """Say where the stream has dropped messages before they were read: their publishers may have them still."""
        if sequence > self._next:
            text = "stream %s has dropped messages %d to %d before they were read; `btcore replay` at their publishers"
            self._log.error(text + " brings the readings back", self.stream, self._next, sequence - 1)

    async def _subscribe(self, stream: JetStreamContext) -> JetStreamContext.PullSubscription:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._next,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=INACTIVE,
            mem_storage=True,
        )
        return await stream.pull_subscribe(all_subjects(self.stream), stream=self.stream, config=config)

    def _try(self, work: Callable[[JetStreamContext], Coroutine[Any, Any, T]]) -> T:
        try:
            return self._connection.use(work)
        except Exception as error:  # noqa: BLE001 - whatever the client meets
            raise meaning(error, self.stream, self.address, self._connection.denials.take()) from None


def _read_checkpoint(checkpoint: str) -> Mapping[str, Any]:
    try:
        found = json.loads(checkpoint or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _from(reading: Reading, publisher: str) -> Reading:
    """Return a reading whose address says who published it, and which way it came to that one."""
    address = f"{publisher}/{reading.address}" if reading.address else publisher
    return attrs.evolve(reading, address=address)
