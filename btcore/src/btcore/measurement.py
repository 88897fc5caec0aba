# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sample says of each channel and sensor, in the terms of its owner: imported, exported, watts, degrees.

For sinks with a row, a series or a line for each channel. How a sink writes it belongs to the sink.
"""

from collections.abc import Iterator
from functools import lru_cache

import attrs

from btcore.formats import SECONDS, Channel, Format, Number
from btcore.further_channels import visible_channels
from btcore.records import Sample
from btcore.settings import Polarity


@attrs.frozen
class Measurement:
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
    for channel in visible_channels(sample):
        yield _of_channel(sample, channel, polarity)
    for label in sensor_labels(sample.format):
        if (value := sample.newer.get(label)) is not None:
            yield Measurement(label, value=value)


@lru_cache(maxsize=64)
def sensor_labels(format: Format) -> tuple[str, ...]:
    """Return the labels of a format that are neither of a channel nor of the meter itself."""
    of_channels = {counter for one in format.channels for counter in (one.absolute, one.polarized)}
    of_channels |= {f"{one.name}_a" for one in format.channels}
    own = {SECONDS, "volts", format.reset_label}
    return tuple(label for label in format.labels if label not in of_channels and label not in own)


def _of_channel(sample: Sample, channel: Channel, polarity: Polarity) -> Measurement:
    name = channel.name
    taken, given = _directions(channel, polarity)
    return Measurement(
        channel=name,
        watts=sample.get(f"{name}_w"),
        amps=sample.newer.get(f"{name}_a"),
        wh_delta=sample.get(f"{name}_dwh"),
        wh_import=sample.get(f"{name}_{taken}_total"),
        wh_export=sample.get(f"{name}_{given}_total") if given else None,
    )


def _directions(channel: Channel, polarity: Polarity) -> tuple[str, str]:
    """Return which energies are imported and exported: what a positive number means depends on the polarity."""
    if not channel.directional:
        return "wh", ""
    return ("pwh", "nwh") if polarity == "brultech" else ("nwh", "pwh")
