# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines below a graph: a name and some numbers each, in columns, as RRDtool's arguments. Pure."""

import attrs

KILO = 1000

MARK = 4
"""Characters of the coloured mark before a name."""

BESIDE = 24
"""Pixels beside a line."""

MOST_NUMBERS = 4


@attrs.frozen
class Legend:
    """How many characters a name has, and a number with the space before it; how large the letters are, in points."""

    name: int = 30
    number: int = 15
    points: int = 9

    @property
    def is_wide(self) -> bool:
        """Whether there is room for long names and titles."""
        return self.points == WIDE.points

    def heading(self, *names: str) -> str:
        """Return the line above the numbers."""
        return f"COMMENT:{' ' * (self.name + MARK)}{''.join(f'{name:>{self.number}}' for name in names)}\\l"

    def padded(self, name: str) -> str:
        """Return a name, as wide as the others."""
        return escaped(f" {name[: self.name]:<{self.name}}")

    def power(self, curve: str, watt_hours: float) -> list[str]:
        """Return mean and highest value of a curve in kW, and its energy, as a line ends."""
        form = f"%{self.number - 5}.2lf kW"
        return [
            *(f"VDEF:a{curve}={curve},AVERAGE", f"VDEF:x{curve}={curve},MAXIMUM"),
            *(f"GPRINT:a{curve}:{form}", f"GPRINT:x{curve}:{form}"),
            self.energy(watt_hours),
        ]

    def energy(self, watt_hours: float) -> str:
        """Return energy at the end of a line."""
        return f"COMMENT:{watt_hours / KILO:{self.number - 5}.2f} kWh\\l"

    def measured(self, curve: str, digits: int, unit: str) -> list[str]:
        """Return the lowest, mean, highest and last value of a curve, as a line ends."""
        form = f"%{self.number - 2 - len(unit) - bool(unit)}.{digits}lf{' ' * bool(unit)}{unit}"
        found = []
        for name in ("MINIMUM", "AVERAGE", "MAXIMUM", "LAST"):
            found += [f"VDEF:{name.lower()}{curve}={curve},{name}", f"GPRINT:{name.lower()}{curve}:{form}"]
        return [*found[:-1], f"{found[-1]}\\l"]


WIDE = Legend()


def legend_of(width: int) -> Legend:
    """Return the legend of a sheet that is so many pixels wide: where it is narrow, all of it is smaller."""
    if width >= BESIDE + 8 * (MARK + WIDE.name + MOST_NUMBERS * WIDE.number):
        return WIDE
    room = (width - BESIDE) // 6 - MARK - MOST_NUMBERS * 11
    return Legend(name=min(room, WIDE.name), number=11, points=7)


def escaped(text: str) -> str:
    """Return text for an argument of RRDtool, whose colons end a part of it."""
    return text.replace("\\", "\\\\").replace(":", "\\:")
