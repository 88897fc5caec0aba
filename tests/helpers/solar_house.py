# SPDX-License-Identifier: GPL-3.0-or-later
"""A house with panels on its roof, whose every counter is known: for tests of what PVOutput is told of it.

Two meters: a GreenEye Monitor measures what the panels generate, an ECM-1240 what the house consumes. What a status has
to say is worked out here from their counters alone, and by other means than the program's.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from btcore import FORMATS, pack
from helpers.times import SECOND

GENERATION, CONSUMPTION = "00100001", "312345"
GEM_FORMAT, ECM_FORMAT = "gem48pbin", "ecm1240bin"

SLOT = 300

AHEAD = 3
"""Seconds by which the consumption's packet comes before the generation's."""

PVOUTPUT_SETTINGS = f"""
use = "pvoutput"
generation = "{GENERATION}_ch1"
consumption = "{CONSUMPTION}_ch1"
zone = "UTC"
system_id = "12345"
api_key = {{ env = "PVO_KEY" }}
min_backoff = "50ms"
max_backoff = "200ms"
"""
"""Of a sink that sends what this house's meters measure, but for its `url`."""

Status = dict[str, str]


@dataclass(frozen=True)
class HouseReading:
    """What one packet tells of channel 1: when (microseconds since 1970), the meter's seconds, Ws, and volts."""

    format: str
    serial: str
    time: int
    seconds: int
    absolute: int
    polarized: int
    volts: float

    @property
    def slot(self) -> int:
        """The end of its slot, in seconds since 1970; a reading at the end itself is of that slot."""
        return -(-self.time // (SLOT * SECOND)) * SLOT

    @property
    def used(self) -> int:
        """Watt-seconds that flowed the other way than the polarized ones."""
        return self.absolute - self.polarized


def sunshine(step: int) -> int:
    """Watts that differ from step to step."""
    return step * 7919 % 5003


def house_readings(start: int, every: int, steps: int, sun: Callable[[int], int] = sunshine) -> Iterator[HouseReading]:
    """Yield what both meters count, `every` seconds apart, after `start` (seconds since 1970)."""
    made, standby, used, returned = 40_000_000_000, 300_000_000, 90_000_000_000, 5_000_000
    for step in range(steps):
        seconds, time = 1000 + step * every, (start + every + step * every) * SECOND
        yield HouseReading(
            ECM_FORMAT, CONSUMPTION, time - AHEAD * SECOND, seconds - AHEAD, used + returned, returned, 118.0
        )
        yield HouseReading(GEM_FORMAT, GENERATION, time, seconds, made + standby, made, 120 + step % 40 / 10)
        made, standby = made + sun(step) * every, standby + step % 7 * every
        used, returned = used + step * 6007 % 3001 * every, returned + step % 5 * every


def house_packet(counted: HouseReading) -> bytes:
    """Make the packet that tells this."""
    values = {
        "secs": counted.seconds,
        "ch1_aws": counted.absolute,
        "ch1_pws": counted.polarized,
        "volts": counted.volts,
    }
    return pack(counted.format, counted.serial, values)


def read_house_packet(format: str, serial: str, time: int, raw: bytes) -> HouseReading:
    """Read what a packet tells: the inverse."""
    kind = FORMATS[format]
    values = {label: number or 0 for label, number in zip(kind.labels, kind.unpack(raw), strict=True)}
    seconds, absolute, polarized = (int(values[label]) for label in ("secs", "ch1_aws", "ch1_pws"))
    return HouseReading(format, serial, time, seconds, absolute, polarized, values["volts"])


def house_capture_line(counted: HouseReading) -> str:
    """Write a packet as a line of a capture."""
    line = {"time": counted.time / SECOND, "stream": counted.serial, "hex": house_packet(counted).hex()}
    return json.dumps(line) + "\n"


def expected_statuses(readings: Iterable[HouseReading]) -> list[Status]:
    """Return what PVOutput has to be told, slot by slot: from the last reading of the slot before to its own last."""
    base: dict[str, HouseReading] = {}
    last: dict[tuple[int, str], HouseReading] = {}
    for counted in readings:
        base.setdefault(counted.serial, counted)
        last[counted.slot, counted.serial] = counted
    slots: dict[int, Status] = {}
    for (end, serial), newer in sorted(last.items()):
        if newer is not base[serial]:
            slots.setdefault(end, {}).update(_fields(base[serial], newer))
        base[serial] = newer
    return [{**_when(end), **fields, "c1": "1"} for end, fields in slots.items()]


def _fields(older: HouseReading, newer: HouseReading) -> Status:
    seconds = newer.seconds - older.seconds
    if newer.serial == GENERATION:
        watts = round((newer.polarized - older.polarized) / seconds)
        return {"v1": str(round(newer.polarized / 3600)), "v2": str(watts), "v6": f"{newer.volts:.1f}"}
    return {"v3": str(round(newer.used / 3600)), "v4": str(round((newer.used - older.used) / seconds))}


def _when(end: int) -> Status:
    moment = datetime.fromtimestamp(end, UTC)
    return {"d": f"{moment:%Y%m%d}", "t": f"{moment:%H:%M}"}
