"""Sources and sinks that do as a test says, and keep what was done to them."""

from collections.abc import Callable, Iterable, Iterator
from threading import Event
from typing import Any

import attrs

from btcore import Batch, Context, Reject, Sample, Secret, Serial, hookimpl, plugin, setting


@attrs.define(kw_only=True, eq=False, slots=False)
class LifecyclePlugin:
    """Base of plugins that take note of being opened and closed."""

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
    """A sink that keeps what it took; `answer` may raise for a batch."""

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
    def places(self) -> list[int]:
        """The places in the journal of the readings that were taken."""
        return [reading.offset for batch in self.taken for reading in batch.readings]


@plugin(api=1)
class IteratorSource(LifecyclePlugin):
    """A source that yields what `items` makes, anew each time that it is started."""

    items: Callable[[Event], Iterable[Any]]

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Any]:
        """Yield the items."""
        yield from self.items(stop)


@plugin(api=1)
class OneMeterSink(LifecyclePlugin):
    """Sends the samples of one meter, and tells of how many readings that was.

    The service refuses all others than the node that it knows.
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
        """Between which places the samples were that were sent."""
        return [(sample.older.offset, sample.newer.offset) for sample in self.taken]
