# SPDX-License-Identifier: GPL-3.0-or-later
"""Which meter answers when a device is asked: on a line with several meters, it may be another one than was asked.

Pure: packets go in, remarks for the log come out. What is sent and waited for is in `asking.py`. The device byte of an
ECM is set in the meter and is not in its packets, so no serial number is expected of it. A remark is made only of what
is certain: one meter answers for two devices, or a GEM has another serial number than was asked for.
"""

from collections.abc import Sequence

from btcore.classes import define, field, frozen
from btcore.records import Packet

ROUNDS = 2
"""Answers in a row without a packet of the device's own before a remark is made: a meter in real-time mode may send its
packet just when another one is asked."""


@frozen
class Remark:
    """A text for the log; `is_good`: it says that a fault is over."""

    text: str
    is_good: bool = False


@define
class Respondents:
    """The last answer of each device of one line."""

    _last: dict[str, frozenset[str]] = field(factory=dict, init=False)
    _without: dict[str, int] = field(factory=dict, init=False)
    _reported: set[str] = field(factory=set, init=False)

    def answered(self, device: str, packets: Sequence[Packet]) -> Remark | None:
        """Take the packets that came when a device was asked; return the remark to log, if there is one."""
        if not device or not packets:
            return None
        if device.isdigit():
            return self._gem(device, [packet.serial for packet in packets if packet.format.family == "gem"])
        self._last[device] = frozenset(packet.serial for packet in packets)
        return self._ecm(device)

    def _gem(self, device: str, serials: Sequence[str]) -> Remark | None:
        if not serials:  # it may be set to pose as ECMs, whose serial numbers are others
            return None
        own = [serial for serial in serials if serial[-5:] == device[-5:]]
        if own:
            return self._resolved(device, own)
        return self._fault(
            device,
            f'device "{device}" was asked, and meter {serials[0]} answered. Its packets are kept; check the serial'
            " number in `devices`",
        )

    def _ecm(self, device: str) -> Remark | None:
        own, shared = self._own(device), self._last[device]
        if own:
            return self._resolved(device, sorted(own))
        self._without[device] = self._without.get(device, 0) + 1
        others = [
            other
            for other, serials in self._last.items()
            if other != device and serials & shared and not self._own(other)  # else it sent in real-time mode
        ]
        if self._without[device] < ROUNDS or not others or not self._reported.isdisjoint(others):
            return None
        names, serial = '" or "'.join(others), min(shared)
        return self._fault(
            device,
            f'device "{device}" was asked, and meter {serial} answered, as it does when "{names}" is asked: one of them'
            " has sent no packet of its own. What came is kept; check which device byte is set in each meter, and that"
            " no two have the same one, or one serial number",
        )

    def _own(self, device: str) -> frozenset[str]:
        """Return the meters that answered for a device and for no other."""
        others = (serials for other, serials in self._last.items() if other != device)
        return self._last[device].difference(*others)

    def _fault(self, device: str, text: str) -> Remark | None:
        if device in self._reported:
            return None
        self._reported.add(device)
        return Remark(text)

    def _resolved(self, device: str, own: Sequence[str]) -> Remark | None:
        """Return the remark that a device answers with its own packet again, if the fault was reported."""
        self._without[device] = 0
        if device not in self._reported:
            return None
        self._reported.remove(device)
        return Remark(f'device "{device}" answers with a packet of its own: meter {", ".join(own)}', is_good=True)
