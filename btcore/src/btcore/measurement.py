# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sample says of each channel and sensor, in the terms of its owner: imported, exported, watts, degrees.

For sinks with a row, a series or a line for each channel. How a sink writes it belongs to the sink.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from btcore.formats import SECONDS, Channel, Format, Number
from btcore.further_channels import visible_channels
from btcore.records import Sample, calculated_of
from btcore.settings import Polarity


class Measurement(NamedTuple):
    """One channel or sensor of a meter in one sample. None is what is not known, or what it does not have.

    `watts` is the mean power of the interval, with the sign that the polarity gives it. `amps` is measured at the
    interval's end. `wh_delta` is the energy of the interval, net; `wh_import` and `wh_export` are what the channel has
    counted in all its life, each direction by itself: they never fall. `value` is the number of a sensor, which has
    nothing else: degrees, pulses.
    """

    channel: str
    watts: Number = None
    amps: Number = None
    wh_delta: Number = None
    wh_import: Number = None
    wh_export: Number = None
    value: Number = None


def measurements(sample: Sample, polarity: Polarity) -> Iterator[Measurement]:
    """Yield the visible channels of a sample, then the sensors that there are. `polarity` is the sign that it has."""
    plans, value = _plans(sample.format, polarity), calculated_of(sample).get
    numbers = (*sample.newer.numbers, None)  # what is not measured is at the index -1
    for channel in visible_channels(sample):
        amps, power, energies = plans[channel.name]
        yield Measurement(channel.name, value(power), numbers[amps], *map(value, energies))
    for label in sensor_labels(sample.format):
        if (found := sample.newer.get(label)) is not None:
            yield Measurement(label, value=found)


@lru_cache(maxsize=64)
def sensor_labels(format: Format) -> tuple[str, ...]:
    """Return the labels of a format that are neither of a channel nor of the meter itself."""
    of_channels = {counter for one in format.channels for counter in (one.absolute, one.polarized)}
    of_channels |= {f"{one.name}_a" for one in format.channels}
    own = {SECONDS, "volts", format.reset_label}
    return tuple(label for label in format.labels if label not in of_channels and label not in own)


Plan = tuple[int, str, tuple[str, str, str]]
"""Of a channel: the index of its amperes, and the labels of its power, and of its energies."""


@lru_cache(maxsize=64)
def _plans(format: Format, polarity: Polarity) -> Mapping[str, Plan]:
    """Return the plan of each channel of a format, by its name."""
    return {channel.name: _plan(format, channel, polarity) for channel in format.channels}


def _plan(format: Format, channel: Channel, polarity: Polarity) -> Plan:
    name = channel.name
    taken, given = _directions(channel, polarity)
    return (
        format.index.get(f"{name}_a", -1),
        f"{name}_w",
        (f"{name}_dwh", f"{name}_{taken}_total", f"{name}_{given}_total"),
    )


def _directions(channel: Channel, polarity: Polarity) -> tuple[str, str]:
    """Return which energies are imported and exported: what a positive number means depends on the polarity."""
    if not channel.directional:
        return "wh", ""  # nothing is exported
    return ("pwh", "nwh") if polarity == "brultech" else ("nwh", "pwh")
