# SPDX-License-Identifier: GPL-3.0-or-later
"""The layout: what btmon printed of one interval, line by line. Nothing is printed here.

Every width is btmon's. It had two layouts: the ECM's, with lines of its own for either direction of a channel, and the
GEM's, with a line a channel. Channels 33 to 48 of a GEM, which it did not print, have such a line too once they have
moved. Meters of other makes get lines like the GEM's for all that they have, by their own names.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from btcore import Channel, Number, Sample, visible_channels

UNKNOWN = "?"
"""Printed for what the meter could not tell, such as the power of an interval in which it restarted."""

NO_SENSOR = "none"
"""Printed for a temperature or pulse input that nothing is connected to."""

Names = Mapping[str, str]


def describe(sample: Sample, names: Names, *, current: bool = False) -> Iterator[str]:
    """Yield the lines of a sample, without the time before each.

    `names` gives channels names of their own, by `SERIAL_CHANNEL`. `current`: with amperes in the GEM's layout.
    """
    yield f"Serial: {sample.serial}"
    if sample.format.family == "ecm":
        yield from _ecm(sample, names)
    elif sample.format.family == "gem":
        yield from _gem(sample, names, current=current)
    else:
        yield from _other(sample, names)


def _ecm(sample: Sample, names: Names) -> Iterator[str]:
    format_, channels = sample.format, sample.channels
    yield f"Counter: {int(sample.get(format_.reset_label or '') or 0) & format_.reset_mask}"
    titles = {channel.name: _title(sample, names, channel.name, channel.name.capitalize()) for channel in channels}
    width = _width(20, [f"{title} Positive Watts" for title in titles.values()])
    # btmon's line of an ECM-1220, which has no auxiliary channels, is one narrower
    volts = 9 if any(not channel.directional for channel in channels) else 8
    yield f"{'Voltage:':<{width}}{_number(sample.get('volts'), volts, 2)}V"
    for channel in channels:
        if channel.directional:
            yield f"{titles[channel.name] + ' Current:':<{width}}{_number(sample.get(f'{channel.name}_a'), 9, 2)}A"
    for channel in channels:
        for what, kind in _directions(channel):
            power = _power(sample, channel.name, kind, 13)
            yield f"{f'{titles[channel.name]} {what}:':<{width}}{power}"


def _directions(channel: Channel) -> Sequence[tuple[str, str]]:
    """Return what the lines of a channel are called, and which of its energies each tells."""
    both = (("Positive Watts", "p"), ("Negative Watts", "n"))
    return (("Watts", ""), *(both if channel.directional else ()))


def _gem(sample: Sample, names: Names, *, current: bool) -> Iterator[str]:
    channels = [channel.name for channel in visible_channels(sample)]
    sensors = [label for label in sample.format.labels if re.fullmatch(r"[pt]\d+", label)]
    titles = {name: _title(sample, names, name, _numbered(name)) for name in channels}
    titles |= {label: _title(sample, names, label, label) for label in sensors}
    width = _width(5, titles.values())
    yield f"Voltage: {_number(sample.get('volts'), 7, 2)}V"
    for name in channels:
        amperes = f" ({_number(sample.get(f'{name}_a'), 7, 2)}A)" if current else ""
        yield f"{titles[name] + ':':<{width}}{_power(sample, name, '', 14)}{amperes}"
    for label in sensors:
        digits = 0 if label[0] == "p" else 6
        yield f"{titles[label] + ':':<{width}}{_number(sample.get(label), 14, digits, NO_SENSOR)}"


def _other(sample: Sample, names: Names) -> Iterator[str]:
    """Yield a line for each channel and each measured number of a meter that btmon did not know."""
    counters = {label for channel in sample.channels for label in (channel.absolute, channel.polarized)}
    channels = [channel.name for channel in sample.channels]
    measured = [label for label in sample.format.labels if label != "secs" and label not in counters]
    titles = {name: _title(sample, names, name, name) for name in (*channels, *measured)}
    width = _width(5, titles.values())
    for name in channels:
        yield f"{titles[name] + ':':<{width}}{_power(sample, name, '', 14)}"
    for label in measured:
        yield f"{titles[label] + ':':<{width}}{_number(sample.get(label), 14, 6, NO_SENSOR)}"


def _title(sample: Sample, names: Names, channel: str, usual: str) -> str:
    return names.get(f"{sample.serial}_{channel}", usual)


def _numbered(name: str) -> str:
    """Write a channel's name as btmon did for a GEM: ch1 is Ch01."""
    number = name.removeprefix("ch")
    return f"Ch{int(number):02d}" if number.isdigit() else name


def _width(usual: int, titles: Iterable[str]) -> int:
    """Return how wide the column of titles is: as usual, or what the longest one needs with its colon."""
    return max([usual, *(len(title) + 1 for title in titles)])


def _power(sample: Sample, channel: str, kind: str, width: int) -> str:
    """Energy and power of a channel; watts are cut to whole ones, as btmon did."""
    energy, watts = sample.get(f"{channel}_{kind}wh"), sample.get(f"{channel}_{kind}w")
    kwh = None if energy is None else energy / 1000
    return f"{_number(kwh, width, 6)}KWh ({_number(None if watts is None else int(watts), 5, 0)}W)"


def _number(value: Number, width: int, digits: int, missing: str = UNKNOWN) -> str:
    """Write a number to a width; z: what is rounded to 0 has no sign."""
    return f"{missing:>{width}}" if value is None else f"{value:z{width}.{digits}f}"
