# SPDX-License-Identifier: GPL-3.0-or-later
"""Which statistics a meter has: each direction of each channel, and the pulse counters that [channels] gives a unit.

A sample says what each of them counted; rows are made of that in `hours.py` and `series.py`. Pure.
"""

import re
from collections.abc import Callable, Iterator, Sequence

import attrs

from btcore import Channel, ChannelDescription, ChannelRef, Number, Polarity, Sample, SerialNames, visible_channels
from btmon_home_assistant.hours import HOUR

SOURCE = "btcore"
"""What the ids of our statistics begin with: Home Assistant has statistics of an integration by its name."""

KILO = 0.001
"""kWh of a Wh."""

Describe = Callable[[str, str], ChannelDescription]
"""Returns what [channels] says of a channel; one that is not there is named SERIAL_CHANNEL."""


@attrs.frozen
class Statistic:
    """One statistic of Home Assistant: its id (`btcore:01000777_ch1_import`), its name, and its unit."""

    id: str
    name: str
    unit: str = "kWh"


@attrs.frozen
class CounterValue:
    """What a statistic's counter showed at the end of a sample, and by how much it rose; None where that is unknown."""

    statistic: Statistic
    total: float
    rise: float | None


@attrs.frozen
class Statistics:
    """The statistics of meters, by the polarity of their samples and the settings: of all channels, or of these."""

    polarity: Polarity
    describe: Describe
    serials: SerialNames
    channels: Sequence[ChannelRef] = ()

    def of(self, sample: Sample) -> Iterator[CounterValue]:
        """Yield what a sample says of each counter that has ever counted anything."""
        for channel in visible_channels(sample):
            if self._chooses(sample.serial, channel.name):
                yield from self._of_channel(sample, channel)
        for label in sample.format.pulses:
            if self._chooses(sample.serial, label):
                yield from self._of_pulses(sample, label)

    def _chooses(self, serial: str, channel: str) -> bool:
        return not self.channels or any(one.matches(serial) and one.label == channel for one in self.channels)

    def _of_channel(self, sample: Sample, channel: Channel) -> Iterator[CounterValue]:
        for what, energy in _directions(channel, self.polarity):
            total = sample.get(f"{channel.name}_{energy}_total")
            if total:
                words = f"energy {what}ed" if channel.directional else "energy"
                statistic = self._statistic(sample.serial, channel.name, what, words)
                power = sample.get(f"{channel.name}_{energy[:-1]}")  # wh is counted at w
                yield CounterValue(statistic, total * KILO, _energy(power, sample.seconds))

    def _of_pulses(self, sample: Sample, label: str) -> Iterator[CounterValue]:
        description = self.describe(sample.serial, label)
        total = sample.get(f"{label}_total")
        if description.unit and total:
            statistic = self._statistic(sample.serial, label, "", "", description.unit)
            pulses = _pulses(sample, label)
            rise = None if pulses is None else pulses * description.per_pulse
            yield CounterValue(statistic, total * description.per_pulse, rise)

    def _statistic(self, serial: str, channel: str, what: str, words: str, unit: str = "kWh") -> Statistic:
        meter = self.serials[serial]
        name = self.describe(serial, channel).name
        if name == f"{serial}_{channel}":
            name = f"{meter} {channel}"
        slug = "_".join(filter(None, (meter, channel, what)))
        return Statistic(f"{SOURCE}:{_slug(slug)}", f"{name} {words}".rstrip(), unit)


def _directions(channel: Channel, polarity: Polarity) -> tuple[tuple[str, str], ...]:
    """Return the ends of the ids of a channel's statistics, each with the label of its energy."""
    if not channel.directional:
        return (("energy", "wh"),)
    ways = ("pwh", "nwh") if polarity == "brultech" else ("nwh", "pwh")
    return tuple(zip(("import", "export"), ways, strict=True))


def _energy(watts: Number, seconds: float | None) -> float | None:
    return None if watts is None or seconds is None else watts * seconds / HOUR * KILO


def _pulses(sample: Sample, label: str) -> float | None:
    """Return by how much a pulse counter rose; None where it did not just rise, or is not known."""
    before, after = sample.older.get(label), sample.newer.get(label)
    if before is None or after is None or after < before or sample.reset:
        return None
    return after - before


def _slug(text: str) -> str:
    """Return a text as Home Assistant wants the second half of an id: small letters, digits, single underscores.

    Letters of other alphabets become their numbers, so that two meters do not get the same id.
    """
    ascii_only = re.sub(r"[^\x00-\x7f]", lambda found: f"{ord(found[0]):x}", text.lower())
    return re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_")
