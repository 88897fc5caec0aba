# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a site that does not run, from its journal: what waits for each sink, and when each meter was heard.

Whoever calls this holds the lock of the state directory.
"""

from datetime import datetime

from btcore.classes import evolve
from btcore.config.site import Site
from btcore.journal import START, Journal
from btcore.journal.partitions import partitioned, parts_of
from btcore.records import from_microseconds
from btcore.replay.requests import Requests
from btcore.status import MeterStatus, SinkStatus, SiteStatus, SourceStatus
from btcore.status.disk import journal_status
from btcore.status.merged import merge
from btcore.status.replays import waiting_replay
from btcore.version import __version__

RECENT = 1000
"""Newest entries that are asked which source a meter was heard by."""


def status_at_rest(site: Site, journal: Journal, now: datetime) -> SiteStatus:
    """Return the status of a site that does not run. Raises Unavailable."""
    return SiteStatus(
        running=False,
        time=now,
        file=str(site.file.absolute()),
        version=__version__,
        sources=tuple(_sources(site, journal)),
        sinks=tuple(_sink(table, name, plugin, journal) for table, name, plugin in _sinks(site)),
        journal=journal_status(journal, site.retention, now),
    )


def _sources(site: Site, journal: Journal) -> list[SourceStatus]:
    """Return each source with the meters that it was the last to hear; what is older belongs to none."""
    last: dict[str, dict[str, datetime]] = {}
    for entry in journal.heard(RECENT):
        serial = site.meters.current_serial(entry.source, entry.address, entry.serial, entry.serial, entry.format)
        last.setdefault(entry.source, {})[serial] = from_microseconds(entry.key)
    return [
        SourceStatus(
            source.name,
            source.plugin,
            "not running",
            tuple(MeterStatus(serial, time) for serial, time in sorted(last.get(source.name, {}).items())),
        )
        for source in site.sources
    ]


def _sinks(site: Site) -> list[tuple[str, str, str]]:
    return [(sink.table, sink.name, sink.plugin) for sink in site.sinks]


def _sink(table: str, name: str, plugin: str, journal: Journal) -> SinkStatus:
    """Return the status of a sink; of a journal with partitions, all of them together."""
    if partitioned(journal) is None:
        return _part(table, name, plugin, journal)
    parts = [_part(table, name, plugin, one) for one in parts_of(journal)]
    return evolve(merge(name, plugin, enumerate(parts)), partitions=None)


def _part(table: str, name: str, plugin: str, journal: Journal) -> SinkStatus:
    checkpoint = journal.checkpoint(table)
    examined = checkpoint.examined if checkpoint else START
    lag = journal.lag(examined)
    return SinkStatus(
        name,
        plugin,
        "not running",
        offset=checkpoint.offset if checkpoint else START,
        waiting=lag.entries,
        oldest_waiting=from_microseconds(lag.oldest) if lag.entries else None,
        dead_letters=len(journal.dead_letters(table)),
        replay=waiting_replay(Requests(journal, table)),
    )
