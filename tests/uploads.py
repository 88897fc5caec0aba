"""Delivering to a service as btcore does: a sink made from its table, the journal, the worker, and a clock of our own.

With `Clock` a week's outage takes a second: waiting moves the clock, nothing else does.
"""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Event
from unittest.mock import patch

import attrs
from scenarios import Scenario

from btcore import Context, Duration, pack
from btcore.calculate.sampling import SampleCache
from btcore.config.load import Sink, load_site
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.journal import Entry
from btcore.journal.sqlite import SqliteJournal
from btcore.sinks.rate_limit import RateLimit
from btcore.sinks.worker import SinkWorker

START = 1_700_000_000
"""Seconds since 1970 of the first packet of a made stream."""


class Clock(Event):
    """A clock that goes on only while somebody waits, and the event that a worker waits for."""

    def __init__(self, now: float = 0.0) -> None:
        """Begin at a time in seconds."""
        super().__init__()
        self.now = now

    def __call__(self) -> float:
        """Tell the time."""
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        """Let the time pass."""
        self.now += timeout or 0.0
        return self.is_set()


def configured(folder: Path, table: str, *, polarity: str = "btmon") -> Sink:
    """Make a sink of its table, given as in site.toml: the first line `[sink.NAME]`. Raises ConfigurationError.

    One that is split is made as a whole: for tests of what the plugin itself does.
    """
    site = folder / "site.toml"
    source = '[source.file]\nuse = "simulator"\n'
    site.write_text(f'state = "{folder}"\npolarity = "{polarity}"\n{source}{table}')
    with patch("btcore.config.load.split", lambda _plugin, instance: {"": instance}):
        return load_site(site).sinks[0]


def deliver(sink: Sink, entries: Iterable[Entry], folder: Path, clock: Clock | None = None) -> SinkWorker:
    """Put entries into the journal of a folder, and deliver to a sink all that it has not had, at its own pace."""
    clock = clock or Clock()
    journal = SqliteJournal(folder / "journal.db")
    drain = Event()
    drain.set()
    log = logging.getLogger(sink.table)
    context = Context(sink.table, log, polarity=sink.delivery.polarity or "btmon", every=sink.delivery.every)
    worker = SinkWorker(
        sink, journal, Decoders([Brultech()]), SampleCache(), context, stop=clock, drain=drain, out=str.strip
    )
    worker._limiter = RateLimit(sink.delivery.pause, sink.delivery.calls_per_hour, clock)
    try:
        journal.append(list(entries))
        worker.thread.start()
        worker.thread.join(60)
        assert not worker.thread.is_alive()
    finally:
        clock.set()
        worker.thread.join()
        journal.close()
    return worker


def entries(recording: Scenario) -> Iterator[Entry]:
    """Yield the packets of a recording as the journal keeps them."""
    for reading in recording.readings:
        yield Entry(reading.key, "golden", reading.serial, reading.format.name, reading.raw)


def made(
    seconds: int, every: int = 10, serial: str = "312345", start: int = START, up: int = 0, watts: int = 1500
) -> Iterator[Entry]:
    """Yield the packets of an ECM-1240 over so many seconds: `watts` on ch1, 200 W on aux1; it is `up` since then."""
    for at in range(0, seconds + 1, every):
        values = {"secs": up + at, "volts": 120.0, "ch1_aws": watts * at, "aux1_ws": 200 * at}
        yield Entry((start + at) * 1_000_000, "made", serial, "ecm1240bin", pack("ecm1240bin", serial, values))


def quick(sink: Sink) -> Sink:
    """Return a sink that delivers each reading by itself and does not pause, for tests of something else."""
    return attrs.evolve(sink, delivery=attrs.evolve(sink.delivery, every=Duration(0), pause=Duration(0)))
