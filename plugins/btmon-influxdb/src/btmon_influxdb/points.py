# SPDX-License-Identifier: GPL-3.0-or-later
"""What a batch holds, as points: our own layout of samples, and btmon's three layouts of its tables. Pure.

Each point has the time of its reading. btmon's points had none, so that of a batch one value each survived.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import attrs

from btcore import (
    Batch,
    ChannelRef,
    Number,
    Polarity,
    Reading,
    Sample,
    SerialNames,
    active_further_channels,
    columns,
    measurements,
)
from btmon_influxdb.line_protocol import Point, finite_fields

Schema = Literal["samples", "counters", "ecmread", "ecmreadext"]
Mode = Literal["col", "row", "dotted"]

SECONDS = "secs"
VOLTS = "volts"

IDENTIFYING = ("serial", "channel", "id")
"""Tags that tell series apart, whatever the channels are called and whatever other tags there are."""


@attrs.frozen(eq=False)
class PointGroup:
    """What is written of one reading: its points, all of the same time."""

    serial: str
    key: int
    points: Sequence[Point]


@attrs.frozen(kw_only=True)
class Layout:
    """How readings and samples become points. `serial_names` are the names of meters, `names` those of [channels].

    `map` has the channels (with btmon's schemas: labels) that are written, and their names; all, where it is empty.
    """

    schema: Schema
    mode: Mode
    measurement: str
    tags: Mapping[str, str]
    map: Mapping[ChannelRef, str]
    polarity: Polarity
    include_current: bool
    names: Mapping[str, str]
    serial_names: SerialNames

    def groups(self, batch: Batch) -> Iterator[PointGroup]:
        """Yield what is written of a batch, oldest first: a group for each reading, or sample, that has a point."""
        for record in batch.readings if self.schema == "counters" else batch.samples:
            points = list(self._points(record))
            if points:
                reading = _end_of(record)
                yield PointGroup(reading.serial, reading.key, points)

    def _points(self, record: Reading | Sample) -> Iterator[Point]:
        if isinstance(record, Sample) and self.schema == "samples":
            return self._sample_points(record)
        return self._btmon_points(record)

    # --- our own: a point for each channel and sensor

    def _sample_points(self, sample: Sample) -> Iterator[Point]:
        for channel, values in self._measured(sample):
            if (fields := finite_fields(values)) and (name := self._name(sample.serial, channel)):
                serial = self.serial_names[sample.serial]
                yield self._point(sample, self.measurement, fields, serial=serial, channel=channel, name=name)

    def _measured(self, sample: Sample) -> Iterator[tuple[str, dict[str, Number]]]:
        """Yield the values of each channel in use and of each sensor, and the voltage."""
        for one in measurements(sample, self.polarity):
            amps = one.amps if self.include_current else None
            energy = {"watts": one.watts, "wh_import": one.wh_import, "wh_export": one.wh_export}
            yield one.channel, {**energy, "amps": amps, "value": one.value}
        yield VOLTS, {VOLTS: sample.newer.get(VOLTS)}

    def _name(self, serial: str, channel: str) -> str:
        """Return what a channel is called; empty where the map leaves it out."""
        if self.map:
            return _mapped(self.map, serial, channel)
        return self.names.get(f"{serial}_{channel}", f"{self.serial_names[serial]}_{channel}")

    # --- btmon's

    def _btmon_points(self, record: Reading | Sample) -> Iterator[Point]:
        reading = _end_of(record)
        serial = self.serial_names[reading.serial]
        fields = finite_fields(self._values(record))
        if self.mode == "row":
            if fields:
                own = {label if self.map else f"{serial}_{label}": value for label, value in fields.items()}
                yield self._point(record, self.measurement, own, serial=serial)
            return
        for label, value in fields.items():
            if self.mode == "dotted":
                yield self._point(record, f"{self.measurement}.{label}", {"value": value}, serial=serial)
            else:
                yield self._point(record, self.measurement, {"value": value}, serial=serial, id=label)

    def _values(self, record: Reading | Sample) -> dict[str, Number]:
        """Return the values of btmon's table, in its order, by label, or by the name that the map has."""
        found: dict[str, Number] = {}
        for column in columns(record.format, self.schema, active_further_channels(record)):
            name = _mapped(self.map, record.serial, column.label) if self.map else column.label
            if name and (self.map or column.label != SECONDS):
                found[name] = record.get(column.label)
        return found

    def _point(self, record: Reading | Sample, measurement: str, fields: Mapping[str, float], **own: str) -> Point:
        return Point(measurement, {**self.tags, **own}, fields, _end_of(record).key)


def _mapped(names: Mapping[ChannelRef, str], serial: str, label: str) -> str:
    """Return the name that a map has for a channel or label of a meter; for "" its label; empty where it has none."""
    return next((name or label for ref, name in names.items() if ref.label == label and ref.matches(serial)), "")


def _end_of(record: Reading | Sample) -> Reading:
    return record.newer if isinstance(record, Sample) else record
