# SPDX-License-Identifier: GPL-3.0-or-later
"""A sink worker at work on a journal: what it delivers, how far it comes, and what its service refuses."""

import logging
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any, Self

import attrs

from btcore import Batch, Context, Delivery, Polarity, Reject
from btcore.calculate.sampling import SampleCache
from btcore.config.site import Sink
from btcore.decode.decoders import Decoders
from btcore.journal import Checkpoint, Journal
from btcore.sinks.worker import SinkWorker
from btcore.testing.kit.waiting import PATIENCE
from btcore.values.fingerprint import fingerprint
from helpers.fake_plugins import FAST_RETRY
from helpers.journal_entries import entry
from helpers.packets import DECODERS, METER

SINK_TABLE = "sink.roof"
"""The table of a sink that is given no other name."""


@attrs.define
class RunningSink:
    """A sink worker at work on a journal; it stops, and is waited for, at the end of the block.

    Its sink has an `instance` of a plugin and `settings` of the core's. Or it is `sink`.
    """

    journal: Journal
    instance: Any
    sink: Sink | None = None
    name: str = "roof"
    split_from: str = ""
    hosted: bool = False
    dry_run: bool = False
    decoders: Decoders = DECODERS
    polarity: Polarity = "brultech"
    settings: dict[str, Any] = attrs.field(factory=dict)
    shown: list[str] = attrs.field(factory=list)
    redact: Callable[[str], str] = str
    stop: Event = attrs.field(factory=Event)
    drain: Event = attrs.field(factory=Event)
    worker: SinkWorker = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make the worker."""
        sink = self.sink or self._sink()
        polarity = sink.delivery.polarity or self.polarity
        log = logging.getLogger(sink.table)
        self.worker = SinkWorker(
            sink,
            self.journal,
            self.decoders,
            SampleCache(),
            Context(sink.table, log, polarity=polarity, interval=sink.delivery.interval, dry_run=self.dry_run),
            stop=self.stop,
            drain=self.drain,
            redact=self.redact,
            out=self.shown.append,
        )

    def _sink(self) -> Sink:
        delivery = Delivery(**{**FAST_RETRY, **self.settings})
        return Sink(self.name, f"sink.{self.name}", "recorder", self.instance, delivery, self.split_from, self.hosted)

    def __enter__(self) -> Self:
        """Begin."""
        self.worker.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and wait for the end."""
        self._end(self.stop)

    def finish(self) -> None:
        """Let it deliver everything, and wait for its end."""
        self._end(self.drain)

    def _end(self, why: Event) -> None:
        why.set()
        self.journal.wake()
        self.worker.thread.join(PATIENCE)
        assert not self.worker.thread.is_alive()


def fill_journal(journal: Journal, count: int, serial: str = METER, first: int = 0) -> None:
    """Append so many readings of a meter that uses 100 W, ten seconds apart; the first is its number `first`."""
    journal.append([entry(10 * n, serial, energy=1000 * n) for n in range(first, first + count)])


def deliver_all(journal: Journal, instance: object, **settings: Any) -> RunningSink:  # noqa: ANN401 - of any kind
    """Deliver all that is in the journal to an instance of a plugin; return the worker that has done it."""
    with RunningSink(journal, instance, settings=settings) as work:
        work.finish()
    return work


def mark_accepted(journal: Journal, instance: object, sink: str = SINK_TABLE) -> None:
    """Note in a sink's checkpoint that its service has accepted something with the settings that it has."""
    marks = fingerprint(instance, ())
    journal.commit(sink, Checkpoint(settings=marks.choosing, accepted=marks.all))


def examined_offset(journal: Journal, sink: str = SINK_TABLE) -> int:
    """Return the offset up to which a sink has examined the journal."""
    return (journal.checkpoint(sink) or Checkpoint()).examined


def sink_offset(journal: Journal, sink: str = SINK_TABLE) -> int:
    """Return the offset of a sink's checkpoint."""
    return (journal.checkpoint(sink) or Checkpoint()).offset


def batch_sizes(batches: Sequence[Batch]) -> list[int]:
    """Return how many readings each batch had."""
    return [len(batch.readings) for batch in batches]


def refuse_offsets(*offsets: int) -> Callable[[Batch], None]:
    """Make the answer of a service that refuses every batch with one of these readings in it."""

    def answer(batch: Batch) -> None:
        if any(reading.offset in offsets for reading in batch.readings):
            raise Reject("400: a bad row")

    return answer
