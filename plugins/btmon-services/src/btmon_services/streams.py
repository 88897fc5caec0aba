"""Which channels of a meter go to a service, and under which name: all of them, or those of a map."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from btcore import ChannelRef, Format, Sample

T = TypeVar("T")

MOST_CHANNELS = 32
"""Channels of a meter that are sent without a map, as in btmon: the vendor calls the other 16 a future expansion."""


def channels(format: Format) -> list[str]:
    """Return the channels of a meter that a service gets where there is no map: `ch1`..., then `aux1`..."""
    circuits = [channel.name for channel in format.channels if channel.directional]
    return circuits[:MOST_CHANNELS] + [channel.name for channel in format.channels if not channel.directional]


def mapped(sample: Sample, names: Mapping[ChannelRef, T]) -> Iterator[tuple[str, T]]:
    """Yield the channels of this sample's meter that a map has, in the map's order, with what it says of them."""
    for channel, value in names.items():
        if channel.matches(sample.serial):
            yield channel.label, value


def power(sample: Sample, channel: str) -> float | None:
    """Return a channel's mean power in W, None where it is not known; a sensor's or counter's own value as it is."""
    return sample.get(f"{channel}_w" if f"{channel}_w" in sample.values else channel)
