# SPDX-License-Identifier: GPL-3.0-or-later
"""What the meters are called in what leaves the house: by their serial numbers, complete or shortened.

A complete serial number is what a meter's maker knows it by, so a hosted service need not have it.
"""

import re
from collections.abc import Iterable
from typing import Literal

Serials = Literal["full", "short"]
"""The type of a setting `serials`: complete serial numbers, or `XXX` and the last three digits."""

DIGITS = 3
"""Digits of a serial number that btmon sent, behind XXX."""

SEVERAL = re.compile(r"(\d+)(-\d+)")
"""The second and further meters that send one serial number, as the core calls them."""


class SerialNames:
    """The names of meters: their serial numbers; or short ones, `XXX` and the last three digits, more if two end alike.

    `known` are the meters that a configuration names: their short names are settled before any is heard.

    What several meters of one number have behind it stays (`XXX000-2`); a name without a digit is no serial number, and
    is shown as it is. A name depends on nothing but the serial numbers that end alike: not on which of them was heard
    first.
    """

    def __init__(self, serials: Serials, known: Iterable[str] = ()) -> None:
        """Begin with the meters that are known."""
        self._is_full = serials == "full"
        self._names: dict[str, str] = {}
        self._alike: dict[str, list[str]] = {}
        for serial in sorted(set(known) - {""}):
            self.add(serial)

    def __getitem__(self, serial: str) -> str:
        """Return a meter's name."""
        if self._is_full:
            return serial
        self.add(serial)
        return self._names[serial]

    def add(self, serial: str) -> None:
        """Add a meter; those that end alike get more digits."""
        if serial in self._names:
            return
        group = self._alike.setdefault(shorten_serial(serial), [])
        group.append(serial)
        digits = DIGITS
        while len({shorten_serial(one, digits) for one in group}) < len(group):
            digits += 1
        self._names.update({one: shorten_serial(one, digits) for one in group})

    def alike(self, serial: str) -> list[str]:
        """Return the other meters that would have the same short name."""
        if self._is_full:
            return []
        return [other for other in self._alike.get(shorten_serial(serial), []) if other != serial]


def shorten_serial(serial: str, digits: int = DIGITS) -> str:
    """Return a serial number without all but its last digits."""
    found = SEVERAL.fullmatch(serial)
    number, suffix = found.groups() if found else (serial, "")
    return f"XXX{number[-digits:]}{suffix}" if any(map(str.isdecimal, number)) else serial
