# SPDX-License-Identifier: GPL-3.0-or-later
"""What part a channel has in the house: grid, solar, battery, or a load. By the settings, else by its name. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from btcore import ChannelDescription, ChannelRef

GRID, SOLAR, BATTERY, LOAD = "grid", "solar", "battery", ""
PART = "part"
"""The role of a channel that is in another one already, such as one of two mains whose sum is a virtual channel."""

WORDS: Mapping[str, str] = {
    GRID: r"grid|mains?|main panel|utility|netz|hauptanschluss",
    SOLAR: r"solar|sun|pv|photovoltai\w*|inverter",
    BATTERY: r"battery|batterie|powerwall",
}
"""The words by which a channel that is named in [channels] is known."""

Name = tuple[str, str]
"""Serial number and channel."""


@attrs.frozen
class Roles:
    """The channels of each role, as the settings name them; a role without any goes by the names of channels.

    `describe` returns what [channels] says of a channel.
    """

    channels: Mapping[str, Sequence[ChannelRef]]
    describe: Callable[[str, str], ChannelDescription]

    def assign(self, names: Iterable[Name]) -> dict[Name, str]:
        """Return the role of each of all channels of a house."""
        known = list(names)
        named = {name: self._role(*name) for name in known}
        virtual = {name: self._parts(name, known) for name in known if self.describe(*name).parts}
        return {name: PART if self._is_part(name, named, virtual) else role for name, role in named.items()}

    def _role(self, serial: str, channel: str) -> str:
        for role, refs in self.channels.items():
            if any(ref.matches(serial) and ref.label == channel for ref in refs):
                return role
        by_name = self._by_name((serial, channel))
        # what is called mains, while the settings say that the grid is another channel, is a part of the supply
        return PART if self.channels.get(by_name) else by_name

    def _by_name(self, name: Name) -> str:
        text = self.describe(*name).name.replace("_", " ")
        return next(
            (role for role in self.channels if re.search(rf"\b({WORDS[role]})\d*\b", text, re.IGNORECASE)), LOAD
        )

    def _parts(self, name: Name, known: Sequence[Name]) -> frozenset[Name]:
        parts = set(self.describe(*name).parts)
        return frozenset(one for one in known if one != name and ("_".join(one) in parts or one[1] in parts))

    def _is_part(self, name: Name, roles: Mapping[Name, str], virtual: Mapping[Name, frozenset[Name]]) -> bool:
        """Whether a channel would be counted twice.

        A sum of loads is, as they are there themselves; a part of a sum that has a role is, unless it has another role;
        and so is a sum that is in a greater one.
        """
        role = roles[name]
        if name in virtual and role == LOAD and virtual[name]:
            return True
        for total, parts in virtual.items():
            is_in = name in parts or (name in virtual and virtual[name] < parts)
            if total != name and is_in and roles[total] not in (LOAD, PART) and role in (LOAD, PART, roles[total]):
                return True
        return False
