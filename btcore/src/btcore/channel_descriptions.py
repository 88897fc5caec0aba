# SPDX-License-Identifier: GPL-3.0-or-later
"""What [channels] says of a channel beside its name: the area that it is in, and what a pulse of a counter stands for.

Reading the table of a configuration is in `config/channel_names.py`.
"""

from collections.abc import Mapping
from typing import Literal

from btcore.classes import field, frozen
from btcore.validators import gt

PulseClass = Literal["water", "gas", "energy"]
"""What a pulse counter measures."""

UNITS: Mapping[PulseClass, tuple[str, ...]] = {
    "water": ("L", "m³", "gal", "ft³", "CCF"),
    "gas": ("m³", "ft³", "CCF", "L"),
    "energy": ("Wh", "kWh", "MWh"),
}
"""The units in which each class is measured."""

SPELLINGS: Mapping[str, str] = {"m3": "m³", "ft3": "ft³", "l": "L"}
"""Units as a keyboard has them."""

MAX_UNIT = 16
"""The most characters of a unit."""


def _unit(text: str) -> str:
    return SPELLINGS.get(text, text)


def _check_unit(_owner: object, _field: object, value: str) -> None:
    if len(value) > MAX_UNIT or not value.isprintable():
        raise ValueError(f"expected a unit of at most {MAX_UNIT} characters, such as L")


@frozen(kw_only=True)
class ChannelDescription:
    """What a configuration says of a channel.

    `per_pulse` is how many of `unit` a pulse of a pulse counter stands for, and `class_` what it measures (None
    if that is not said). Of other channels these are the defaults. `parts` are the channels that a virtual channel is
    calculated of, as SERIAL_CHANNEL, or CHANNEL of whichever meter has it. Raises ValueError for a unit that the class
    does not have.
    """

    name: str = field(metadata={"help": "the name that every sink may use"})
    area: str = field(default="", metadata={"help": "the room or the part of the site that it is in"})
    unit: str = field(
        default="",
        converter=_unit,
        validator=_check_unit,
        metadata={"help": "of a pulse counter: the unit of what it counts"},
    )
    per_pulse: float = field(
        default=1.0,
        validator=gt(0.0),
        metadata={"help": "of a pulse counter: how many of unit a pulse is"},
    )
    class_: PulseClass | None = field(
        default=None, metadata={"help": "of a pulse counter: what it measures: water, gas or energy"}
    )

    parts: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        """Check that the unit is one of the class."""
        known = UNITS[self.class_] if self.class_ else ()
        if known and self.unit not in known:
            raise ValueError(f"a counter of {self.class_} needs a unit: one of {', '.join(known)}")

    @property
    def is_of_pulses(self) -> bool:
        """Whether it says anything that only a pulse counter has."""
        return bool(self.unit or self.class_ or self.per_pulse != 1)
