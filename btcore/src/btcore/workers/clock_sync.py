# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the clocks of the GEMs of a site right (`sync_clock` of a source): sets one whose packets show a wrong time.

Only a packet format that has the meter's clock tells. What the commands are is in `device/`.
"""

import logging
import math
import time
from collections.abc import Sequence
from datetime import datetime
from threading import Event, Thread

from btcore import clocks
from btcore.device.heard import HeardMeter, zone_time
from btcore.meter_commands import CommandFailed
from btcore.sources.worker import SourceWorker

Meter = tuple[str, str]
"""A source, and the serial number of a meter."""

CHECK_INTERVAL = 5.0
"""Seconds between two looks at the meters."""

MAX_ERROR = 5.0
"""Seconds by which a clock may be wrong: a packet needs some to arrive."""

RETRY_INTERVAL = 3600.0
"""Seconds until the clock of the same meter is set again."""

PATIENCE = 5.0
"""Seconds to wait for a conversation of others; the next look comes soon."""


class ClockSync:
    """Sets the clocks of meters, in a thread of its own. `workers` are the sources that run, whichever they are now."""

    def __init__(self, workers: Sequence[SourceWorker], stop: Event) -> None:
        """Prepare."""
        self._workers = workers
        self._stop = stop
        self._wrong: dict[Meter, datetime] = {}
        self._tried: dict[Meter, float] = {}
        self.thread = Thread(target=self._run, name="clocks of meters", daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(CHECK_INTERVAL):
            self.check()

    def check(self) -> None:
        """Set each clock that two packets in a row show as wrong: a single one may have come late."""
        for worker in [one for one in self._workers if one.source.sync_clock and one.thread.is_alive()]:
            for heard in worker.heard:
                self._check(worker, heard)

    def _check(self, worker: SourceWorker, heard: HeardMeter) -> None:
        meter = worker.name, heard.serial
        before = self._wrong.pop(meter, None)
        if not _is_wrong(worker, heard) or self._was_tried(meter):
            return
        if before is None or before == heard.time:
            self._wrong[meter] = heard.time
        else:
            self._tried[meter] = time.monotonic()
            _set(worker, heard)

    def _was_tried(self, meter: Meter) -> bool:
        return time.monotonic() - self._tried.get(meter, -math.inf) < RETRY_INTERVAL


def _is_utc(worker: SourceWorker) -> bool:
    return worker.source.clock == "device-utc"


def _is_wrong(worker: SourceWorker, heard: HeardMeter) -> bool:
    if heard.format.clock is None or heard.stream is None:
        return False
    error = heard.clock_error(utc=_is_utc(worker))
    return error is None or abs(error) > MAX_ERROR  # without a time, the clock was never set


def _set(worker: SourceWorker, heard: HeardMeter) -> None:
    from btcore.device.meters import Target, set_clock  # noqa: PLC0415 - most clocks are never set
    from btcore.device.report import describe_clock_error  # noqa: PLC0415 - as above

    log, utc = logging.getLogger(worker.name), _is_utc(worker)
    neighbours = worker.heard.on_stream(heard.stream)
    target = Target(serial=heard.serial, family="gem", shared=len(neighbours) > 1)
    try:
        with worker.commands.conversation(heard.stream or "", PATIENCE) as line:
            set_clock(line, target, lambda: zone_time(clocks.now(), utc=utc))
    except CommandFailed as error:
        log.warning("cannot set the clock of meter %s: %s. It is tried again in an hour", heard.serial, error)
    else:
        wrong = describe_clock_error(heard.clock_error(utc=utc)).removeprefix(", its clock is ")
        log.info("set the clock of meter %s, which was %s", heard.serial, wrong or "not set")
