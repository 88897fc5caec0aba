# SPDX-License-Identifier: GPL-3.0-or-later
"""The measures that are sent to PVOutput: from a sample to the fields v1 to v6 of a status.

Power and energy of a field are of one direction, and its energy a counter that never falls, not the net: see
`flows.py` and `direction.py`. When a status is, and how it is written, is in `status.py`.
"""

import math
import re
from collections.abc import Iterator, Mapping

from btcore import FORMATS, ChannelRef, Number, Polarity, Reject, Sample
from btcore.light import field, frozen
from btmon_pvoutput.direction import Directions
from btmon_pvoutput.flows import DirectionSetting, channel_of, flows

Quantities = Mapping[str, Number]
"""What is known for one slot, by quantity: `generation_wh`, `generation_w`, `consumption_w`, `grid_w`, `volts`, ..."""


@frozen(kw_only=True)
class Measures:
    """The channel of each measure. `polarity` is the sign that the samples have.

    `directions` remembers what was seen of the channels.
    """

    generation: ChannelRef | None
    generation_direction: DirectionSetting
    consumption: ChannelRef | None
    consumption_direction: DirectionSetting
    grid: ChannelRef | None
    temperature: ChannelRef | None
    fahrenheit: bool
    polarity: Polarity
    directions: Directions = field(factory=Directions)

    def quantities(self, sample: Sample) -> dict[str, Number]:
        """Return what one meter knows of the quantities wanted: Wh, W, volts, degrees as the meter has them."""
        found: dict[str, Number] = {}
        for kind, ref, direction in self._energies():
            both = flows(sample, ref.label, self.polarity) if ref and ref.matches(sample.serial) else None
            if ref and both:
                flow = self.directions.select(kind, ChannelRef(sample.serial, ref.label), direction, both)
                found[f"{kind}_wh"], found[f"{kind}_w"] = flow.energy, flow.watts
        if self.grid is not None and self.grid.matches(sample.serial):
            found["grid_w"] = self._net(sample, self.grid.label)
        if self.temperature is not None and self.temperature.matches(sample.serial):
            found["temperature"] = sample.get(self.temperature.label)
        main = self.generation or self.consumption
        if main is not None and main.matches(sample.serial):
            found["volts"] = sample.get("volts")
        for name, number in found.items():
            if number is not None and not math.isfinite(number):
                raise Reject(f"meter {sample.serial}: {name} is {number}, which PVOutput does not take")
        return found

    def fields(self, known: Quantities) -> dict[str, str]:
        """Write the quantities of one slot, of all meters, as PVOutput's fields; what is not known is left out."""
        numbers = {
            "v1": _format_integer(known.get("generation_wh")),
            "v2": _format_integer(known.get("generation_w")),
            "v3": _format_integer(known.get("consumption_wh")),
            "v4": _format_integer(known.get("consumption_w") if self.grid is None else _behind_grid(known)),
            "v5": _format_decimal(self._celsius(known.get("temperature"))),
            "v6": _format_decimal(known.get("volts")),
        }
        return {field: text for field, text in numbers.items() if text is not None}

    @property
    def lifetime(self) -> str:
        """The flag `c1`, which says what counters v1 and v3 are: 1, of a lifetime; 2, only v1, as there is no v3."""
        return "1" if self.grid is None else "2"

    def mismatches(self, sample: Sample) -> Iterator[str]:
        """Yield a message for each setting that does not fit this meter."""
        for kind, ref in (*((kind, ref) for kind, ref, _ in self._energies()), ("grid", self.grid)):
            if ref is not None and ref.matches(sample.serial) and channel_of(sample, ref.label) is None:
                names = ", ".join(channel.name for channel in sample.channels)
                yield f"{kind}: meter {sample.serial} has no {ref.label}; it has {names}"
        degrees = self.temperature
        if degrees is not None and degrees.matches(sample.serial) and degrees.label not in sample.format.index:
            yield f"temperature: packets of meter {sample.serial} ({sample.format.name}) have no {degrees.label}"

    def _energies(self) -> tuple[tuple[str, ChannelRef | None, DirectionSetting], ...]:
        return (
            ("generation", self.generation, self.generation_direction),
            ("consumption", self.consumption, self.consumption_direction),
        )

    def _net(self, sample: Sample, name: str) -> Number:
        """W, import positive."""
        channel = channel_of(sample, name)
        watts = sample.get(f"{name}_w") if channel else None
        negated = channel is not None and channel.directional and self.polarity == "btmon"
        return -watts if negated and watts is not None else watts

    def _celsius(self, degrees: Number) -> Number:
        return (degrees - 32) / 1.8 if self.fahrenheit and degrees is not None else degrees


def is_circuit(label: str) -> bool:
    """Whether a label may be a channel with power and energy: what other meters than Brultech's have is not known."""
    ours = FORMATS.values()
    names = {channel.name for form in ours for channel in form.channels}
    sensors = {label for form in ours for label in form.labels}
    return label in names or not (label in sensors or label.rpartition("_")[0] in names)


def is_sensor(label: str) -> bool:
    """Whether a label may be a temperature: it is not a channel of Brultech's meters, nor a number of another kind."""
    ours = FORMATS.values()
    others = {label for form in ours for label in form.labels if not re.fullmatch(r"t\d+", label)}
    names = {channel.name for form in ours for channel in form.channels}
    return label not in others | names and label.rpartition("_")[0] not in names


def _behind_grid(known: Quantities) -> Number:
    """W that a house consumes, of which the grid supplies the part that its own generation does not."""
    generation, grid = known.get("generation_w"), known.get("grid_w")
    return None if generation is None or grid is None else generation + grid


def _format_integer(number: Number) -> str | None:
    """PVOutput refuses negative numbers; a difference of two measurements can be one by their inaccuracy."""
    return None if number is None else str(max(round(number), 0))


def _format_decimal(number: Number) -> str | None:
    return None if number is None else f"{number:.1f}"
