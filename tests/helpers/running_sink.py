"""A sink worker at work on a journal: what it delivers, how far it comes, and what its service refuses."""

import logging
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any, Self

import attrs

from btcore import Batch, Context, Delivery, Reject
from btcore.calculate.sampling import SampleCache
from btcore.config.site import Sink
from btcore.decode.decoders import Decoders
from btcore.journal import Checkpoint, Journal
from btcore.journal.sqlite import SqliteJournal
from btcore.sinks.worker import SinkWorker
from btcore.values.fingerprint import fingerprint
from helpers.journal_entries import entry
from helpers.packets import DECODERS, METER
from helpers.sites import FAST_RETRY


@attrs.define
class RunningSink:
    """A sink worker at work on a journal; it stops, and is waited for, at the end of the block."""

    journal: Journal
    instance: Any
    name: str = "roof"
    split_from: str = ""
    hosted: bool = False
    dry_run: bool = False
    decoders: Decoders = DECODERS
    settings: dict[str, Any] = attrs.field(factory=dict)
    shown: list[str] = attrs.field(factory=list)
    redact: Callable[[str], str] = str
    stop: Event = attrs.field(factory=Event)
    drain: Event = attrs.field(factory=Event)
    worker: SinkWorker = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make the worker."""
        delivery = Delivery(**{**FAST_RETRY, **self.settings})
        table = f"sink.{self.name}"
        log = logging.getLogger(table)
        self.worker = SinkWorker(
            Sink(self.name, table, "recorder", self.instance, delivery, self.split_from, self.hosted),
            self.journal,
            self.decoders,
            SampleCache(),
            Context(
                table, log, polarity=delivery.polarity or "brultech", interval=delivery.interval, dry_run=self.dry_run
            ),
            stop=self.stop,
            drain=self.drain,
            redact=self.redact,
            out=self.shown.append,
        )

    def __enter__(self) -> Self:
        """Begin."""
        self.worker.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and wait for the end."""
        self.stop.set()
        self.journal.wake()
        self.worker.thread.join(20)
        assert not self.worker.thread.is_alive()

    def finish(self) -> None:
        """Let it deliver everything, and wait for its end."""
        self.drain.set()
        self.journal.wake()
        self.worker.thread.join(20)
        assert not self.worker.thread.is_alive()


SINK_TABLE = "sink.roof"


def fill_journal(journal: SqliteJournal, count: int, serial: str = METER, first: int = 0) -> None:
    """Append the readings of a meter that uses 100 W, ten seconds apart."""
    journal.append([entry(10 * n, serial, energy=1000 * n) for n in range(first, first + count)])


def deliver_all(journal: SqliteJournal, instance: object, **settings: Any) -> RunningSink:  # noqa: ANN401 - of any kind
    """Deliver everything to an instance; return how it was done."""
    with RunningSink(journal, instance, settings=settings) as work:
        work.finish()
    return work


def mark_accepted(journal: SqliteJournal, instance: object, sink: str = SINK_TABLE) -> None:
    """Let something have been accepted from a sink with these settings before."""
    marks = fingerprint(instance, ())
    journal.commit(sink, Checkpoint(settings=marks.choosing, accepted=marks.all))


def examined_offset(journal: SqliteJournal, sink: str = SINK_TABLE) -> int:
    """Return up to where a sink has looked."""
    return (journal.checkpoint(sink) or Checkpoint()).examined


def sink_offset(journal: SqliteJournal, sink: str = SINK_TABLE) -> int:
    """Return how far a sink has come."""
    return (journal.checkpoint(sink) or Checkpoint()).offset


def batch_sizes(batches: Sequence[Batch]) -> list[int]:
    """Return how many readings each batch had."""
    return [len(batch.readings) for batch in batches]


def refuse_offsets(*places: int) -> Callable[[Batch], None]:
    """Make a service that refuses a batch with one of these readings in it."""

    def answer(batch: Batch) -> None:
        if any(reading.offset in places for reading in batch.readings):
            raise Reject("400: a bad row")

    return answer
