# SPDX-License-Identifier: GPL-3.0-or-later
"""A sink made from its table in a site.toml, and delivered to as btcore does: with a journal, a worker, and a clock.

With `Clock` an outage of a week takes a second: waiting moves the clock, nothing else does.
"""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import attrs

from btcore import Duration
from btcore.config.load import load_site
from btcore.config.site import Sink
from btcore.journal import Entry
from btcore.journal.opening import DEFAULT, open_journal
from btcore.sinks.limits import RateLimit
from btcore.sinks.worker import SinkWorker
from btcore.testing import Clock
from helpers.running_sink import RunningSink


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
    """Append entries to the journal of a folder, and deliver to a sink all that it has not had, at its own pace."""
    clock = clock or Clock()
    with closing(open_journal(DEFAULT, folder)) as journal:
        journal.append(list(entries))
        running = RunningSink(journal, sink.instance, sink, polarity="btmon", stop=clock)
        running.worker._limiter = RateLimit(sink.delivery.min_call_interval, sink.delivery.max_calls_per_hour, clock)
        with running:
            running.finish()
    return running.worker


def without_waits(sink: Sink) -> Sink:
    """Return a sink that delivers each reading by itself and does not pause, for tests of something else."""
    return attrs.evolve(sink, delivery=attrs.evolve(sink.delivery, interval=Duration(0), min_call_interval=Duration(0)))
