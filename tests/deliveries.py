"""A journal filled, and delivered to a sink; for tests of what is delivered, when, and what is refused."""

from collections.abc import Callable, Sequence
from typing import Any

from made import METER, Delivering, entry

from btcore import Batch, Reject
from btcore.journal import Checkpoint
from btcore.journal.sqlite import SqliteJournal
from btcore.values.fingerprint import fingerprint

OTHER = "420467"
SINK = "sink.roof"


def fill(journal: SqliteJournal, count: int, serial: str = METER, first: int = 0) -> None:
    """Append the readings of a meter that uses 100 W, ten seconds apart."""
    journal.append([entry(10 * n, serial, energy=1000 * n) for n in range(first, first + count)])


def delivered(journal: SqliteJournal, instance: object, **settings: Any) -> Delivering:  # noqa: ANN401 - of any kind
    """Deliver everything to an instance; return how it was done."""
    with Delivering(journal, instance, settings=settings) as work:
        work.finish()
    return work


def proven(journal: SqliteJournal, instance: object, sink: str = SINK) -> None:
    """Let something have been accepted from a sink with these settings before."""
    marks = fingerprint(instance, ())
    journal.commit(sink, Checkpoint(settings=marks.choosing, accepted=marks.all))


def seen(journal: SqliteJournal, sink: str = SINK) -> int:
    """Return up to where a sink has looked."""
    return (journal.checkpoint(sink) or Checkpoint()).examined


def position(journal: SqliteJournal, sink: str = SINK) -> int:
    """Return how far a sink has come."""
    return (journal.checkpoint(sink) or Checkpoint()).offset


def sizes(batches: Sequence[Batch]) -> list[int]:
    """Return how many readings each batch had."""
    return [len(batch.readings) for batch in batches]


def refusing(*places: int) -> Callable[[Batch], None]:
    """Make a service that refuses a batch with one of these readings in it."""

    def answer(batch: Batch) -> None:
        if any(reading.offset in places for reading in batch.readings):
            raise Reject("400: a bad row")

    return answer
