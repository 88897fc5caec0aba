"""What of a sample goes to a service: which channels, under which name, with which numbers and time."""

from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import TypeVar

from btcore import ChannelRef, Format, Sample

T = TypeVar("T")

MOST_CHANNELS = 32
"""Channels of a meter that are sent without a map, as in btmon: the vendor calls the other 16 a future expansion."""


def channels(format: Format) -> list[str]:
    """Return the channels of a meter that a service gets where there is no map: `ch1`..., then `aux1`..."""
    circuits = [channel.name for channel in format.channels if channel.directional]
    return circuits[:MOST_CHANNELS] + [channel.name for channel in format.channels if not channel.directional]


def sensors(format: Format, kind: str) -> list[str]:
    """Return the labels of a meter's sensors of a kind: `p` for pulse counters, `t` for temperatures."""
    return [label for label in format.labels if label[0] == kind and label[1:].isdigit()]


def mapped(sample: Sample, names: Mapping[ChannelRef, T]) -> Iterator[tuple[str, T]]:
    """Yield the channels of this sample's meter that a map has, in the map's order, with what it says of them."""
    for channel, value in names.items():
        if channel.matches(sample.serial):
            yield channel.label, value


def power(sample: Sample, channel: str) -> float | None:
    """Return a channel's mean power in W, None where it is not known; a sensor's or counter's own value as it is."""
    return sample.get(f"{channel}_w" if f"{channel}_w" in sample.values else channel)


def has(sample: Sample, label: str) -> bool:
    """Whether the sample's meter has such a channel, sensor or counter."""
    return any(name in sample.values or name in sample.format.index for name in (label, f"{label}_w"))


def epoch(sample: Sample) -> int:
    """Return the end of the sample's interval as whole seconds since 1970."""
    return int(sample.newer.timestamp)


def utc(sample: Sample) -> str:
    """Return the end of the sample's interval as UTC: 2023-11-14T22:13:30Z."""
    return f"{sample.end.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
