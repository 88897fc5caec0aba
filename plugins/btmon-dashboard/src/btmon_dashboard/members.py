# SPDX-License-Identifier: GPL-3.0-or-later
"""The channels of all meters in the store, each with its part in the house."""

import attrs

from btmon_dashboard.house import House, house_of
from btmon_dashboard.roles import Name, Roles
from btmon_dashboard.sensors import is_sensor
from btmon_dashboard.store import Store
from btmon_dashboard.supply import COLUMN


@attrs.define(eq=False)
class Members:
    """Knows the channels and their roles; they are looked at again where a channel or a meter is new."""

    store: Store
    roles: Roles
    _size: int = -1
    _found: tuple[dict[Name, str], House] = attrs.field(factory=lambda: ({}, House()))

    def assigned(self) -> dict[Name, str]:
        """Return the role of each channel."""
        return self._look()[0]

    def house(self) -> House:
        """Return where the energy of each role stands."""
        return self._look()[1]

    def mains(self, serial: str) -> list[int]:
        """Return the columns of the mains of a meter."""
        return self.house().mains(serial)

    def _look(self) -> tuple[dict[Name, str], House]:
        meters = dict(self.store.meters)
        size = sum(1 + len(meter.channels) for meter in meters.values())
        if size != self._size:
            columns = {
                (serial, channel): at
                for serial, meter in meters.items()
                for at, channel in enumerate(list(meter.channels))
                if not is_sensor(channel)
            }
            roles = self.roles.assign(columns)
            nets = [(serial, at) for serial, meter in meters.items() if (at := meter.find(COLUMN)) is not None]
            self._found, self._size = (roles, house_of(roles, columns, nets)), size
        return self._found
