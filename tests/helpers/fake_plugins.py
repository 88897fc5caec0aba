# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources and sinks that do as a test says, and keep what was done to them."""

from collections.abc import Callable, Iterable, Iterator
from threading import Event
from typing import Any

import attrs

from btcore import Batch, Context, Reject, Sample, Secret, Serial, hookimpl, plugin, setting

FAST_RETRY: dict[str, Any] = {"min_backoff": 0.001, "max_backoff": 0.01}
"""Settings of a source or a sink that is tried again at once."""


@attrs.define(kw_only=True, eq=False, slots=False)
class LifecyclePlugin:
    """Base of plugins that take note of each time that they are opened and closed."""

    opened: list[Context] = attrs.field(factory=list)
    closed: list[bool] = attrs.field(factory=list)

    @hookimpl
    def open(self, context: Context) -> None:
        """Take note."""
        self.opened.append(context)

    @hookimpl
    def close(self) -> None:
        """Take note."""
        self.closed.append(True)


@plugin(api=1)
class RecordingSink(LifecyclePlugin):
    """A sink that keeps the batches that it was called with, and those that it took: `answer` may raise for one."""

    answer: Callable[[Batch], object] = attrs.field(default=lambda _batch: None)
    calls: list[Batch] = attrs.field(factory=list)
    taken: list[Batch] = attrs.field(factory=list)

    @hookimpl
    def process_batch(self, batch: Batch) -> None:
        """Take it, if the answer does not raise."""
        self.calls.append(batch)
        self.answer(batch)
        self.taken.append(batch)

    @property
    def offsets(self) -> list[int]:
        """The offsets of the readings that it took."""
        return [reading.offset for batch in self.taken for reading in batch.readings]


@plugin(api=1)
class IteratorSource(LifecyclePlugin):
    """A source that yields what the function `items` makes; that is called each time that the source is started."""

    items: Callable[[Event], Iterable[Any]]

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Any]:
        """Yield the items."""
        yield from self.items(stop)


@plugin(api=1)
class OneMeterSink(LifecyclePlugin):
    """A sink that sends the samples of one meter, and returns of how many readings that was.

    Its service refuses what is sent to any node but the one that it knows.
    """

    meter: Serial = setting(default="", help="the meter whose samples are sent; empty: all")
    node: str = setting(default="house", help="what the service knows")
    key: Secret = setting(factory=lambda: Secret("s3cret"), help="the service's key")
    known: str = attrs.field(default="house")
    calls: list[Batch] = attrs.field(factory=list)
    taken: list[Sample] = attrs.field(factory=list)

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Send what is wanted."""
        self.calls.append(batch)
        wanted = [sample for sample in batch.samples if self.meter in ("", sample.serial)]
        if wanted and self.node != self.known:
            raise Reject(f"400: no such node: {self.node}")
        self.taken += wanted
        return len(wanted)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The offsets of the two readings of each sample that was sent."""
        return [(sample.older.offset, sample.newer.offset) for sample in self.taken]
