# SPDX-License-Identifier: GPL-3.0-or-later
"""Notices: what a person should know of a serial number, and what to write in the configuration.

When a notice is due is decided in `chains.py`; where it is logged, by those who ask.
"""

import json
from collections.abc import Mapping
from typing import Literal

from btcore.classes import frozen
from btcore.records import Reading

PAIR = 2


@frozen
class Notice:
    """What a person should know of a serial number: each kind is logged once for each serial number.

    `before` is the former serial number of the meter, if it has a new one. `called` is the last name of several meters
    with one serial number: the notice is new again when there is one more.
    """

    serial: str
    kind: Literal["new baseline", "two meters", "new number", "other kind", "two numbers"]
    text: str
    before: str = ""
    called: str = ""

    def __str__(self) -> str:
        """Format it as a line of the log."""
        return f"meter {self.serial}: {self.text}"


def new_number(last: Reading, reading: Reading) -> Notice:
    """Return the notice that a meter has a new serial number, and what to write to keep the old one."""
    entry = f'NAME = {{ serial = "{last.serial}", sends = ["{reading.serial}"] }}'
    text = (
        f"it goes on counting where meter {last.serial} stopped, so the serial number of that meter has changed. To"
        f" have it go by the old one, write in site.toml, under [meters]: {entry}"
    )
    return Notice(reading.serial, "new number", text, last.serial)


def two_meters(last: Mapping[str, Reading]) -> Notice:
    """Return the notice that several meters send one serial number; `last` has the last reading of each chain."""
    names = {key.replace("#", "-"): last[key] for key in sorted(last, key=lambda key: (len(key), key))}
    serial = next(iter(last.values())).serial
    further = [name for name in names if name != serial]
    number = "two" if len(names) == PAIR else str(len(names))
    called = f"the second is called {further[0]}" if len(names) == PAIR else f"they are called {', '.join(names)}"
    what = f"{number} meters send this serial number: their counters run apart, and {called}. They are told apart"
    routes = list(map(_format_route, names.values()))
    own = [route for route in routes if route and routes.count(route) == 1]
    entries = "; ".join(f"NAME{number} = {{ {route} }}" for number, route in enumerate(own, 1))
    where = f"by where they come from. Give each its name in site.toml, under [meters]: {entries}"
    counters = (
        "by their counters, as far as that is certain. Give each meter a serial number (an ECM: a unit id)"
        " of its own, or a way of its own to come in, such as a source for each"
    )
    if not own or len(set(routes)) == 1:
        return Notice(serial, "two meters", f"{what} {counters}", called=further[-1])
    shared = f". Those that come by the same way are told apart {counters}" if len(own) < len(routes) else ""
    return Notice(serial, "two meters", f"{what} {where}{shared}", called=further[-1])


def other_kind(serial: str, kind: str, form: str, known_as: str) -> Notice:
    """Return the notice that a packet came as a meter's, but is of another kind than that meter is."""
    text = (
        f"under [meters] in site.toml it is of the kind {kind}, but packets of {form} come as its own: they are kept as"
        f" those of another meter, {known_as}. If they are its own, correct `kind`; else give that meter an entry, too"
    )
    return Notice(serial, "other kind", text, called=known_as)


def two_numbers(serial: str, source: str, first: str, sent: str) -> Notice:
    """Return the notice that packets with two serial numbers come as those of one meter that may send any."""
    where = json.dumps(source, ensure_ascii=False)
    entries = f'NAME1 = {{ source = {where}, sends = "{first}" }}; NAME2 = {{ source = {where}, sends = "{sent}" }}'
    text = (
        f"packets with the serial numbers {first} and {sent} come as its own, because site.toml says that all that"
        f" comes there is its. If two meters are there, write under [meters], in place of what says so: {entries}"
    )
    return Notice(serial, "two numbers", text, called=sent)


def new_baseline(last: Reading, reading: Reading) -> Notice:
    """Return the notice that no energy is counted between two readings, and why that may be."""
    text = (
        f"after seconds {last.seconds} of {last.time:%Y-%m-%d %H:%M:%S} came seconds {reading.seconds} of"
        f" {reading.time:%Y-%m-%d %H:%M:%S}, with counters that the meter cannot have reached in that time: no"
        " energy is counted between the two. If this goes on, another meter has this serial number, or the meter's"
        " clock was set"
    )
    return Notice(reading.serial, "new baseline", text)


def _format_route(reading: Reading) -> str:
    """Format the route of a reading as an entry of [meters]."""
    parts = {"source": reading.source, "address": reading.address}
    return ", ".join(f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in parts.items() if text)
