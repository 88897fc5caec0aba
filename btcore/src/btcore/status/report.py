# SPDX-License-Identifier: GPL-3.0-or-later
"""A status as lines for a person: what is wrong first, then each source, sink and the journal."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from btcore.status import (
    ErrorStatus,
    JournalStatus,
    MeterStatus,
    ReplayStatus,
    SinkStatus,
    SiteStatus,
    SourceStatus,
    as_json,
)
from btcore.text import format_bytes, format_duration, plural

MAX_METERS = 8
"""Meters of a source that are listed; the silent ones always are."""


MIN_FREE = 1 << 20
"""Bytes that are free on a disk which is not called full."""

RECENT_DAMAGE = 86_400.0
"""Seconds for which a damage of the journal stands among what is wrong."""


def answer(status: SiteStatus) -> dict[str, Any]:
    """Return a status as the control socket answers it: for programs, and as lines for a person."""
    return {"status": as_json(status), "lines": list(report(status))}


def facts(status: SiteStatus) -> dict[str, Any]:
    """Return a status as a plugin is given it: for programs, with the lines of what is wrong."""
    return {**as_json(status), "problems": list(problems(status))}


def report(status: SiteStatus) -> Iterator[str]:
    """Yield the lines of a status."""
    yield _headline(status)
    yield from (f"! {line}" for line in problems(status))
    for source in status.sources:
        yield ""
        yield from _source_lines(source, status.time)
    for sink in status.sinks:
        yield ""
        yield from _sink_lines(sink, status.time, "shown" if status.dry_run else "delivered")
    if status.journal is not None:
        yield ""
        yield from _journal_lines(status.journal, status.time)


def problems(status: SiteStatus) -> Iterator[str]:
    """Yield what a person should see to, the journal and the silent meters first."""
    yield from _journal_problems(status)
    for source in status.sources:
        for meter in source.meters:
            if meter.silent_for is not None:
                yield f"meter {meter.serial} silent for {format_duration(meter.silent_for)}{_usually(meter)}"
    failure = status.journal.last_error if status.journal is not None else None
    for table, one in _parts(status):
        if failure is not None and one.last_error is not None and one.last_error.text.startswith(failure.text):
            continue  # it was said of the journal
        if one.state == "stopped":
            yield f"{table} has stopped until a restart: {_error(one.last_error, status.time)}"
        elif one.state == "failing":
            again = _until(one.next_attempt, status.time)
            yield f"{table} fails: {_error(one.last_error, status.time)}{again}"


def _journal_problems(status: SiteStatus) -> Iterator[str]:
    last = status.journal.last_damage if status.journal is not None else None
    if last is not None and (status.time - last.time).total_seconds() < RECENT_DAMAGE:
        yield f"{_error(last, status.time)}"
    if status.journal is not None and status.journal.last_error is not None:
        yield f"{status.journal.last_error.text}. Until then readings wait in memory"
    elif status.journal is not None and status.journal.free is not None and status.journal.free < MIN_FREE:
        yield f"the disk of the journal is full ({format_bytes(status.journal.free)} are free): make room on it"


def _parts(status: SiteStatus) -> Iterable[tuple[str, SourceStatus | SinkStatus]]:
    yield from ((f"source.{source.name}", source) for source in status.sources)
    yield from ((f"sink.{sink.name}", sink) for sink in status.sinks)


def _headline(status: SiteStatus) -> str:
    if not status.running:
        return f"btcore does not run with {status.file}"
    since = f" for {format_duration(_seconds_since(status.started, status.time))}" if status.started else ""
    dry = ", a dry run: nothing is sent" if status.dry_run else ""
    return f"btcore {status.version} runs with {status.file}{since} (process {status.process}){dry}"


def _seconds_since(moment: datetime, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds())  # the clock may have been set back


def _source_lines(source: SourceStatus, now: datetime) -> Iterator[str]:
    yield f"source.{source.name} ({source.plugin}): {source.state}"
    if source.packets is not None and source.bytes is not None:
        damaged = f", {source.damaged} damaged" if source.damaged else ""
        refused = f", {source.refused} refused" if source.refused else ""
        unwritten = f", {source.unwritten} not yet in the journal" if source.unwritten else ""
        yield f"    {plural(source.packets, 'packet')}, {format_bytes(source.bytes)}{damaged}{refused}{unwritten}"
    yield from (f"    {_meter(meter, now)}" for meter in source.meters[:MAX_METERS])
    if len(source.meters) > MAX_METERS:
        yield f"    and {len(source.meters) - MAX_METERS} more meters"


def _meter(meter: MeterStatus, now: datetime) -> str:
    heard = f"last heard {_ago(meter.last, now)}" if meter.last else "never heard"
    count = f", {plural(meter.readings, 'reading')}" if meter.readings is not None else ""
    silent = " - silent" if meter.silent_for is not None else ""
    return f"meter {meter.serial}: {heard}{_usually(meter)}{count}{silent}"


def _usually(meter: MeterStatus) -> str:
    return f", usually every {format_duration(meter.interval)}" if meter.interval else ""


def _sink_lines(sink: SinkStatus, now: datetime, done: str) -> Iterator[str]:
    yield f"sink.{sink.name} ({sink.plugin}): {sink.state}{_until(sink.next_attempt, now)}"
    delivered = f"{sink.delivered} {done} in this run, " if sink.delivered is not None else ""
    since = f" since {_ago(sink.oldest_waiting, now)}" if sink.oldest_waiting else ""
    dead_letters = plural(sink.dead_letters, "dead letter")
    yield f"    {delivered}{sink.waiting} waiting{since}, {dead_letters}; offset {sink.offset}"
    if sink.partitions is not None:
        numbers = ", ".join(map(str, sink.partitions))
        yield f"    partitions {numbers}" if numbers else "    no partition: other programs work them all"
    passed = [f"{sink.unwanted} not selected by its settings"] if sink.unwanted else []
    passed += [f"{sink.dropped} dropped by the limits of its backlog"] if sink.dropped else []
    if passed:
        yield f"    {', '.join(passed)}"
    if sink.last_error is not None:
        yield f"    last error: {_error(sink.last_error, now)}"
    if sink.replay is not None:
        what = "waits to be delivered again" if sink.state == "not running" else "delivering again"
        yield f"    {what} ({sink.replay.number}): {replay_line(sink.replay)}"


def replay_line(replay: ReplayStatus) -> str:
    """Describe how far a replay has come."""
    parts = [f"{replay.examined} of {plural(replay.total, 'reading')} examined"] if replay.total else []
    parts.append(f"{replay.delivered} delivered")
    parts += [f"{replay.missing} missing"] if replay.missing else []
    parts += [f"{replay.stored} already there"] if replay.stored else []
    parts += [f"{replay.refused} refused"] if replay.refused else []
    parts += [f"{plural(replay.waiting, 'request')} after it"] if replay.waiting else []
    parts += [f"last: {replay.last_error}"] if replay.last_error else []
    return ", ".join(parts)


def _journal_lines(journal: JournalStatus, now: datetime) -> Iterator[str]:
    has = f"{plural(journal.entries, 'reading')}, {format_bytes(journal.bytes)}"
    yield f"journal {journal.location}: {'cannot be used now' if journal.last_error else has}"
    if journal.oldest is not None and journal.newest is not None:
        yield f"    from {_moment(journal.oldest)} to {_moment(journal.newest)}"
    free = f", {format_bytes(journal.free)} free on its disk" if journal.free is not None else ""
    yield f"    retention {format_duration(journal.retention)}{free}"
    if journal.damages:
        lost = f", {plural(journal.lost, 'reading')} lost" if journal.lost else ""
        yield f"    damaged {plural(journal.damages, 'time')} of late{lost}; last: {_error(journal.last_damage, now)}"
    if journal.full is not None:
        yield f"    at this rate the disk is full on {journal.full.astimezone():%Y-%m-%d} ({_in(journal.full, now)})"


def _error(error: ErrorStatus | None, now: datetime) -> str:
    return f"{error.text} ({_ago(error.time, now)})" if error is not None else "its log says why"


def _until(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return ""
    return f"; next attempt {_in(moment, now)}"


def _in(moment: datetime, now: datetime) -> str:
    seconds = (moment - now).total_seconds()
    return f"in {format_duration(seconds)}" if seconds >= 1 else "now"


def _ago(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "never"
    seconds = (now - moment).total_seconds()
    if seconds < 0:
        return f"at {_moment(moment)}"
    return f"{format_duration(seconds)} ago" if seconds >= 1 else "just now"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
