# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the clock of a meter can be right, by when its packets come in. Pure.

A clock that is ahead of the arrival is wrong. One that is behind may be right: a gateway may have stored the packets
and send them late. Then they come faster than they were made. Where they come at the pace at which they were made, it
is the clock that is behind. What the clock shows, and in which zone, is read elsewhere.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

from btcore.classes import define

MAX_METERS = 4096
"""Meters of one source that are remembered."""

MAX_STORED = timedelta(days=400)
"""For longer, no gateway stores packets."""

WINDOW = timedelta(minutes=5)
"""By the meter's clock: how long its packets are watched for their pace. Those in it have the meter's time."""

MIN_PACE = 0.5
"""Seconds between arrivals for each second between packets that come as they are made, delays allowed for."""

UNSET = "its clock is not set"

Report = Callable[[str, str], None]
"""Is given a meter, and what is wrong with its clock now; "" where it is right again."""


@define
class _Meter:
    """What is known of a meter's clock: what is wrong with it, and the packet at which the window begins."""

    fault: str = ""
    device_time: datetime | None = None
    arrived: datetime | None = None

    def comes_at_its_pace(self, device_time: datetime, arrived: datetime) -> bool | None:
        """Whether packets come as they are made; None while that is not known. After a window, the next one begins."""
        if (
            self.device_time is None
            or self.arrived is None
            or not timedelta(0) <= device_time - self.device_time <= MAX_STORED
        ):
            self.device_time, self.arrived = device_time, arrived
            return None
        made = device_time - self.device_time
        if made < WINDOW:
            return None
        passed = arrived - self.arrived
        self.device_time, self.arrived = device_time, arrived
        return passed >= MIN_PACE * made


class ClockTrust:
    """Decides for each packet that comes in live whether its meter's clock is believed; reports each change once."""

    def __init__(self, tolerance: timedelta, report: Report) -> None:
        """Begin without any meter. A clock that is wrong by no more than the tolerance is believed."""
        self._tolerance = tolerance
        self._report = report
        self._meters: OrderedDict[str, _Meter] = OrderedDict()

    def believes(self, serial: str, device_time: datetime | None, arrived: datetime) -> bool:
        """Whether a packet has the time that its meter's clock shows (in UTC; None: it is not set)."""
        meter = self._meters.setdefault(serial, _Meter())
        self._meters.move_to_end(serial)
        if len(self._meters) > MAX_METERS:
            self._meters.popitem(last=False)
        fault = self._fault(meter, device_time, arrived)
        if fault != meter.fault:
            if not (fault and meter.fault):
                self._report(serial, fault)
            meter.fault = fault
        return not fault

    def _fault(self, meter: _Meter, device_time: datetime | None, arrived: datetime) -> str:
        """Return what is wrong with the clock."""
        if device_time is None:
            return UNSET
        behind = arrived - device_time
        if abs(behind) <= self._tolerance:
            meter.device_time = None
            return ""
        is_at_pace = meter.comes_at_its_pace(device_time, arrived)
        wrong = f"its clock shows {device_time:%Y-%m-%d %H:%M} UTC when it is {arrived:%Y-%m-%d %H:%M} UTC"
        if behind < timedelta(0) or behind > MAX_STORED:
            return meter.fault or wrong
        if is_at_pace is None:
            return meter.fault
        return (meter.fault or wrong) if is_at_pace else ""
