# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a message: a number as btmon wrote it, with its unit or time where that is wanted; a meter as JSON."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import attrs

from btcore import ChannelRef, Number, Sample, SerialNames
from btmon_mqtt.messages import Message
from btmon_mqtt.quantities import Quantity, Selection
from btmon_mqtt.topics import join, level


@attrs.frozen
class Numbers:
    """How numbers are written: the digits behind the point, and whether each has its unit and its time."""

    digits: int = 3
    units: bool = False
    timestamps: bool = False

    def rounded(self, value: Number) -> Number:
        """Return a number as it is published, never -0; None where there is none, or none that JSON has."""
        if value is None or not math.isfinite(value):
            return None
        return round(float(value), self.digits) + 0.0 if self.digits else round(value)

    def write(self, value: Number, unit: str, time: datetime) -> str:
        """Return the payload of one number, which is known."""
        if self.timestamps:
            table: dict[str, object] = {"time": format_time(time), "value": value}
            return compact(table | {"unit": unit} if self.units and unit else table)
        return f"{value} {unit}" if self.units and unit else str(value)


@attrs.frozen
class Layout:
    """Where each number goes: topics, and the names that a map gives to some numbers in their place."""

    base_topic: str
    topic: str
    json_topic: str
    map: Mapping[ChannelRef, str]
    selection: Selection
    numbers: Numbers
    retain: bool
    serials: SerialNames
    names: Mapping[str, str]
    """The names of [channels], by `SERIAL_CHANNEL`."""

    def values(self, sample: Sample) -> Iterator[Message]:
        """Yield a message for each number of a sample that is known."""
        for quantity in self.selection.quantities_of(sample):
            value = self.numbers.rounded(sample.get(quantity.label))
            if value is not None:
                topic = join(self.base_topic, self._topic(sample.serial, quantity))
                yield Message(topic, self.numbers.write(value, quantity.unit, sample.end), self.retain)

    def meter(self, sample: Sample) -> Iterator[Message]:
        """Yield the message with all numbers of a sample, if any is selected; null is what is not known."""
        quantities = self.selection.quantities_of(sample)
        if quantities:
            topic = join(self.base_topic, self.json_topic.format(serial=level(self.serials[sample.serial])))
            yield Message(topic, compact(self._table(sample, quantities)), self.retain)

    def _table(self, sample: Sample, quantities: Sequence[Quantity]) -> dict[str, object]:
        table: dict[str, object] = {"time": format_time(sample.end), "serial": self.serials[sample.serial]}
        table["seconds"] = sample.seconds
        for quantity in quantities:
            name = self._mapped(sample.serial, quantity.label) or quantity.label
            value = self.numbers.rounded(sample.get(quantity.label))
            with_unit = self.numbers.units and quantity.unit
            table[name] = {"value": value, "unit": quantity.unit} if with_unit else value
        return table

    def _topic(self, serial: str, quantity: Quantity) -> str:
        named = self._mapped(serial, quantity.label)
        if named:
            return named
        key = f"{serial}_{quantity.channel}"
        return self.topic.format(
            serial=level(self.serials[serial]),
            label=level(quantity.label),
            channel=level(quantity.channel),
            kind=quantity.kind,
            name=level(self.names.get(key) or f"{self.serials[serial]}_{quantity.channel}"),
        )

    def _mapped(self, serial: str, label: str) -> str:
        return self.map.get(ChannelRef(serial, label)) or self.map.get(ChannelRef("", label), "")


def format_time(time: datetime) -> str:
    """Return a time in UTC: 2023-11-14T22:13:30Z, with a fraction of a second where it has one."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def compact(table: Mapping[str, object]) -> str:
    """Return a table as JSON, without blanks."""
    return json.dumps(table, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
