# SPDX-License-Identifier: GPL-3.0-or-later
"""What a virtual channel counts: like a meter, energy in either direction, and that of one of them.

Of each interval the net of all parts counts, in the one direction or the other, as a meter at that place would count
it. Energies are exact: integers in a fraction of a watt-second, so that `0.5 * ch1` loses nothing. Pure.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import lcm

from btcore.calculate.energy import Energy
from btcore.classes import define, frozen
from btcore.formats import Channel, Format
from btcore.origin import DERIVED
from btcore.virtual.timeline import Piece

SOURCE = DERIVED
"""The name of the source of virtual channels, and of its checkpoint as a sink."""

ANY = ""
"""The meter of an expression that names none: whichever has such a channel."""

CHANNEL = "ch1"
"""The only channel of a virtual meter."""


def _no_packet(_raw: bytes) -> tuple[()]:
    return ()


FORMAT = Format(
    "virtual",
    ("secs", f"{CHANNEL}_aws", f"{CHANNEL}_pws"),
    (Channel(CHANNEL, f"{CHANNEL}_aws", f"{CHANNEL}_pws", bits=63),),
    unpack=_no_packet,
    seconds_bits=40,
)
"""The readings of a virtual channel: its seconds, and its counters in Ws."""


def net_energy(energy: Energy, *, directional: bool) -> int | None:
    """Return what a channel counted, in Ws: import is positive, export negative; None if it is not known."""
    if energy.total is None or (directional and energy.one_way is None):
        return None
    return int(energy.total) - 2 * int(energy.one_way or 0)


@frozen
class Terms:
    """The channels of a virtual channel: by meter and channel, the number by which each is multiplied.

    `unit` is how many units of energy are a watt-second: then all energies are integers.
    """

    factors: Mapping[tuple[str, str], Fraction]

    @property
    def unit(self) -> int:
        """How many units are a watt-second."""
        return lcm(*(factor.denominator for factor in self.factors.values()))

    @property
    def meters(self) -> tuple[str, ...]:
        """The meters, in the order in which the expression names them."""
        return tuple(dict.fromkeys(serial for serial, _ in self.factors))

    @property
    def channels(self) -> Iterator[str]:
        """The channels, as SERIAL_CHANNEL, or as CHANNEL where no meter is named."""
        yield from (f"{serial}_{label}" if serial else label for serial, label in self.factors)

    @property
    def is_of_any_meter(self) -> bool:
        """Whether no meter is named."""
        return self.meters == (ANY,)

    def energy(self, serial: str, channels: Mapping[str, int]) -> int:
        """Return what the channels of one meter add, in units, of what each of them counted, in Ws."""
        unit = self.unit
        return sum(
            int(factor * unit) * channels.get(channel, 0)
            for (meter, channel), factor in self.factors.items()
            if meter == serial
        )


@frozen
class VirtualChannel:
    """A virtual channel: the serial number of its readings, and of what it is calculated.

    `expression` is the text of the configuration.
    """

    name: str
    terms: Terms
    expression: str = ""


@define
class Counters:
    """The counters of a virtual channel, in units; `seconds` is its seconds counter."""

    unit: int
    seconds: int = 0
    absolute: int = 0
    polarized: int = 0

    def count(self, piece: Piece) -> None:
        """Count an interval."""
        self.seconds += piece.length
        self.absolute += abs(piece.energy)
        self.polarized += max(-piece.energy, 0)

    @property
    def numbers(self) -> tuple[int, int, int]:
        """What a reading of now shows: whole seconds and watt-seconds. What is left counts with the next."""
        exported = self.polarized // self.unit
        return self.seconds, (self.absolute - self.polarized) // self.unit + exported, exported

    def state(self) -> list[int]:
        """Return what it remembers, as JSON can hold it."""
        return [self.unit, self.seconds, self.absolute, self.polarized]


def restored(state: list[int], unit: int) -> Counters:
    """Return counters as they were, also where the unit is another one now: none of them falls."""
    before, seconds, absolute, polarized = map(int, state)
    return Counters(unit, seconds, -(-absolute * unit // before), -(-polarized * unit // before))
