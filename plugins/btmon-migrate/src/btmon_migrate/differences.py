# SPDX-License-Identifier: GPL-3.0-or-later
"""Names each difference between what btmon printed of a packet and what btcore prints: by its quirk, or as one of none.

The quirks are btmon's, as golden/QUIRKS.md of the source tree numbers them. What has none is a reason not to switch.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby

import attrs

from btmon_migrate.pairing import Pair
from btmon_migrate.printed import Printed, Remark

QUIRKS: Mapping[str, str] = {
    "A1": "the channel ran both ways in the interval: btmon shows the sum of both, btcore the net",
    "A5": "a polarized counter of 5 bytes has overflowed: btmon's energy jumps by 2^40 Ws",
    "A6": "an auxiliary counter has overflowed: btmon's energy falls by 2^32 Ws",
    "A7": "btmon took an overflow or a restart for a reason to drop the packet",
    "A9": "the meter had restarted, which btmon did not notice: its power is of an interval that never was",
    "A11": "two packets had the same seconds counter, and btmon dropped the interval",
    "A13": "rounded in another way",
    "B1": "no sensor is connected: btmon shows 0 degrees",
    "B4": "btmon shows 32 channels of a GEM; btcore also those behind it that have counted something",
    "C1": "two packets came within a second, and btmon has calculated with them in the wrong order",
    "D1": "btmon has lost the packet: in the connection that it closed, or with the junk before it (B6)",
    "after": "btmon lacks the packet before it, so its power is the mean of a longer interval",
}
"""What each quirk is; "after" is what comes of another one."""

OVERFLOWS = {"A5": 2**40 / 3.6e6, "A6": 2**32 / 3.6e6}
"""How far energy is wrong after an overflow, in kWh."""

ABOUT = 1e-6
"""How near to a multiple of an overflow a difference of energy is, in overflows."""

LOST = {"counter reset for": "A7", "not enough data in buffer for": "A11"}
"""What btmon logs of a packet that it drops, before the meter's serial number."""

DROPPED = re.compile(rf"(?P<words>{'|'.join(LOST)}) (?P<serial>\w+)")

SECOND = timedelta(seconds=1)

LAST_DIGIT = {"KWh": 1.5e-6, "W": 1.0}
"""How far two numbers may be apart by rounding alone."""

POWER_TOLERANCE = 2.0
"""Watts by which a sum of two directions may differ: each is cut to whole watts."""

BothWays = Mapping[tuple[str, datetime], Sequence[Mapping[str, float]]]
"""By serial number and time: the power in both directions together, in watts, by channel; several within one second."""


@attrs.frozen
class Difference:
    """One difference: the meter, the time, what it is of; both numbers; the quirk, "" if there is none."""

    serial: str
    at: datetime
    what: str
    btmon: str
    ours: str
    quirk: str

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.at:%Y/%m/%d %H:%M:%S} {self.serial} {self.what}: btmon {self.btmon}, btcore {self.ours}"


def find_differences(pairs: Iterable[Pair], remarks: Iterable[Remark], both_ways: BothWays) -> Iterator[Difference]:
    """Yield all differences of packets that are in order, meter by meter."""
    losses = _losses(remarks)
    for serial, of_a_meter in groupby(pairs, key=lambda pair: pair.serial):
        lost = losses.get(serial, [])
        before: Pair | None = None
        for pair in of_a_meter:
            why = _why_lost(pair, before, lost)
            if pair.btmon and pair.ours:
                follows = why or ("after" if before and before.btmon is None else "")
                yield from _of_a_packet(pair.btmon, pair.ours, both_ways, follows)
            elif pair.ours:
                yield Difference(serial, pair.at, "reading", "none", "a reading", why or "D1")
            else:
                again = before is not None and before.btmon is not None and pair.at <= before.at
                yield Difference(serial, pair.at, "reading", "a reading", "none", "C1" if again else "")
            before = pair


def _losses(remarks: Iterable[Remark]) -> dict[str, list[tuple[datetime, str]]]:
    """Return what btmon logged of packets that it dropped, by serial number: when, and the quirk."""
    found: dict[str, list[tuple[datetime, str]]] = {}
    for remark in remarks:
        if logged := DROPPED.search(remark.text):
            found.setdefault(logged["serial"], []).append((remark.at, LOST[logged["words"]]))
    return found


def _why_lost(pair: Pair, before: Pair | None, lost: Sequence[tuple[datetime, str]]) -> str:
    """Name why btmon has dropped a packet since the one before; "" if it has not, or did not log it."""
    since = before.at if before else pair.at - SECOND
    logged = lost[bisect_right(lost, (since, "~")) : bisect_right(lost, (pair.at + SECOND, "~"))]
    if logged:
        return logged[0][1]
    return "C1" if before and pair.btmon is None and before.at == pair.at else ""


def _of_a_packet(btmon: Printed, ours: Printed, both_ways: BothWays, follows: str) -> Iterator[Difference]:
    powers = both_ways.get((ours.serial, ours.at), ())
    for key, theirs in btmon.numbers.items():
        title, unit = key
        mine = ours.numbers.get(key, "nothing")
        if mine != theirs and _number(mine) != _number(theirs):
            quirk = _quirk(unit, mine, theirs)
            if unit == "W" and not quirk:
                channel = _channel(title)
                is_sum = _is_sum(theirs, mine, [one[channel] for one in powers if channel in one])
                quirk = "A1" if is_sum else follows
            yield Difference(ours.serial, ours.at, f"{title} {unit}".strip(), theirs, mine, quirk)
    further = [title for (title, unit) in ours.numbers.keys() - btmon.numbers.keys() if unit == "KWh"]
    if further:
        yield Difference(ours.serial, ours.at, " ".join(sorted(further)), "nothing", "energy", "B4")


def _quirk(unit: str, mine: str, theirs: str) -> str:
    """Name the quirk that two numbers alone tell of."""
    if mine == "?" and unit == "W":
        return "A9"
    if mine == "none" and _number(theirs) == 0:
        return "B1"
    ours, btmon = _number(mine), _number(theirs)
    if ours is None or btmon is None:
        return ""
    if abs(ours - btmon) <= LAST_DIGIT.get(unit, 0.0):
        return "A13"
    apart = abs(ours - btmon)
    multiples = {quirk: apart / size for quirk, size in OVERFLOWS.items()}
    overflows = (quirk for quirk, times in multiples.items() if round(times) and abs(times - round(times)) < ABOUT)
    return next(overflows, "") if unit == "KWh" else ""


def _is_sum(theirs: str, mine: str, sums: Sequence[float]) -> bool:
    btmon, ours = _number(theirs), _number(mine)
    if btmon is None or ours is None or abs(ours) >= abs(btmon):
        return False
    return any(abs(abs(btmon) - both) <= POWER_TOLERANCE for both in sums)


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else None


def _channel(title: str) -> str:
    """Return the channel that a line is of: `Ch1 Watts` and `Ch01` are ch1."""
    found = re.match(r"(ch|aux)0*(\d+)\b", title, re.IGNORECASE)
    return f"{found[1].lower()}{found[2]}" if found else title
