# SPDX-License-Identifier: GPL-3.0-or-later
"""The selection of what a service gets of a sample: channels, numbers and times."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC
from typing import Literal, TypeVar

import attrs

from btcore import FORMATS, Batch, ChannelRef, Format, Number, Polarity, Reject, Sample, visible_channels

T = TypeVar("T")

Direction = Literal["import", "export"]
"""Which way energy flows: `import`, as to a load; `export`, as from solar panels. The same whatever the polarity is."""

OTHER: Mapping[Direction, Direction] = {"import": "export", "export": "import"}

REAL_POWER = 100.0
"""W above which power is no standby power of an inverter and no noise of a clamp."""

IDLE_SHARE = 0.1
"""A flow that is less than this part of the opposite one counts as none."""

GENERATES = (1, 11)
"""What Bidgely and MyEnerSave call generation: all of a site's, and that of one circuit."""

MAX_UNABBREVIATED = 2
"""Successive names up to this number are listed one by one."""


def default_channels(sample: Sample) -> list[str]:
    """Return the channels that a service gets where there is no map: `ch1`..., then `aux1`...

    Channels 33 to 48 of a GEM, which btmon did not send, are among them once they have moved.
    """
    visible = sorted(visible_channels(sample), key=lambda channel: not channel.directional)
    return [channel.name for channel in visible]


def sensor_labels(format: Format, kind: str) -> list[str]:
    """Return the labels of a meter's sensors of a kind: `p` for pulse counters, `t` for temperatures."""
    return [label for label in format.labels if label[0] == kind and label[1:].isdigit()]


def is_circuit(label: str) -> bool:
    """Whether a label may be a channel with power and energy: what other meters than Brultech's have is not known."""
    ours = FORMATS.values()
    names = {channel.name for form in ours for channel in form.channels}
    sensors = {label for form in ours for label in form.labels}
    return label in names or not (label in sensors or label.rpartition("_")[0] in names)


def circuit_faults(names: Iterable[ChannelRef]) -> Iterator[str]:
    """Yield a message for each name that is not a channel with power and energy."""
    for channel in names:
        if not is_circuit(channel.label):
            such = ChannelRef(channel.serial or "399999", "ch1")
            yield f"{channel} does not measure power: expected a channel such as {such}"


def mapped_channels(sample: Sample, names: Mapping[ChannelRef, T]) -> Iterator[tuple[str, T]]:
    """Yield the channels of this sample's meter that a map contains, in its order, with the values of the map."""
    for channel, value in names.items():
        if channel.matches(sample.serial):
            yield channel.label, value


def samples_by_channel(
    batch: Batch, names: Callable[[Sample], Iterable[tuple[str, T]]]
) -> dict[tuple[str, str], tuple[T, list[Sample]]]:
    """Return the samples of each channel, oldest first, by serial and label, with the value that `names` yields."""
    found: dict[tuple[str, str], tuple[T, list[Sample]]] = {}
    for sample in batch.samples:
        for channel, value in names(sample):
            found.setdefault((sample.serial, channel), (value, []))[1].append(sample)
    return found


def finite_number(sample: Sample, label: str) -> Number:
    """Return a number of a sample, None where it is not known. Raises Reject where it is not finite."""
    found = sample.get(label)
    if found is not None and not math.isfinite(found):
        raise Reject(f"meter {sample.serial}: {label} is {found}, which no service takes")
    return found


def power(sample: Sample, channel: str) -> Number:
    """Return a channel's mean power in W, None where it is not known; a sensor's or counter's own value as it is."""
    return finite_number(sample, f"{channel}_w" if f"{channel}_w" in sample.values else channel)


@attrs.frozen
class Flow:
    """What flows through a channel one way: mean W of the interval, never negative, and Wh so far, which never fall."""

    watts: Number
    energy: Number


def flow_one_way(sample: Sample, channel: str, direction: Direction, polarity: Polarity) -> Flow:
    """Return what flows through a channel in one direction; watts and watt-hours are those of the same direction.

    `polarity` is the sign that the sample has. A channel that does not tell directions apart has one counter.
    """
    kind = next((one for one in sample.channels if one.name == channel), None)
    sign = ""
    if kind is not None and kind.directional:
        # without a polarized counter all that was counted is on the import's side
        positive = (direction == "import" or kind.polarized is None) == (polarity == "brultech")
        sign = "p" if positive else "n"
    watts = finite_number(sample, f"{channel}_{sign}w")
    # two counters of one channel may disagree a little, as a packet does not show them at the same instant
    return Flow(None if watts is None else max(0.0, watts), finite_number(sample, f"{channel}_{sign}wh_total"))


def describe_opposite_flow(sample: Sample, channel: str, direction: Direction, polarity: Polarity) -> str:
    """Describe power that flows opposite to `direction`, and hardly any in it; else ""."""
    other = OTHER[direction]
    ours, theirs = (flow_one_way(sample, channel, way, polarity).watts for way in (direction, other))
    if ours is None or theirs is None or theirs < REAL_POWER or ours >= IDLE_SHARE * theirs:
        return ""
    return f"{theirs:,.0f} W flow as {other} now and {ours:,.0f} W as {direction}, and {direction} is sent"


def direction_by_type(number: int) -> Direction:
    """Return which way energy flows through what Bidgely and MyEnerSave call by this number."""
    return "export" if number in GENERATES else "import"


def direction_among(generation: Iterable[ChannelRef], serial: str, channel: str) -> Direction:
    """Return which way energy flows through a channel: export, if it is one of those that generate."""
    return "export" if any(ref.label == channel and ref.matches(serial) for ref in generation) else "import"


def has_channel(sample: Sample, label: str) -> bool:
    """Whether the sample's meter has such a channel, sensor or counter."""
    return any(name in sample.values or name in sample.format.index for name in (label, f"{label}_w"))


def describe_channels(sample: Sample) -> str:
    """List what a meter has, in short: ch1, ch2, aux1 to aux5."""
    names = [channel.name for channel in sample.channels]
    runs: list[list[str]] = []
    for name in (*names, *sensor_labels(sample.format, "p"), *sensor_labels(sample.format, "t")):
        if runs and name == _next(runs[-1][-1]):
            runs[-1].append(name)
        else:
            runs.append([name])
    short = (", ".join(run) if len(run) <= MAX_UNABBREVIATED else f"{run[0]} to {run[-1]}" for run in runs)
    return ", ".join(short)


def _next(name: str) -> str:
    """Return the name with the next number: ch2 after ch1; nothing after a name without one."""
    parts = re.fullmatch(r"(.*?)(\d+)", name)
    return f"{parts[1]}{int(parts[2]) + 1}" if parts else ""


def epoch_seconds(sample: Sample) -> int:
    """Return the end of the sample's interval as whole seconds since 1970."""
    return int(sample.newer.timestamp)


def format_utc(sample: Sample) -> str:
    """Return the end of the sample's interval as UTC: 2023-11-14T22:13:30Z."""
    return f"{sample.end.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
