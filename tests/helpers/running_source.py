# SPDX-License-Identifier: GPL-3.0-or-later
"""A source worker at work on a journal: what it collects, and what of that is kept."""

import logging
from threading import Event
from typing import Any, Self

import attrs

from btcore import Channel, Context, Format
from btcore.config.site import Source
from btcore.decode.decoders import Decoders
from btcore.journal import Journal
from btcore.sources.worker import SourceWorker
from btcore.testing.kit.waiting import PATIENCE
from helpers.fake_plugins import FAST_RETRY, IteratorSource
from helpers.packets import DECODERS
from helpers.times import NOON_KEY


@attrs.define
class RunningSource:
    """A source worker at work on a journal; it stops, and is waited for, at the end of the block."""

    journal: Journal
    instance: Any
    once: bool = False
    grace: float = 0.0
    decoders: Decoders = DECODERS
    settings: dict[str, Any] = attrs.field(factory=dict)
    stop: Event = attrs.field(factory=Event)
    worker: SourceWorker = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make the worker."""
        source = Source("panel", "source.panel", "yielding", self.instance, **{**FAST_RETRY, **self.settings})
        context = Context("source.panel", logging.getLogger("source.panel"))
        self.worker = SourceWorker(
            source, self.journal, self.decoders, context, self.stop, once=self.once, grace=self.grace
        )

    def __enter__(self) -> Self:
        """Begin."""
        self.worker.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and wait for the end."""
        self.stop.set()
        self.finish()

    def finish(self) -> None:
        """Wait for its end."""
        self.worker.thread.join(PATIENCE)
        assert not self.worker.thread.is_alive()


PACKETLESS = Format(
    name="meter",
    labels=("secs", "in_ws", "out_ws"),
    channels=(Channel("grid", "in_ws", "out_ws"),),
    unpack=lambda _raw: (),
)
"""The format of readings that come without packets."""


def collect_items(journal: Journal, *items: object, **options: Any) -> RunningSource:  # noqa: ANN401 - of any kind
    """Let a source yield these items, and end; return the worker that has collected them."""
    work = RunningSource(journal, IteratorSource(items=lambda _stop: items), **options)
    with work:
        work.finish()
    return work


def kept_packets(journal: Journal) -> list[tuple[int, bytes]]:
    """Return the packets in the journal, each with its time in microseconds after noon."""
    return [(entry.key - NOON_KEY, entry.raw) for entry in journal.read(0, 10_000)]
