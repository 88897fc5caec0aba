"""Who answers when which device is asked: on a line with several meters, that may be another one than was asked.

Pure: it is told what came, and returns what is to be told of it. What is sent and waited for is `polling.py`'s. Which
unit id an ECM's device byte belongs to is set in the meter, so it is not guessed here: that one meter answers for two
devices, or that a GEM's serial number is another one, is certain.
"""

from collections.abc import Sequence

import attrs

from btcore.records import Packet

ROUNDS = 2
"""Answers in a row without a packet of its own, after which that is told of a device: a meter in real-time mode may
put its packet into the answer of another."""


@attrs.frozen
class Remark:
    """What is to be told; `is_good`: that it is as it should be now."""

    text: str
    is_good: bool = False


@attrs.define
class Respondents:
    """The answers of the devices of one line, the last of each."""

    _last: dict[str, frozenset[str]] = attrs.field(factory=dict, init=False)
    _without: dict[str, int] = attrs.field(factory=dict, init=False)
    _told: set[str] = attrs.field(factory=set, init=False)

    def answered(self, device: str, packets: Sequence[Packet]) -> Remark | None:
        """Take note of the packets that came when a device was asked."""
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
            return self._well(device, own)
        return self._ill(
            device,
            f'device "{device}" was asked, and meter {serials[0]} answered. Its packets are kept; check the serial'
            " number in `devices`",
        )

    def _ecm(self, device: str) -> Remark | None:
        own, shared = self._own(device), self._last[device]
        if own:
            return self._well(device, sorted(own))
        self._without[device] = self._without.get(device, 0) + 1
        others = [
            other
            for other, serials in self._last.items()
            if other != device and serials & shared and not self._own(other)  # else it only spoke up meanwhile
        ]
        if self._without[device] < ROUNDS or not others or not self._told.isdisjoint(others):
            return None
        names, serial = '" or "'.join(others), min(shared)
        return self._ill(
            device,
            f'device "{device}" was asked, and meter {serial} answered, as it does when "{names}" is asked: one of them'
            " has sent no packet of its own. What came is kept; check which device byte is set in each meter, and that"
            " no two have the same one, or one serial number",
        )

    def _own(self, device: str) -> frozenset[str]:
        """Return the meters that answered for a device and for no other."""
        others = (serials for other, serials in self._last.items() if other != device)
        return self._last[device].difference(*others)

    def _ill(self, device: str, text: str) -> Remark | None:
        if device in self._told:
            return None
        self._told.add(device)
        return Remark(text)

    def _well(self, device: str, own: Sequence[str]) -> Remark | None:
        """Tell that a device answers for itself now, where it or one that it was mixed up with was told of."""
        self._without[device] = 0
        if device not in self._told:
            return None
        self._told.remove(device)
        return Remark(f'device "{device}" answers with a packet of its own: meter {", ".join(own)}', is_good=True)
