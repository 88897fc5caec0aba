# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics: their names, units and labels, and what a sample says for each of them. Pure.

Names and base units are those of https://prometheus.io/docs/practices/naming: energy is in joules, which are
watt-seconds, as the meters count it.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import attrs

from btcore import ChannelRef, Measurement, Number, Polarity, Sample, measurements
from btcore.serve import Labels

WS_PER_WH = 3600

TemperatureUnit = Literal["celsius", "fahrenheit"]


@attrs.frozen
class Metric:
    """One metric: its name behind the prefix, what it is, and its help text."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str


IMPORTED = Metric("imported_joules_total", "counter", "energy that was consumed")
EXPORTED = Metric("exported_joules_total", "counter", "energy that flowed back, as of solar panels")
POWER = Metric("power_watts", "gauge", "mean power since the last sample")
CURRENT = Metric("current_amperes", "gauge", "current")
VOLTAGE = Metric("voltage_volts", "gauge", "voltage")
TEMPERATURE = Metric("temperature_celsius", "gauge", "temperature")
PULSES = Metric("pulses_total", "counter", "pulses")
SENSOR = Metric("sensor", "gauge", "another number that a meter measures")
TIME = Metric("sample_timestamp_seconds", "gauge", "time of the last sample")

METRICS = (IMPORTED, EXPORTED, POWER, CURRENT, VOLTAGE, TEMPERATURE, PULSES, SENSOR, TIME)
"""All of them, in the order in which they are shown."""

OWN_LABELS = ("meter", "channel", "name")


@attrs.frozen
class Point:
    """One number of one series."""

    metric: Metric
    labels: Labels
    value: float


@attrs.frozen(kw_only=True)
class Selection:
    """Which series there are, and what they are called.

    `channels` are those that are wanted; all, if there are none. `meter_name` names a meter, `channel_name` a channel
    of a meter.
    """

    channels: Sequence[ChannelRef]
    meter_name: Callable[[str], str]
    channel_name: Callable[[str, str], str]
    polarity: Polarity
    temperature_unit: TemperatureUnit

    def points(self, sample: Sample) -> list[Point]:
        """Return the points of a sample; none if nothing of it is wanted. What is not known has no point."""
        found = [Point(metric, labels, value) for metric, labels, value in self._numbers(sample) if _is_known(value)]
        if not found:
            return []
        return [*found, Point(TIME, self.meter_labels(sample.serial), sample.newer.timestamp)]

    def meter_labels(self, serial: str) -> Labels:
        """Return the labels of what a meter measures by itself."""
        return (("meter", self.meter_name(serial)),)

    def _numbers(self, sample: Sample) -> Iterator[tuple[Metric, Labels, float]]:
        """Yield metric, labels and number; NaN is what is not known."""
        if self._is_wanted(sample.serial, "volts"):
            yield VOLTAGE, self.meter_labels(sample.serial), _float(sample.newer.get("volts"))
        for one in measurements(sample, self.polarity):
            if not self._is_wanted(sample.serial, one.channel):
                continue
            name = self.channel_name(sample.serial, one.channel)
            labels = (*self.meter_labels(sample.serial), ("channel", one.channel), ("name", name))
            numbers = self._of_channel(one) if one.value is None else self._of_sensor(one.channel, one.value)
            yield from ((metric, labels, value) for metric, value in numbers)

    def _is_wanted(self, serial: str, label: str) -> bool:
        return not self.channels or any(ref.matches(serial) and ref.label == label for ref in self.channels)

    def _of_channel(self, one: Measurement) -> Iterator[tuple[Metric, float]]:
        yield IMPORTED, _joules(one.wh_import)
        yield EXPORTED, _joules(one.wh_export)
        yield POWER, _float(one.watts)
        yield CURRENT, _float(one.amps)

    def _of_sensor(self, label: str, value: float) -> Iterator[tuple[Metric, float]]:
        if re.fullmatch(r"t\d+", label):
            yield TEMPERATURE, value if self.temperature_unit == "celsius" else (value - 32) / 1.8
        else:
            yield PULSES if re.fullmatch(r"p\d+", label) else SENSOR, value


def _joules(wh: Number) -> float:
    """Return energy as whole watt-seconds, as the meters count it.

    A fraction that came of calculating in Wh might be smaller the next time, and Prometheus would take that for a
    counter that began again at zero.
    """
    value = _float(wh) * WS_PER_WH
    return float(round(value)) if math.isfinite(value) else value


def _float(value: Number) -> float:
    return math.nan if value is None else float(value)


def _is_known(value: float) -> bool:
    return math.isfinite(value)
