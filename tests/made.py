"""Packets, journal entries and sinks made to measure, for tests of what is kept and delivered."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any, Self

import attrs

from btcore import Batch, Context, Delivery, Reading, hookimpl, pack, plugin
from btcore.calculate.sampling import SampleCache
from btcore.config.load import Sink, Source
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.journal import Entry, Journal
from btcore.sinks.worker import SinkWorker
from btcore.sources.worker import SourceWorker

START = 1_699_999_200_000_000
"""Microseconds since 1970, at a full hour."""

SECOND = 1_000_000
METER = "312345"
DECODERS = Decoders([Brultech()])


def packet(serial: str = METER, secs: int = 0, energy: int = 0, *, flag: int = 0, used: int = 0) -> bytes:
    """Make the packet of an ECM-1220 whose first channel has counted so many Ws, and its second so many."""
    return pack("ecm1220bin", serial, {"secs": secs, "ch1_aws": energy, "ch2_aws": used, "flag": flag})


def entry(at: float, serial: str = METER, *, secs: int | None = None, energy: int = 0, flag: int = 0) -> Entry:
    """Make the entry of a packet that came in so many seconds after `START`; by its own count, 1000 s more."""
    raw = packet(serial, round(at) + 1000 if secs is None else secs, energy, flag=flag)
    return Entry(START + round(at * SECOND), "panel", serial, "ecm1220bin", raw)


def reading(of: Entry) -> Reading:
    """Make the reading of an entry."""
    found = DECODERS.recall(of)
    assert found is not None
    return found


def numbered(entries: Sequence[Entry]) -> list[Reading]:
    """Make the readings of entries, in places from 1 on as in a journal."""
    return [reading(attrs.evolve(one, offset=place)) for place, one in enumerate(entries, 1)]


@attrs.define(kw_only=True, eq=False, slots=False)
class Noting:
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
class Recorder(Noting):
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


QUICK: dict[str, Any] = {"retry": 0.001, "retry_max": 0.01}


@attrs.define
class Delivering:
    """A sink worker at work on a journal; it stops, and is waited for, at the end of the block."""

    journal: Journal
    instance: Any
    name: str = "roof"
    whole: str = ""
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
        delivery = Delivery(**{**QUICK, **self.settings})
        table = f"sink.{self.name}"
        log = logging.getLogger(table)
        self.worker = SinkWorker(
            Sink(self.name, table, "recorder", self.instance, delivery, self.whole, self.hosted),
            self.journal,
            self.decoders,
            SampleCache(),
            Context(table, log, polarity=delivery.polarity or "brultech", every=delivery.every, dry_run=self.dry_run),
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


@plugin(api=1)
class Yielding(Noting):
    """A source that yields what `items` makes, anew each time that it is started."""

    items: Callable[[Event], Iterable[Any]]

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Any]:
        """Yield the items."""
        yield from self.items(stop)


@attrs.define
class Collecting:
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
        source = Source("panel", "source.panel", "yielding", self.instance, **{**QUICK, **self.settings})
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
        self.worker.thread.join(20)
        assert not self.worker.thread.is_alive()


def golden(name: str) -> Path:
    """Return the file of a recorded stream."""
    return Path(__file__).parent / "golden" / "streams" / f"{name}.bin"
