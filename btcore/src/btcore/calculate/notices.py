"""What a person should know of a serial number: what is told, and what to write."""

import json
from collections.abc import Mapping
from typing import Literal

import attrs

from btcore.records import Reading

PAIR = 2


@attrs.frozen
class Notice:
    """What a person should know of a serial number; each kind needs to be told once for each.

    `before` is the serial number that the meter had, where it is a new one. `called` is the last of the names of those
    that are told apart: it is news again where there is one more.
    """

    serial: str
    kind: Literal["counted anew", "two meters", "new number"]
    text: str
    before: str = ""
    called: str = ""

    def __str__(self) -> str:
        """As a line of the log."""
        return f"meter {self.serial}: {self.text}"


def new_number(last: Reading, reading: Reading) -> Notice:
    """Say that a meter goes by another number now, and what to write for it to keep the old one."""
    entry = f'NAME = {{ serial = "{last.serial}", sends = ["{reading.serial}"] }}'
    text = (
        f"it goes on counting where meter {last.serial} stopped, so the serial number of that meter has changed. To"
        f" have it go by the old one, write in site.toml, under [meters]: {entry}"
    )
    return Notice(reading.serial, "new number", text, last.serial)


def two_meters(last: Mapping[str, Reading]) -> Notice:
    """Say how meters of one serial number are told apart, and what to write; `last` has their chains' last."""
    names = {key.replace("#", "-"): last[key] for key in sorted(last, key=lambda key: (len(key), key))}
    serial = next(iter(last.values())).serial
    further = [name for name in names if name != serial]
    number = "two" if len(names) == PAIR else str(len(names))
    called = f"the second is called {further[0]}" if len(names) == PAIR else f"they are called {', '.join(names)}"
    what = f"{number} meters send this serial number: their counters run apart, and {called}. They are told apart"
    ways = list(map(_written_way, names.values()))
    own = [way for way in ways if way and ways.count(way) == 1]
    entries = "; ".join(f"NAME{number} = {{ {way} }}" for number, way in enumerate(own, 1))
    where = f"by where they come from. Give each its name in site.toml, under [meters]: {entries}"
    counters = (
        "by their counters, as far as that is certain. Give each meter a serial number (an ECM: a unit id)"
        " of its own, or a way of its own to come in, such as a source for each"
    )
    if not own or len(set(ways)) == 1:
        return Notice(serial, "two meters", f"{what} {counters}", called=further[-1])
    shared = f". Those that come by the same way are told apart {counters}" if len(own) < len(ways) else ""
    return Notice(serial, "two meters", f"{what} {where}{shared}", called=further[-1])


def counted_anew(last: Reading, reading: Reading) -> Notice:
    """Say between which readings no energy is told, and what it may come from."""
    text = (
        f"after seconds {last.seconds} of {last.time:%Y-%m-%d %H:%M:%S} came seconds {reading.seconds} of"
        f" {reading.time:%Y-%m-%d %H:%M:%S}, with counters that it cannot have come to in that time: no energy is"
        " told between the two. Where this goes on, another meter has this serial number, or its clock was set"
    )
    return Notice(reading.serial, "counted anew", text)


def _written_way(reading: Reading) -> str:
    """Write where a reading came from as an entry of [meters] does."""
    parts = {"source": reading.source, "address": reading.address}
    return ", ".join(f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in parts.items() if text)
