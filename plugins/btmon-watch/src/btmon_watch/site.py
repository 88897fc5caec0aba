# SPDX-License-Identifier: GPL-3.0-or-later
"""What the running program answered, as the picture needs it. Pure.

The program may be older or newer than this one, and names are a person's: what is missing is left out, and characters
that would command a terminal are replaced.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import attrs

IDLE_WATTS = 0.5
IDLE_WH = 0.5
"""Below these, a channel that nobody has named is one that nothing is wired to."""

MAX_TEXT = 300
"""The most characters of a text that are looked at: no terminal is wider."""

Answer = Mapping[str, Any]


@attrs.frozen
class Circuit:
    """One channel. `watts` and `wh_today` are positive for what it consumes; None is not known."""

    name: str
    watts: float | None
    wh_today: float | None
    is_silent: bool = False


@attrs.frozen
class Sink:
    """One sink: its state in a word, and how far behind it is."""

    name: str
    state: str
    waiting: int = 0
    since: datetime | None = None
    dead_letters: int = 0


@attrs.frozen
class Site:
    """A site at one moment. `sensors` are texts, `lines` those of `btcore status`; `heard` is of the last reading."""

    circuits: tuple[Circuit, ...] = ()
    sensors: tuple[str, ...] = ()
    sources: tuple[Sink, ...] = ()
    sinks: tuple[Sink, ...] = ()
    problems: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    heard: float | None = None
    is_complete: bool = False


def site_of(now: Answer, status: Answer) -> Site:
    """Return the site that the answers to `now` and `status` describe."""
    facts = status.get("status") or {}
    lines = tuple(plain(line) for line in status.get("lines") or ())
    meters = list(now.get("meters") or ())
    silent = set(_silent(facts.get("sources") or ()))
    circuits = [one for meter in meters for one in _circuits(meter, is_silent=meter.get("serial") in silent)]
    return Site(
        circuits=tuple(sorted(circuits, key=lambda one: -abs(one.watts or 0))),
        sensors=tuple(text for meter in meters for text in _sensors(meter, len(meters) > 1)),
        sources=tuple(_part(one) for one in facts.get("sources") or ()),
        sinks=tuple(_part(one) for one in facts.get("sinks") or ()),
        problems=tuple(line.removeprefix("! ") for line in lines if line.startswith("! ")),
        lines=lines,
        heard=max((meter.get("time") or 0.0 for meter in meters), default=None),
        is_complete=bool(now.get("complete")),
    )


def plain(text: object) -> str:
    """Return a text without what would command a terminal: escapes, ends of lines, changes of direction."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in str(text)[:MAX_TEXT])


def _silent(sources: Iterable[Answer]) -> Iterator[str]:
    for source in sources:
        for meter in source.get("meters") or ():
            if meter.get("silent_for") is not None:
                yield str(meter.get("serial"))


def _circuits(meter: Answer, *, is_silent: bool) -> Iterator[Circuit]:
    for channel in meter.get("channels") or ():
        watts, wh_today = channel.get("watts"), channel.get("wh_today")
        is_idle = abs(watts or 0) < IDLE_WATTS and abs(wh_today or 0) < IDLE_WH
        if channel.get("named") or not is_idle:
            yield Circuit(plain(channel.get("name", "")), None if is_silent else watts, wh_today, is_silent)


def _sensors(meter: Answer, is_one_of_several: bool) -> Iterator[str]:
    whose = f"{plain(meter.get('serial', ''))} " if is_one_of_several else ""
    if meter.get("volts") is not None:
        yield f"{whose}{meter['volts']:.1f} V"
    for one in meter.get("sensors") or ():
        name, unit, value = plain(one.get("name", "")), plain(one.get("unit", "")), one.get("value")
        is_unused = not unit and not value
        if value is not None and not is_unused:
            space = "" if unit == "°" else " "
            yield f"{name} {value:,.1f}{space}{unit}".rstrip() if unit else f"{name} {value:,}"


def _part(one: Answer) -> Sink:
    since = one.get("oldest_waiting")
    return Sink(
        name=plain(one.get("name", "")),
        state=plain(one.get("state", "")),
        waiting=int(one.get("waiting") or 0),
        since=datetime.fromisoformat(since) if since else None,
        dead_letters=int(one.get("dead_letters") or 0),
    )
