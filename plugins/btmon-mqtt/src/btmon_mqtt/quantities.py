# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of a sample that are published: which there are, in btmon's order, and which of them are selected.

How a number is written belongs to `payloads.py`, where it goes to `topics.py`.
"""

from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

import attrs

from btcore import Channel, ChannelRef, Format, Sample, visible_channels

UNITS = {"w": "W", "wh": "Wh", "dwh": "Wh", "a": "A", "volts": "V"}
"""The units of kinds of numbers; what begins with p or n is of one direction, what ends with _total of a life."""

KINDS = ("w", "wh", "a", "dwh")
"""The kinds of numbers of a channel, in the order in which they are published."""

SENSOR = "value"
"""The kind of what is not of a channel: a temperature, a count of pulses, the voltage."""

NO_MEASUREMENT = frozenset({"secs", "flag"})


@attrs.frozen
class Quantity:
    """One number of a meter: its label, its channel (`ch1`; of a sensor its label), its kind (`w`), and its unit."""

    label: str
    channel: str
    kind: str = SENSOR
    unit: str = ""


@attrs.frozen
class Selection:
    """Which numbers of a meter are published: those that btmon published, or those of `channels`.

    `further` are numbers that are published as well, as a map names them. `include_current`: amperes too.
    """

    channels: Sequence[ChannelRef] = ()
    further: Collection[ChannelRef] = ()
    include_current: bool = False

    def quantities_of(self, sample: Sample) -> Sequence[Quantity]:
        """Return the numbers of a sample that are selected."""
        visible = tuple(channel.name for channel in visible_channels(sample))
        usual = usual_quantities(sample.format, visible, self.include_current)
        if not (self.channels or self.further):
            return usual
        chosen = usual if not self.channels else [one for one in usual if self._chooses(sample.serial, one)]
        present = {one.label for one in chosen}
        named = (ref.label for ref in (*self.channels, *self.further) if ref.matches(sample.serial))
        more = (label for label in dict.fromkeys(named) if label not in present)
        return [*chosen, *(quantity_of(sample.format, label) for label in more if _is_number(sample, label))]

    def _chooses(self, serial: str, quantity: Quantity) -> bool:
        return any(ref.matches(serial) and ref.label in (quantity.label, quantity.channel) for ref in self.channels)


def _is_number(sample: Sample, label: str) -> bool:
    return label in sample.values or label in sample.format.index


@lru_cache(maxsize=256)
def usual_quantities(format: Format, visible: tuple[str, ...], include_current: bool) -> tuple[Quantity, ...]:
    """Return what is published of a meter unless settings say otherwise: volts, power, energy, sensors, energies."""
    channels = [channel for channel in format.channels if channel.name in visible]
    labels = [label for label in ("volts",) if label in format.index]
    before, after = (KINDS[:3], KINDS[3:]) if include_current else (KINDS[:2], KINDS[3:])
    labels += _of_channels(format, channels, before)
    labels += sensors(format)
    labels += _of_channels(format, channels, after)
    return tuple(quantity_of(format, label) for label in labels)


def _of_channels(format: Format, channels: Sequence[Channel], kinds: Sequence[str]) -> Iterator[str]:
    for kind in kinds:
        labels = (f"{channel.name}_{kind}" for channel in channels)
        yield from (label for label in labels if kind != "a" or label in format.index)


@lru_cache(maxsize=64)
def sensors(format: Format) -> tuple[str, ...]:
    """Return the labels of pulse counters and temperatures; of a meter that btmon did not know, of all else."""
    currents = {f"{channel.name}_a" for channel in format.channels}
    others = {*format.counters, *currents, *NO_MEASUREMENT, "volts"}
    if not format.family:
        return tuple(label for label in format.labels if label not in others)
    return (*format.pulses, *(label for label in format.labels if is_temperature(label)))


def is_temperature(label: str) -> bool:
    """Whether a label of a meter that btmon knew is that of a temperature."""
    return label[:1] == "t" and label[1:].isdigit()


@lru_cache(maxsize=1024)
def quantity_of(format: Format, label: str) -> Quantity:
    """Return what a label of a format is."""
    for channel in format.channels:
        name, _, kind = label.partition(f"{channel.name}_")
        if not name and kind:
            return Quantity(label, channel.name, kind, _unit(kind))
    is_pulses = label.removesuffix("_total") in format.pulses
    return Quantity(label, label, SENSOR, "pulses" if is_pulses else UNITS.get(label, ""))


def _unit(kind: str) -> str:
    plain = kind.removesuffix("_total")
    return UNITS.get(plain) or UNITS.get(plain[1:], "")
