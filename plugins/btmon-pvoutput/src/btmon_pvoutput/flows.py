# SPDX-License-Identifier: GPL-3.0-or-later
"""The flows through a channel: power and energy of each direction.

Pure. Which direction is sent is decided in `direction.py`.
"""

from typing import Literal

from btcore import Channel, Number, Polarity, Sample
from btcore.light import frozen

DirectionSetting = Literal["auto", "import", "export", "both"]
"""Which direction is sent: `import`, as to a load; `export`, as from solar panels, whatever the polarity is.

`auto` is the one of which the meter has counted more, `both` the sum.
"""

Direction = Literal["import", "export"]
OTHER: dict[Direction, Direction] = {"import": "export", "export": "import"}


@frozen
class Flow:
    """Mean W over the interval, never negative, and Wh so far, by a counter that never falls; None: not known."""

    watts: Number
    energy: Number


@frozen
class Flows:
    """Both flows of a channel. `apart`: the meter measures each; otherwise both are the total."""

    imported: Flow
    exported: Flow
    apart: bool

    def __getitem__(self, direction: Direction) -> Flow:
        """Return one of them."""
        return self.imported if direction == "import" else self.exported

    @property
    def both(self) -> Flow:
        """The two added."""
        if not self.apart:
            return self.imported
        one, other = self.imported, self.exported
        return Flow(_sum(one.watts, other.watts), _sum(one.energy, other.energy))


def flows(sample: Sample, name: str, polarity: Polarity) -> Flows | None:
    """Return what flows through a channel of the sample's meter; None where the meter has none of that name."""
    channel = channel_of(sample, name)
    if channel is None:
        return None
    if not channel.directional:
        only = _flow(sample, f"{name}_")
        return Flows(only, only, apart=False)
    positive, negative = (_flow(sample, f"{name}_{sign}") for sign in "pn")
    both_ways = (positive, negative) if polarity == "brultech" else (negative, positive)
    found = Flows(*both_ways, apart=True)
    return found if channel.polarized is not None else Flows(found.both, found.both, apart=False)


def channel_of(sample: Sample, name: str) -> Channel | None:
    """Return a channel of the sample's meter by its name."""
    return next((channel for channel in sample.channels if channel.name == name), None)


def _flow(sample: Sample, start: str) -> Flow:
    watts = sample.get(f"{start}w")
    # two counters of one channel may disagree a little, as a packet does not show them at the same instant
    return Flow(0.0 if watts is not None and watts < 0 else watts, sample.get(f"{start}wh_total"))


def _sum(one: Number, other: Number) -> Number:
    return None if one is None or other is None else one + other
