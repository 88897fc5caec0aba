"""What of a sample goes to a service: which channels, under which name, with which numbers and time."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC
from typing import Literal, TypeVar

from btcore import FORMATS, Batch, ChannelRef, Format, Number, Polarity, Reject, Sample

T = TypeVar("T")

Direction = Literal["import", "export"]
"""Which way energy flows: `import`, as to a load; `export`, as from solar panels. The same whatever the polarity is."""

MOST_CHANNELS = 32
"""Channels of a meter that are sent without a map, as in btmon: the vendor calls the other 16 a future expansion."""


def channels(format: Format) -> list[str]:
    """Return the channels of a meter that a service gets where there is no map: `ch1`..., then `aux1`..."""
    circuits = [channel.name for channel in format.channels if channel.directional]
    return circuits[:MOST_CHANNELS] + [channel.name for channel in format.channels if not channel.directional]


def sensors(format: Format, kind: str) -> list[str]:
    """Return the labels of a meter's sensors of a kind: `p` for pulse counters, `t` for temperatures."""
    return [label for label in format.labels if label[0] == kind and label[1:].isdigit()]


def is_circuit(label: str) -> bool:
    """Whether a label may be a channel with power and energy: what other meters than Brultech's have is not known."""
    ours = FORMATS.values()
    names = {channel.name for form in ours for channel in form.channels}
    sensors = {label for form in ours for label in form.labels}
    return label in names or not (label in sensors or label.rpartition("_")[0] in names)


def circuit_faults(names: Iterable[ChannelRef]) -> Iterator[str]:
    """Tell of each that is not a channel with power and energy, but a sensor or a single number."""
    for channel in names:
        if not is_circuit(channel.label):
            such = ChannelRef(channel.serial or "399999", "ch1")
            yield f"{channel} does not measure power: expected a channel such as {such}"


def mapped(sample: Sample, names: Mapping[ChannelRef, T]) -> Iterator[tuple[str, T]]:
    """Yield the channels of this sample's meter that a map has, in the map's order, with what it says of them."""
    for channel, value in names.items():
        if channel.matches(sample.serial):
            yield channel.label, value


def series(
    batch: Batch, names: Callable[[Sample], Iterable[tuple[str, T]]]
) -> dict[tuple[str, str], tuple[T, list[Sample]]]:
    """Return the samples of each channel, oldest first, by serial and label, with what `names` says of the channel."""
    found: dict[tuple[str, str], tuple[T, list[Sample]]] = {}
    for sample in batch.samples:
        for channel, value in names(sample):
            found.setdefault((sample.serial, channel), (value, []))[1].append(sample)
    return found


def number(sample: Sample, label: str) -> Number:
    """Return a number of a sample, None where it is not known. Raises Reject where it is none that can be written."""
    found = sample.get(label)
    if found is not None and not math.isfinite(found):
        raise Reject(f"meter {sample.serial}: {label} is {found}, which no service takes")
    return found


def power(sample: Sample, channel: str) -> Number:
    """Return a channel's mean power in W, None where it is not known; a sensor's or counter's own value as it is."""
    return number(sample, f"{channel}_w" if f"{channel}_w" in sample.values else channel)


def counted(sample: Sample, channel: str, direction: Direction, polarity: Polarity) -> Number:
    """Return what a channel has counted in one direction, in Wh: unlike the net energy, it never falls.

    `polarity` is the sign that the sample has. A channel that does not tell directions apart has one counter.
    """
    kind = next((one for one in sample.channels if one.name == channel), None)
    if kind is None or not kind.directional:
        return number(sample, f"{channel}_wh")
    # without a polarized counter all that was counted is on the import's side
    positive = (direction == "import" or kind.polarized is None) == (polarity == "brultech")
    return number(sample, f"{channel}_{'p' if positive else 'n'}wh")


def has(sample: Sample, label: str) -> bool:
    """Whether the sample's meter has such a channel, sensor or counter."""
    return any(name in sample.values or name in sample.format.index for name in (label, f"{label}_w"))


def epoch(sample: Sample) -> int:
    """Return the end of the sample's interval as whole seconds since 1970."""
    return int(sample.newer.timestamp)


def utc(sample: Sample) -> str:
    """Return the end of the sample's interval as UTC: 2023-11-14T22:13:30Z."""
    return f"{sample.end.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
