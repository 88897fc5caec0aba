# SPDX-License-Identifier: GPL-3.0-or-later
"""What part a channel has in the house: grid, solar, battery, or a load. By the settings, else by its name. Pure."""

import re
from collections.abc import Mapping, Sequence

import attrs

from btcore import ChannelRef

WORDS: Mapping[str, str] = {
    "grid": r"grid|mains?|main panel|utility|netz|hauptanschluss",
    "solar": r"solar|sun|pv|photovoltai\w*|inverter",
    "battery": r"battery|batterie|powerwall",
}
"""The words by which a channel that is named in [channels] is known."""


@attrs.frozen
class Roles:
    """The channels of each role, as the settings name them; a role without any goes by the names of channels."""

    channels: Mapping[str, Sequence[ChannelRef]]

    def of(self, serial: str, channel: str, name: str) -> str:
        """Return the role of a channel, "" for a load. `name` is the one of [channels]."""
        for role, refs in self.channels.items():
            if any(ref.matches(serial) and ref.label == channel for ref in refs):
                return role
        free = (role for role, refs in self.channels.items() if not refs)
        return next((role for role in free if re.search(rf"\b({WORDS[role]})\b", name, re.IGNORECASE)), "")
