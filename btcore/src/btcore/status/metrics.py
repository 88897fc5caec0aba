# SPDX-License-Identifier: GPL-3.0-or-later
"""A status in Prometheus's text format, with names and units as https://prometheus.io/docs/practices/naming asks."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal, get_args

from btcore.serve import Family, Labels, format_families
from btcore.status import MeterStatus, SiteStatus, State

Value = float | datetime | None


def metrics(status: SiteStatus) -> str:
    """Return a status in the text format."""
    return format_families((*_site(status), *_sources(status), *_meters(status), *_sinks(status)))


def _site(status: SiteStatus) -> Iterator[Family]:
    def gauge(name: str, text: str, value: Value, *labels: tuple[str, str]) -> Family:
        return Family(name, "gauge", text, ((labels, value),))

    yield gauge("btcore_info", "the running program", 1, ("version", status.version))
    yield gauge("btcore_start_time_seconds", "when the program was started", status.started)
    if (journal := status.journal) is not None:
        yield gauge("btcore_journal_usable", "whether the journal can be read and written", int(not journal.last_error))
        yield gauge("btcore_journal_disk_free_bytes", "free space on the journal's disk", journal.free)
    if journal is not None and journal.last_error is None:
        yield gauge("btcore_journal_size_bytes", "size of the journal on its disk", journal.bytes)
        yield gauge("btcore_journal_readings", "readings that the journal keeps", journal.entries)
        yield gauge("btcore_journal_oldest_timestamp_seconds", "time of the oldest reading", journal.oldest)
        yield gauge("btcore_journal_newest_timestamp_seconds", "time of the newest reading", journal.newest)
        yield gauge("btcore_journal_damages", "how often the journal was damaged of late", journal.damages)
        yield gauge("btcore_journal_readings_lost", "readings that are gone by it, as far as known", journal.lost)


def _sources(status: SiteStatus) -> Iterator[Family]:
    sources = [((("source", source.name),), source) for source in status.sources]

    def counter(name: str, text: str, field: str) -> Family:
        return Family(name, "counter", text, tuple((labels, getattr(one, field)) for labels, one in sources))

    yield _states("btcore_source_state", "source", ((one.name, one.state) for one in status.sources))
    yield counter("btcore_source_packets_total", "intact packets that came in", "packets")
    yield counter("btcore_source_received_bytes_total", "bytes that came in", "bytes")
    yield counter("btcore_source_junk_bytes_total", "bytes that belong to no intact packet", "junk")
    yield counter("btcore_source_damaged_packets_total", "packets that were damaged", "damaged")
    yield counter("btcore_source_readings_kept_total", "readings that were new to the journal", "kept")
    yield counter("btcore_source_readings_duplicate_total", "readings that the journal had already", "duplicates")
    yield counter("btcore_source_readings_refused_total", "readings that were refused", "refused")
    yield Family(
        *("btcore_source_readings_unwritten", "gauge", "readings that wait for the journal"),
        tuple((labels, one.unwritten) for labels, one in sources),
    )


def _meters(status: SiteStatus) -> Iterator[Family]:
    meters: list[tuple[Labels, MeterStatus]] = [
        ((("source", source.name), ("meter", meter.serial)), meter)
        for source in status.sources
        for meter in source.meters
    ]

    def family(name: str, kind: Literal["counter", "gauge"], text: str, field: str) -> Family:
        return Family(name, kind, text, tuple((labels, getattr(one, field)) for labels, one in meters))

    yield family("btcore_meter_readings_total", "counter", "readings that came in", "readings")
    yield family("btcore_meter_last_reading_timestamp_seconds", "gauge", "time of the last reading", "last")
    yield family("btcore_meter_interval_seconds", "gauge", "usual interval between readings", "interval")
    silent = tuple((labels, float(one.silent_for is not None)) for labels, one in meters)
    yield Family("btcore_meter_silent", "gauge", "1 if the meter is overdue against its usual interval", silent)


def _sinks(status: SiteStatus) -> Iterator[Family]:
    sinks = [((("sink", sink.name),), sink) for sink in status.sinks]

    def family(name: str, kind: Literal["counter", "gauge"], text: str, field: str) -> Family:
        return Family(name, kind, text, tuple((labels, getattr(one, field)) for labels, one in sinks))

    yield _states("btcore_sink_state", "sink", ((one.name, one.state) for one in status.sinks))
    if not status.dry_run:
        yield family("btcore_sink_readings_delivered_total", "counter", "readings that were delivered", "delivered")
    yield family("btcore_sink_readings_unwanted_total", "counter", "readings not selected by its settings", "unwanted")
    yield family("btcore_sink_readings_dropped_total", "counter", "readings dropped by backlog limits", "dropped")
    yield family("btcore_sink_readings_waiting", "gauge", "readings that are not delivered yet", "waiting")
    yield family(
        "btcore_sink_oldest_waiting_timestamp_seconds", "gauge", "time of the oldest of them", "oldest_waiting"
    )
    yield family("btcore_sink_dead_letters", "gauge", "readings that the sink will never take", "dead_letters")
    errors = tuple((labels, one.last_error.time if one.last_error else None) for labels, one in sinks)
    yield Family("btcore_sink_last_error_timestamp_seconds", "gauge", "when it failed last", errors)


def _states(name: str, label: str, states: Iterable[tuple[str, State]]) -> Family:
    """Return a metric that is 1 for the state that each has, and 0 for the others."""
    samples = tuple(
        (((label, one), ("state", each)), float(state == each)) for one, state in states for each in get_args(State)
    )
    return Family(name, "gauge", f"1 for the state of the {label}", samples)
