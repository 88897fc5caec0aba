# SPDX-License-Identifier: GPL-3.0-or-later
"""Services whose requests name the meter: by its shortened serial number, unless the complete one is wanted."""

import re
from collections.abc import Iterator

import attrs

from btcore import ChannelRef, Context, Sample, hookimpl, setting
from btmon_services.service import Service, find_instances

DIGITS = 3
"""Digits of a serial number that btmon sent, behind XXX."""

SEVERAL = re.compile(r"(\d+)(-\d+)")
"""The second and further meters that send one serial number, as the core calls them."""


class ShortNames:
    """The short names of meters: `XXX` and the last three digits, more where that would be the name of two.

    What several meters of one number have behind it stays (`XXX000-2`); a name without a digit is no serial number, and
    is shown as it is. A name depends on nothing but the serial numbers that end alike: not on which of them was heard
    first.
    """

    def __init__(self) -> None:
        """Begin without any meter."""
        self._names: dict[str, str] = {}
        self._alike: dict[str, list[str]] = {}

    def __getitem__(self, serial: str) -> str:
        """Return a meter's name."""
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
        """Return the other meters whose serial numbers end like this one."""
        return [other for other in self._alike.get(shorten_serial(serial), []) if other != serial]


def shorten_serial(serial: str, digits: int = DIGITS) -> str:
    """Return a serial number without all but its last digits."""
    found = SEVERAL.fullmatch(serial)
    number, suffix = found.groups() if found else (serial, "")
    return f"XXX{number[-digits:]}{suffix}" if any(map(str.isdecimal, number)) else serial


@attrs.define(kw_only=True, eq=False, slots=False)
class ServiceOfMeters(Service):
    """Base of those whose requests name the meter by its serial number."""

    full_serials: bool = setting(default=False, help="send complete serial numbers, not XXX and the last three digits")

    @hookimpl
    def open(self, context: Context) -> None:
        """Prepare to send. The meters that the configuration names are known from the start, so over a restart too."""
        super().open(context)
        self._short = ShortNames()
        named = {ref.serial for ref in find_instances(ChannelRef, self)} | {
            key.partition("_")[0] for key in context.channels
        }
        for serial in sorted(named - {""}):
            self._short.add(serial)

    def meter_name(self, serial: str) -> str:
        """Return the name of a meter as it is sent to the service."""
        return serial if self.full_serials else self._short[serial]

    def meet(self, sample: Sample) -> Iterator[str]:
        """Yield also a warning where two meters would have the same short name."""
        yield from super().meet(sample)
        name = self.meter_name(sample.serial)
        alike = [] if self.full_serials else self._short.alike(sample.serial)
        for other in filter(self.channel_checker.has_met, alike):
            yield (
                f"meters {other} and {sample.serial} would both be {shorten_serial(other)} there: they are"
                f" {self.meter_name(other)} and {name} now; full_serials = true sends complete numbers"
            )
