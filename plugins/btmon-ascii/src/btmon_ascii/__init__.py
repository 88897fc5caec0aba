# SPDX-License-Identifier: GPL-3.0-or-later
"""The packet formats of a GEM that are text. `btmon-http` receives the same text, and takes `find_packet` from here."""

from btmon_ascii.decoder import find_packet
from btmon_ascii.texts import MAX_SIZE

__all__ = ["MAX_SIZE", "find_packet"]
