# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of the meters of a source: those that were heard in this run, and those that an earlier run heard."""

from collections.abc import Iterator
from datetime import UTC, datetime
from time import time

from btcore.records import from_microseconds
from btcore.sources.activity import Activity
from btcore.sources.silence import SilenceWatch
from btcore.status import MeterStatus

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
