# SPDX-License-Identifier: GPL-3.0-or-later
"""Histories of meters and what goes wrong in them, each from a seed: what they counted, and what was received.

One serial number, behind which there are one or two meters; among their packets absurd ones that no meter sent; meters
whose seconds are set, or that restart; a computer whose clock is set at the same moment.
"""

from random import Random

import attrs

from btcore import FORMATS, Number, Reading, pack
from helpers.packets import METER
from helpers.times import SECOND, START, moment_of

FORM = FORMATS["ecm1240bin"]
COUNTERS = ("ch1_aws", "ch2_aws", "aux1_ws")


@attrs.define
class CountingMeter:
    """A meter: what its counters show, and of each packet that it sent how much it had counted in all by then."""

    counters: dict[str, int]
    watts: tuple[int, ...]
    counted: dict[str, int] = attrs.field(factory=lambda: dict.fromkeys(COUNTERS, 0))
    at: dict[int, dict[str, int]] = attrs.field(factory=dict)

    def live(self, seconds: int) -> None:
        """Let time pass."""
        self.counters["secs"] = (self.counters["secs"] + seconds) % (1 << 24)
        for label, watts in zip(COUNTERS, self.watts, strict=True):
            bits = 32 if label.startswith("aux") else 40
            self.counters[label] = (self.counters[label] + watts * seconds) % (1 << bits)
            self.counted[label] += watts * seconds

    def restart(self, ago: int) -> None:
        """Let it have restarted so many seconds ago; what it counted before that is nowhere but in `counted`."""
        self.counters = {label: watts * ago for label, watts in zip(COUNTERS, self.watts, strict=True)} | {"secs": ago}


@attrs.frozen
class History:
    """What was received, in order, and which meter sent it: None of an absurd packet; and after which it restarted."""

    readings: list[Reading] = attrs.field(factory=list)
    senders: list[CountingMeter | None] = attrs.field(factory=list)
    restarted: set[int] = attrs.field(factory=set)

    def sender(self, reading: Reading) -> CountingMeter | None:
        """Return who sent a reading."""
        return self.senders[reading.offset - 1]

    def restarts(self, before: Reading, after: Reading) -> bool:
        """Whether a meter restarted between two readings."""
        return any(before.offset < offset <= after.offset for offset in self.restarted)

    def energy(self, before: Reading, after: Reading) -> dict[str, int]:
        """Return the Ws that the sender of both counted between them."""
        meter = self.sender(after)
        assert meter is not None
        first, last = meter.at[before.offset], meter.at[after.offset]
        return {label: last[label] - first[label] for label in COUNTERS}


def random_history(seed: int, *, meters: int, steady: bool, faults: tuple[str, ...]) -> History:
    """Make a history. `faults` are those that may happen: absurd, set seconds, restart, clock, gap."""
    random = Random(seed)
    all_meters = [_meter(random) for _ in range(meters)]
    found = History()
    now, clock = random.randrange(10**6, 10**8), 0
    for _ in range(random.randrange(3, 40)):
        passed = random.choice((1, 5, 5, 10, 10, 10, 30))
        fault = random.choice(faults) if faults and random.random() < 0.15 else ""
        passed = random.randrange(60, 5000) if fault == "gap" else passed
        clock += random.choice((-1, 1)) * random.randrange(1, 10**6) if fault == "clock" else 0
        now += passed
        for meter in all_meters:
            meter.live(passed)
        meter = random.choice(all_meters)
        if fault == "absurd":
            _receive(found, None, _anything(random), now, clock, steady=steady)
            continue
        if fault == "set seconds":
            meter.counters["secs"] = random.randrange(1 << 24)
        if fault == "restart":
            meter.restart(random.randrange(1, passed + 1))
            found.restarted.add(len(found.readings) + 1)
        _receive(found, meter, meter.counters, now, clock, steady=steady)
    return found


def _meter(random: Random) -> CountingMeter:
    watts = tuple(random.choice((0, 5, 300, 1000, 25_000)) for _ in COUNTERS)
    return CountingMeter(_anything(random), (max(watts[0], 1), *watts[1:]))


def _anything(random: Random) -> dict[str, int]:
    def any_of(bits: int) -> int:
        near_the_end = (1 << bits) - 1 - random.randrange(10**6)
        return random.choice((near_the_end, random.randrange(1 << bits), random.randrange(1 << bits)))

    energies = {label: any_of(32 if label.startswith("aux") else 40) for label in COUNTERS}
    return {"secs": random.randrange(1 << 24), **energies}


def _receive(
    found: History, sender: CountingMeter | None, shown: dict[str, int], now: int, clock: int, *, steady: bool
) -> None:
    seq = len(found.readings) + 1
    numbers: dict[str, Number] = dict(shown)
    arrived = START + (now + clock) * SECOND
    found.readings.append(
        Reading(
            moment_of(arrived),
            FORM,
            METER,
            pack(FORM.name, METER, numbers),
            "panel",
            seq,
            now * SECOND if steady else 0,
            7 if steady else 0,
        )
    )
    found.senders.append(sender)
    if sender is not None:
        sender.at[seq] = dict(sender.counted)
