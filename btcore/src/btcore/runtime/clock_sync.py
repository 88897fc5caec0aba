"""Keeps the clocks of the GEMs of a source right (`sync_clock`): sets one whose packets show a wrong time.

Only a packet format that has the meter's clock tells. What the commands are is in `device/`.
"""

import logging
import time
from datetime import datetime
from threading import Event, Thread

from btcore import clocks
from btcore.device.meters import Target, set_clock
from btcore.device.report import describe_clock_error
from btcore.meter_commands import CommandFailed
from btcore.sources.heard import HeardMeter, zone_time
from btcore.sources.worker import SourceWorker

CHECK_INTERVAL = 5.0
"""Seconds between two looks at the meters."""

MAX_ERROR = 5.0
"""Seconds by which a clock may be wrong: a packet needs some to arrive."""

RETRY_INTERVAL = 3600.0
"""Seconds until the clock of the same meter is set again."""

PATIENCE = 5.0
"""Seconds to wait for a conversation of others; the next look comes soon."""


class ClockSync:
    """Sets the clocks of one source's meters, in a thread of its own."""

    def __init__(self, worker: SourceWorker, stop: Event, log: logging.Logger) -> None:
        """Prepare."""
        self._worker = worker
        self._stop = stop
        self._log = log
        self._wrong: dict[str, datetime] = {}
        self._tried: dict[str, float] = {}
        self.thread = Thread(target=self._run, name=f"{worker.name} clock", daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(CHECK_INTERVAL):
            self.check()

    def check(self) -> None:
        """Set each clock that two packets in a row show as wrong: a single one may have come late."""
        for meter in self._worker.heard:
            before = self._wrong.pop(meter.serial, None)
            if not self._is_wrong(meter) or self._was_tried(meter.serial):
                continue
            if before is None or before == meter.time:
                self._wrong[meter.serial] = meter.time
            else:
                self._set(meter)

    def _is_wrong(self, meter: HeardMeter) -> bool:
        if meter.format.clock is None or meter.stream is None:
            return False
        error = meter.clock_error(utc=self._is_utc)
        return error is None or abs(error) > MAX_ERROR  # without a time, the clock was never set

    def _was_tried(self, serial: str) -> bool:
        return time.monotonic() - self._tried.get(serial, -RETRY_INTERVAL) < RETRY_INTERVAL

    @property
    def _is_utc(self) -> bool:
        return self._worker.source.clock == "device-utc"

    def _set(self, meter: HeardMeter) -> None:
        self._tried[meter.serial] = time.monotonic()
        neighbours = self._worker.heard.on_stream(meter.stream)
        target = Target(serial=meter.serial, family="gem", shared=len(neighbours) > 1)
        try:
            with self._worker.commands.conversation(meter.stream or "", PATIENCE) as line:
                set_clock(line, target, lambda: zone_time(clocks.now(), utc=self._is_utc))
        except CommandFailed as error:
            self._log.warning("cannot set the clock of meter %s: %s. It is tried again in an hour", meter.serial, error)
        else:
            wrong = describe_clock_error(meter.clock_error(utc=self._is_utc)).removeprefix(", its clock is ")
            self._log.info("set the clock of meter %s, which was %s", meter.serial, wrong or "not set")
