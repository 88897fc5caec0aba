# SPDX-License-Identifier: GPL-3.0-or-later
"""Meters of which everything is known: what each packet shows, and what its meter had really counted by then.

A meter's seconds run faster than the computer's, so that minutes are weeks of meters. Its counters begin shortly before
they overflow; it may restart; some packets come late, some twice. No input or output here: `lines.py` sends.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import attrs

from btcore import Number, pack

FORMATS = ("gem48ptbin", "ecm1240bin", "ecm1220bin", "gem48pbin", "ecm1240bin")
"""The packet format of the first meter, of the second, and so on, again and again."""

BITS = {"aws": 40, "pws": 40, "ws": 32}
MOST_WATTS = 5000
SECONDS = 1 << 24
"""At which the seconds of a meter overflow."""

NEAR, SLOW_STEP = 200, 5
"""Within so many seconds of zero, no more than so many pass from packet to packet.

A meter that is ahead of time, as all of these are, would look there as one that has restarted, if packets are lost.
"""

LATE, TWICE = 0.01, 0.02
"""Shares of the packets that come after the next one, and that come twice."""

Energies = Mapping[str, int]
"""Ws by the label of a counter: `ch1_aws`, `ch1_pws`, `aux1_ws`."""


@attrs.frozen
class Packet:
    """One packet: the number that it has at its meter, and what was counted by then.

    `shown` is what its counters show, `counted` what they have counted since it was made, `since` what they have since
    the last restart; `restarts` is how many restarts there were before. `seconds` have passed since it was made.
    """

    serial: str
    number: int
    restarts: int
    seconds: int
    shown: Energies
    counted: Energies
    since: Energies
    raw: bytes

    def energy(self, older: "Packet") -> Energies:
        """Return the energy that can be known of the time since an older packet: after a restart, since that."""
        if self.restarts != older.restarts:
            return self.since
        return {label: count - older.counted[label] for label, count in self.counted.items()}


def net(energies: Energies) -> dict[str, int]:
    """Return the Ws of each channel, net, with the vendor's sign: what is consumed is positive."""
    found: dict[str, int] = {}
    for label, count in energies.items():
        channel, _, kind = label.partition("_")
        found[channel] = found.get(channel, 0) + (-2 if kind == "pws" else 1) * count
    return found


def add_up(packets: Sequence[Packet]) -> dict[str, int]:
    """Return the Ws by label that are known from the first of one meter's packets to the last, whatever is missing."""
    ordered = sorted(packets, key=lambda packet: packet.number)
    sums: dict[str, int] = {}
    for older, newer in pairwise(ordered):
        for label, count in newer.energy(older).items():
            sums[label] = sums.get(label, 0) + count
    return sums


@attrs.define
class Meter:
    """One meter. `step` is how many seconds pass for it from packet to packet; it may be changed at any time.

    `packets` is all that it has made, by what they show.
    """

    number: int
    random: Random
    start: datetime
    step: int
    packets: dict[bytes, Packet] = attrs.field(factory=dict)
    restarts: int = 0
    _up: int = 0
    _passed: int = 0
    _shown: dict[str, int] = attrs.field(factory=dict)
    _counted: dict[str, int] = attrs.field(factory=dict)
    _since: dict[str, int] = attrs.field(factory=dict)
    _steady: int = 0
    _waiting: Packet | None = None

    def __attrs_post_init__(self) -> None:
        """Have counted for years: everything overflows soon."""
        self._up = SECONDS - self.random.randrange(200, 5000)
        for label in self.labels:
            absolute = self._shown.get(label.replace("_pws", "_aws"), 1 << BITS[label.partition("_")[2]])
            self._shown[label] = absolute - self.random.randrange(1 << 20, 1 << 22)
        self._counted = dict.fromkeys(self.labels, 0)
        self._since = dict.fromkeys(self.labels, 0)

    @property
    def format(self) -> str:
        """The packet format."""
        return FORMATS[self.number % len(FORMATS)]

    @property
    def serial(self) -> str:
        """The serial number."""
        return f"{'010' if self.format.startswith('gem') else '3'}{10_000 + self.number:05}"

    @property
    def labels(self) -> tuple[str, ...]:
        """The counters that are used."""
        aux = ("aux1_ws",) if self.format == "ecm1240bin" else ()
        return ("ch1_aws", "ch1_pws", "ch2_aws", "ch2_pws", *aux)

    @property
    def is_holding(self) -> bool:
        """Whether a packet waits until after the next one."""
        return self._waiting is not None

    def restart(self) -> None:
        """Restart: everything counts from zero."""
        self.restarts += 1
        self._up = self._steady = 0
        self._shown = dict.fromkeys(self.labels, 0)
        self._since = dict.fromkeys(self.labels, 0)

    def next(self) -> list[Packet]:
        """Let `step` seconds pass; return what is sent after them: mostly one packet."""
        is_near_zero = min(self._up % SECONDS, -self._up % SECONDS) < NEAR
        packet = self._made(min(self.step, SLOW_STEP) if is_near_zero else self.step)
        held, self._waiting = self._waiting, None
        if held is not None:
            return [packet, held]
        luck, self._steady = self.random.random(), self._steady + 1
        # a packet from around a restart that comes late can be told from no other meter's
        if luck < LATE and self._steady > 5:
            self._waiting = packet
            return []
        return [packet, packet] if luck < LATE + TWICE else [packet]

    def _made(self, seconds: int) -> Packet:
        self._live(seconds)
        values: dict[str, Number] = {"volts": 120.0, "secs": self._up % SECONDS, **self._shown}
        if self.format.startswith("ecm"):
            values["flag"] = self.restarts % 8
        time = self.start + timedelta(seconds=self._passed)
        raw = pack(self.format, self.serial, values, clock=time)
        packet = Packet(
            serial=self.serial,
            number=len(self.packets),
            restarts=self.restarts,
            seconds=self._passed,
            shown=dict(self._shown),
            counted=dict(self._counted),
            since=dict(self._since),
            raw=raw,
        )
        assert raw not in self.packets, "two packets show the same"
        self.packets[raw] = packet
        return packet

    def _live(self, seconds: int) -> None:
        self._up += seconds
        self._passed += seconds
        for label in self.labels:
            if label.endswith("_pws"):
                continue
            count = self.random.randrange(1, MOST_WATTS) * seconds
            self._count(label, count)
            if label.endswith("_aws"):  # of what flowed, some flowed the other way
                self._count(label.replace("_aws", "_pws"), self.random.choice((0, 0, count // 3, count)))

    def _count(self, label: str, count: int) -> None:
        self._shown[label] = (self._shown[label] + count) % (1 << BITS[label.partition("_")[2]])
        self._counted[label] += count
        self._since[label] += count


def make_meters(count: int, seed: int, step: int, start: datetime | None = None) -> list[Meter]:
    """Make meters of a seed; the clock of each shows `start` at first."""
    start = start or datetime(2026, 1, 1, tzinfo=UTC)
    return [Meter(number, Random(seed * 1000 + number), start, step) for number in range(count)]


def all_packets(meters: Iterable[Meter]) -> Iterator[Packet]:
    """Yield what meters have made."""
    for meter in meters:
        yield from meter.packets.values()
