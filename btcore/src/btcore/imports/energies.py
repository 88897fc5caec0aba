# SPDX-License-Identifier: GPL-3.0-or-later
"""Counters of energy, as a meter has them, out of the energy or power that a file has. Pure, with a bounded memory.

A file may have only the net energy of a channel, which falls while it exports. A counter never falls: so what it rose
by is counted as import, what it fell by as export. What went to and fro between two rows is not in the file, and is not
invented.
"""

from datetime import datetime

from btcore.calculate.counters import MAX_WATTS
from btcore.classes import define, field

MAX_CHANNELS = 100_000
"""Channels of all meters that are remembered."""

MAX_GAP = 3600
"""Seconds between two rows up to which the watts of the second are held to be the mean between them."""


@define
class _Channel:
    """What a channel has counted in each direction, in Ws, and the net energy that the file had last, and when."""

    time: datetime
    net: int
    imported: int
    exported: int

    def add(self, energy: int) -> None:
        if energy >= 0:
            self.imported += energy
        else:
            self.exported -= energy


@define
class EnergyCounters:
    """The counters of all channels of the files of one import, which continue from file to file.

    Import is positive. What is returned are the absolute and the polarized counter of a channel, in Ws.
    """

    _channels: dict[tuple[str, str], _Channel] = field(factory=dict)

    def of_net(self, serial: str, channel: str, time: datetime, net: int) -> tuple[int, int]:
        """Return the counters of a channel whose net energy is shown. A change that no meter can measure is a restart.

        As long as a channel goes one way only, they are what the meter shows. Raises ValueError for too many channels.
        """
        known = self._known(serial, channel, time)
        rise = net - known.net
        if known.time == time or abs(rise) > MAX_WATTS * max((time - known.time).total_seconds(), 1.0):
            known.imported, known.exported = max(net, 0), max(-net, 0)
        else:
            known.add(rise)
        known.time, known.net = time, net
        return _counters(known)

    def of_interval(self, serial: str, channel: str, time: datetime, energy: int) -> tuple[int, int]:
        """Return the counters of a channel of which the energy since the row before is shown."""
        known = self._known(serial, channel, time)
        known.add(energy)
        known.time = time
        return _counters(known)

    def of_power(self, serial: str, channel: str, time: datetime, watts: float) -> tuple[int, int]:
        """Return the counters of a channel of which the mean power since the row before is shown."""
        known = self._known(serial, channel, time)
        seconds = (time - known.time).total_seconds()
        return self.of_interval(serial, channel, time, round(watts * seconds) if 0 < seconds <= MAX_GAP else 0)

    def _known(self, serial: str, channel: str, time: datetime) -> _Channel:
        known = self._channels.get((serial, channel))
        if known is None:
            if len(self._channels) >= MAX_CHANNELS:
                raise ValueError(f"more than {MAX_CHANNELS} channels")
            known = self._channels[serial, channel] = _Channel(time, 0, 0, 0)
        return known


def _counters(channel: _Channel) -> tuple[int, int]:
    return channel.imported + channel.exported, channel.exported
