# SPDX-License-Identifier: GPL-3.0-or-later
"""How a source stands, for `btcore status`: its counts, its last error, and its meters.

The meters are those that were heard in this run, and those that an earlier run heard.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from time import time

from btcore.config.site import Source
from btcore.decode.framing import StreamCounts
from btcore.logs.failures import FailureReporter
from btcore.records import from_microseconds
from btcore.sources.activity import Activity
from btcore.sources.silence import SilenceWatch
from btcore.sources.write_queue import WriteQueue
from btcore.status import MeterStatus, SourceStatus, State
from btcore.status.failures import attempt_at, error_status, next_attempt

MAX_METERS = 1000
"""Meters that a status names; of more, those that were heard last."""


def meter_statuses(activity: Activity, silence_watch: SilenceWatch) -> Iterator[MeterStatus]:
    """Yield the status of each meter: the silent ones first, and each kind by serial number."""
    overdue = silence_watch.overdue()
    now = time()
    meters = [
        MeterStatus(serial, from_microseconds(one.last), one.readings, *overdue.get(serial, (None, None)))
        for serial, one in list(activity.meters())[:MAX_METERS]
    ]
    missed = [
        MeterStatus(serial, datetime.fromtimestamp(last, UTC), 0, silent_for=now - last)
        for serial, last in silence_watch.missed().items()
    ]
    yield from sorted((*missed, *meters), key=lambda meter: (meter.silent_for is None, meter.serial))


def source_status(
    source: Source,
    state: State,
    counts: StreamCounts,
    queue: WriteQueue,
    reporter: FailureReporter,
    redact: Callable[[str], str],
) -> SourceStatus:
    """Return the status of a source without its meters, from what counts and writes for it."""
    unkept = None if state == "stopped" else queue.failure_now
    return SourceStatus(
        name=source.name,
        plugin=source.plugin,
        state=state,
        packets=counts.packets,
        junk=counts.junk,
        damaged=counts.damaged,
        kept=queue.kept,
        duplicates=queue.duplicates,
        unwritten=queue.waiting,
        last_error=error_status(unkept or reporter.last_failure, redact),
        next_attempt=attempt_at(unkept) if unkept else next_attempt(reporter),
    )
