# SPDX-License-Identifier: GPL-3.0-or-later
"""What is delivered again to a sink, and the values of what a sink took."""

from typing import Any, NamedTuple

from btcore.journal import Journal
from btcore.replay.requests import Request
from helpers.fake_plugins import RecordingSink
from helpers.running_sink import RunningSink, sink_offset


class Span(NamedTuple):
    """A sample: its meter, and the offsets of its readings."""

    serial: str
    older: int
    newer: int


def values_of(sink: RecordingSink) -> dict[Span, dict[str, Any]]:
    """Return the values of all samples that a sink took."""
    return {
        Span(one.serial, one.older.offset, one.newer.offset): dict(one.values)
        for batch in sink.taken
        for one in batch.samples
    }


def deliver_again(journal: Journal, instance: RecordingSink, request: Request, **settings: Any) -> RunningSink:  # noqa: ANN401 - of any kind
    """Deliver again what is asked for, to an instance; its checkpoint has to stay where it is."""
    before = sink_offset(journal)
    running = RunningSink(journal, instance, settings=settings)
    running.worker.redelivery.requests.ask(request)
    with running:
        running.finish()
    assert sink_offset(journal) == before
    assert running.worker.redelivery.requests.first() is None
    return running
