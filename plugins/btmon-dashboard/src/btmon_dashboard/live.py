# SPDX-License-Identifier: GPL-3.0-or-later
"""The present: the last sample of each meter, as the page shows it. Whoever waits for news is woken."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from btcore import ChannelDescription, Context, Polarity, Sample, measurements
from btmon_dashboard.sensors import is_sensor

Describe = Callable[[str, str], ChannelDescription]

SILENT = 300.0
MAX_SILENT = 10_800.0
INTERVALS = 3
"""Seconds after which a meter is called silent, at least and at most; within these, so many of its intervals."""


@attrs.define(eq=False)
class Live:
    """What is known now of each meter."""

    context: Context
    version: int = 0
    """How often there was news."""
    _meters: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    _listeners: set[Callable[[], None]] = attrs.field(factory=set)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def remember(self, serial: str, key: int, channels: Iterable[str]) -> None:
        """Take a meter of which nothing has come since the start."""
        visible = [self._channel(serial, channel, None, None) for channel in channels if not is_sensor(channel)]
        known = {"serial": serial, "time": key / 1e6, "silent_after": SILENT}
        self._meters[serial] = {**known, "channels": visible, "sensors": [], "volts": None}

    def show(self, samples: Iterable[Sample]) -> None:
        """Take the last sample of each meter that is newer than what is known."""
        for sample in {sample.serial: sample for sample in samples}.values():
            made = self._meter(sample, self.context.polarity)
            with self._lock:
                known = self._meters.get(sample.serial)
                if known is None or known["time"] <= made["time"] or known["time"] > time.time():
                    self._meters[sample.serial] = made
        self.wake()

    def wake(self) -> None:
        """Wake whoever waits for news."""
        self.version += 1
        for listener in list(self._listeners):
            listener()

    def meters(self) -> list[dict[str, Any]]:
        """Return all meters, by serial number."""
        with self._lock:
            return [dict(meter) for _, meter in sorted(self._meters.items())]

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have a function called, in the sink's thread, whenever there is news; return what ends it."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def _meter(self, sample: Sample, polarity: Polarity) -> dict[str, Any]:
        channels, sensors = [], []
        directional = {channel.name: channel.directional for channel in sample.channels}
        for one in measurements(sample, polarity):
            if one.channel in directional:
                is_turned = directional[one.channel] and polarity == "btmon"
                watts = -one.watts if one.watts and is_turned else one.watts
                channels.append(self._channel(sample.serial, one.channel, watts, one.amps))
            else:
                sensors.append(self._sensor(sample.serial, one.channel, one.value))
        return {
            "serial": sample.serial,
            "time": sample.newer.timestamp,
            "silent_after": min(max(SILENT, INTERVALS * (sample.newer.key - sample.older.key) / 1e6), MAX_SILENT),
            "channels": channels,
            "sensors": sensors,
            "volts": sample.newer.get("volts"),
        }

    def _channel(self, serial: str, channel: str, watts: float | None, amps: float | None) -> dict[str, Any]:
        about = self.context.describe_channel(serial, channel)
        is_named = f"{serial}_{channel}" in self.context.channels
        named = {"channel": channel, "name": about.name, "named": is_named, "area": about.area}
        return {**named, "watts": None if watts is None else round(watts, 1), "amps": amps}

    def _sensor(self, serial: str, label: str, value: float | None) -> dict[str, Any]:
        about = self.context.describe_channel(serial, label)
        is_counter = about.is_of_pulses and value is not None
        visible = value * about.per_pulse if is_counter and value is not None else value
        unit = about.unit if is_counter else ("°" if label.startswith("t") else "")
        return {"channel": label, "name": about.name, "value": visible, "unit": unit, "class": about.class_ or ""}
