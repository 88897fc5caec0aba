"""The status of a site that does not run, from its journal: what waits for each sink, and when each meter was heard.

Whoever calls this holds the lock of the state directory.
"""

from datetime import datetime

from btcore.config.site import Site
from btcore.journal import Journal
from btcore.records import from_microseconds
from btcore.status import JournalStatus, MeterStatus, SinkStatus, SiteStatus, SourceStatus
from btcore.version import __version__

RECENT = 1000
"""Newest entries that are asked which source a meter was heard by."""


def status_at_rest(site: Site, journal: Journal, journal_status: JournalStatus, now: datetime) -> SiteStatus:
    """Return the status of a site that does not run. Raises Unavailable."""
    return SiteStatus(
        running=False,
        time=now,
        file=str(site.file.absolute()),
        version=__version__,
        sources=tuple(_sources(site, journal)),
        sinks=tuple(_sink(table, name, plugin, journal) for table, name, plugin in _sinks(site)),
        journal=journal_status,
    )


def _sources(site: Site, journal: Journal) -> list[SourceStatus]:
    """Return each source with the meters that it was the last to hear; what is older belongs to none."""
    last: dict[str, dict[str, datetime]] = {}
    for entry in journal.heard(RECENT):
        serial = site.meters.current_serial(entry.source, entry.address, entry.serial, entry.serial)
        last.setdefault(entry.source, {})[serial] = from_microseconds(entry.key)
    return [
        SourceStatus(
            source.name,
            source.plugin,
            "not running",
            tuple(MeterStatus(serial, time) for serial, time in last.get(source.name, {}).items()),
        )
        for source in site.sources
    ]


def _sinks(site: Site) -> list[tuple[str, str, str]]:
    return [(sink.table, sink.name, sink.plugin) for sink in site.sinks]


def _sink(table: str, name: str, plugin: str, journal: Journal) -> SinkStatus:
    checkpoint = journal.checkpoint(table)
    examined = checkpoint.examined if checkpoint else 0
    waiting = journal.lag(examined)
    oldest = journal.sizes(examined, 1) if waiting else ()
    return SinkStatus(
        name,
        plugin,
        "not running",
        offset=checkpoint.offset if checkpoint else 0,
        waiting=waiting,
        oldest_waiting=from_microseconds(oldest[0].key) if oldest else None,
        dead_letters=len(journal.dead_letters(table)),
    )
