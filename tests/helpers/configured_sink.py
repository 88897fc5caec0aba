"""A sink made from its table in a site.toml, and delivered to as btcore does: with a journal, a worker, and a clock.

With `Clock` an outage of a week takes a second: waiting moves the clock, nothing else does.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from threading import Event
from unittest.mock import patch

import attrs

from btcore import Context, Duration
from btcore.calculate.sampling import SampleCache
from btcore.config.load import load_site
from btcore.config.site import Sink
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.journal import Entry
from btcore.journal.sqlite import SqliteJournal
from btcore.sinks.rate_limit import RateLimit
from btcore.sinks.worker import SinkWorker
from helpers.clocks import Clock


def sink_from_toml(folder: Path, table: str, *, polarity: str = "btmon") -> Sink:
    """Make a sink of its table, given as in site.toml: the first line `[sink.NAME]`. Raises ConfigurationError.

    One that is split is made as a whole: for tests of what the plugin itself does.
    """
    site = folder / "site.toml"
    source = '[source.file]\nuse = "simulator"\n'
    site.write_text(f'state = "{folder}"\npolarity = "{polarity}"\n{source}{table}')
    with patch("btcore.config.load.split", lambda _plugin, instance: {"": instance}):
        return load_site(site).sinks[0]


def deliver_entries(sink: Sink, entries: Iterable[Entry], folder: Path, clock: Clock | None = None) -> SinkWorker:
    """Put entries into the journal of a folder, and deliver to a sink all that it has not had, at its own pace."""
    clock = clock or Clock()
    journal = SqliteJournal(folder / "journal.db")
    drain = Event()
    drain.set()
    log = logging.getLogger(sink.table)
    context = Context(sink.table, log, polarity=sink.delivery.polarity or "btmon", interval=sink.delivery.interval)
    worker = SinkWorker(
        sink, journal, Decoders([Brultech()]), SampleCache(), context, stop=clock, drain=drain, out=str.strip
    )
    worker._limiter = RateLimit(sink.delivery.min_call_interval, sink.delivery.max_calls_per_hour, clock)
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


def without_waits(sink: Sink) -> Sink:
    """Return a sink that delivers each reading by itself and does not pause, for tests of something else."""
    return attrs.evolve(sink, delivery=attrs.evolve(sink.delivery, interval=Duration(0), min_call_interval=Duration(0)))
