# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated meter: what it has measured in its house, as a packet.

When packets are sent is `schedule.py`'s, what happens to them on the way `faults.py`'s.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from random import Random

from btcore import FORMATS, Number, pack
from btcore.light import define, field
from btmon_simulator.house import TWO_PHASE, Circuit, House, HouseState, house
from btmon_simulator.texts import FORMATS as TEXT_FORMATS
from btmon_simulator.texts import make_text
from btmon_simulator.year import YearHouse, year_house

DAY = 86_400

INSTALLED = datetime(2020, 1, 6)  # noqa: DTZ001 - a Monday, midnight of the house's own clock
"""When the meters began to count: counters are as large as those of a meter that has hung there for years."""

DEFAULT_SERIALS = {6: "300101", 8: "01000101"}
"""By length: an ECM's serial number has one digit of unit id, a GEM's three, before the five of the number."""

MAX_NUMBER = 0xFFFF
MAX_UNIT = 0xFF


@define(eq=False)
class SimulatedMeter:
    """One meter in one house. `shift` is how many seconds its house is ahead of others with the same seed.

    Commands change its format, `interval` (None: that of the schedule), `real_time`, `silent_until` and clock.
    """

    format: str
    serial: str
    house: House | YearHouse = field(repr=False)
    zone: timezone
    shift: int
    resets: int = 0
    interval: timedelta | None = None
    real_time: bool = True
    silent_until: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    clock_shift: timedelta = timedelta()
    target: str = ""  # of the requests in which it sends packets that are text
    _zero: int | None = None
    _began: tuple[int, HouseState] | None = None

    def is_silent(self, time: datetime) -> bool:
        """Whether it was told to send no packet now."""
        return time < self.silent_until

    def packet(self, time: datetime, *, sensors: bool = True) -> bytes:
        """Make the packet of a moment; without sensors, no temperature sensor answers."""
        values = self.values(time)
        if not sensors:
            values.update(t1=None, t2=None)
        if self.format in TEXT_FORMATS:
            return make_text(self.format, self.serial, values, self.target)
        is_ecm = FORMATS[self.format].family == "ecm"  # a GEM may be set to pose as one
        serial = f"{self.serial[-6]}{self.serial[-5:]}" if is_ecm else self.serial
        return pack(self.format, serial, values, clock=self._local(time) + self.clock_shift)

    def reset(self, time: datetime) -> None:
        """Restart all counters at a moment, as after a loss of power."""
        self._zero = self._moment(time)
        self.resets += 1

    def values(self, time: datetime) -> dict[str, Number]:
        """Return what the meter shows at a moment, by label; those of every format, for `pack` takes what it needs."""
        moment = self._moment(time)
        state = self.house.at(moment)
        zero = self._state_at_zero()
        channels = enumerate(zip(state.circuits, zero.circuits, self.house.names, strict=True), 1)
        values: dict[str, Number] = {
            "volts": state.volts,
            "secs": (moment - (self._zero or 0)) % 2**24,
            "flag": self.resets % 8,
            "p1": (state.water - zero.water) % 2**24,
            "t1": state.outdoors,
            "t2": state.indoors,
        }
        for number, (now, then, name) in channels:
            values.update(_channel(number, now, then, state.volts * (2 if name in TWO_PHASE else 1)))
        return values

    def _state_at_zero(self) -> HouseState:
        """Return the house when the counters were zero; it is kept, as each packet needs it."""
        moment = self._zero or 0
        if self._began is None or self._began[0] != moment:
            self._began = moment, self.house.at(moment)
        return self._began[1]

    def set_clock(self, local: datetime, time: datetime) -> None:
        """Set the meter's own clock, at a moment. What it has counted stays."""
        self.clock_shift = local - self._local(time)

    def _local(self, time: datetime) -> datetime:
        return time.astimezone(self.zone).replace(tzinfo=None)

    def _moment(self, time: datetime) -> int:
        return (self._local(time) - INSTALLED) // timedelta(seconds=1) + self.shift


def _channel(number: int, now: Circuit, then: Circuit, volts: float) -> Iterator[tuple[str, Number]]:
    """Yield a circuit's numbers since the counters were zero. On an ECM, those behind the first two are auxiliary."""
    yield f"ch{number}_a", abs(now.watts) / volts
    yield f"ch{number}_watts", abs(now.watts)
    yield f"ch{number}_aws", (now.absolute - then.absolute) % 2**40
    yield f"ch{number}_pws", (now.polarized - then.polarized) % 2**40
    yield f"aux{number - 2}_ws", (now.absolute - then.absolute) % 2**32


def family_of(format: str) -> str:
    """Return whether a format is that of an `ecm` or a `gem`."""
    return "gem" if format in TEXT_FORMATS else FORMATS[format].family


def make_meters(
    format: str, serial: str, count: int, seed: int, zone: timezone, target: str = "", *, lives_a_year: bool = False
) -> list[SimulatedMeter]:
    """Make meters with consecutive serial numbers, in equal houses that are at different times of their lives.

    `target` is that of the requests in which they send packets that are text; "" is the text alone. Houses that live a
    year have one calendar: they are minutes apart. Raises ValueError, with what was expected, for serial numbers that
    the format cannot carry.
    """
    chance = Random(f"{seed} meters")  # noqa: S311 - a house that can be had again, no secret
    # whole days, so that the sun rises in every house; and some minutes, as neighbours do not cook in step
    shifts = [chance.randrange(1000) * DAY * (not lives_a_year) + chance.randrange(1200) for _ in range(count)]
    numbers = serials(format, serial, count)
    home = year_house(seed) if lives_a_year else house(seed)
    return [
        SimulatedMeter(format, number, home, zone, shift, target=target)
        for number, shift in zip(numbers, shifts, strict=True)
    ]


def serials(format: str, first: str, count: int) -> list[str]:
    """Return consecutive serial numbers, as text; `first` may be empty for the usual one of the format.

    Raises ValueError with what was expected.
    """
    digits = 6 if family_of(format) == "ecm" else 8
    first = first or DEFAULT_SERIALS[digits]
    if not (first.isascii() and first.isdigit() and len(first) == digits and int(first[:-5]) <= MAX_UNIT):
        units = "one digit of unit id" if digits == 6 else "three digits of unit id (000 to 255)"  # noqa: PLR2004
        raise ValueError(f"{first!r} is no serial number of a {format} meter; expected {units} and a number of five")
    last = int(first[-5:]) + count - 1
    if last > MAX_NUMBER:
        raise ValueError(
            f"{count} meters from {first} on end at number {last}, but a meter's number is at most {MAX_NUMBER}"
        )
    return [f"{first[:-5]}{number:05d}" for number in range(int(first[-5:]), last + 1)]
