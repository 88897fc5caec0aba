# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines that show meters and their settings to a person, from the objects that a program gets as JSON."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from btcore.text import format_duration

FACTS = {
    "device": "device byte",
    "firmware": "firmware",
    "format": "packet format",
    "secondary_format": "secondary format",
    "interval": "interval",
    "real_time": "real-time mode",
    "clock": "clock",
    "pt_type": "PT type",
    "pt_range": "PT range",
}
"""What is shown of a meter, in order, and what it is called."""

COLUMNS = {
    "channel": "channel",
    "ct_type": "CT type",
    "ct_range": "CT range",
    "ct_model": "model",
    "net_metering": "net metering",
    "polarity": "polarity",
}
"""What is shown of a channel."""

UNITS = {"interval": " s"}

RIGHT_CLOCK = 1.5
"""Seconds of difference that are not shown: a meter's clock counts whole ones."""


def list_lines(sources: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of `btcore device list`."""
    for source in sources:
        yield f"source.{source['name']} ({source['plugin']}): {source['state']}"
        for meter in source["meters"]:
            facts = [meter["serial"], meter["family"].upper(), meter["format"], meter["stream"], _heard(meter)]
            yield "  " + "  ".join(fact for fact in facts if fact)
        if not source["meters"]:
            yield "  no meter has been heard"


def _heard(meter: Mapping[str, Any]) -> str:
    return _when(meter["heard"], meter["heard_for"]) + describe_clock_error(meter["clock_error"])


def _when(heard: str | None, heard_for: float | None) -> str:
    if heard is None or heard_for is None:
        return ""
    if heard_for < 0:  # a recording, or this computer's clock was set back
        return f"heard at {datetime.fromisoformat(heard).astimezone():%Y-%m-%d %H:%M:%S}"
    return f"heard {format_duration(heard_for)} ago"


def describe_clock_error(seconds: float | None) -> str:
    """Return how wrong a meter's clock is, "" where it is right or there is none."""
    if seconds is None or abs(seconds) < RIGHT_CLOCK:
        return ""
    return f", its clock is {format_duration(abs(seconds))} {'fast' if seconds > 0 else 'slow'}"


def show_lines(settings: Mapping[str, Any], source: str) -> Iterator[str]:
    """Yield the lines of `btcore device show`."""
    yield f"meter {settings['meter']} ({settings['family'].upper()}), {source}"
    for key, name in FACTS.items():
        if settings[key] not in {None, ""}:
            note = describe_clock_error(settings["clock_error"]) if key == "clock" else UNITS.get(key, "")
            yield f"  {name:<17} {_text(settings[key])}{note}"
    rows = [[_text(channel[key]) for key in COLUMNS] for channel in settings["channels"]]
    yield from _table([list(COLUMNS.values()), *rows])


def change_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of old and new values; of those that the meter was asked for again, whether it has them."""
    for row in rows:
        done = {True: ": done", False: f": NOT done, the meter says {row.get('now')}", None: ""}[row.get("confirmed")]
        yield f"  {row['name']}: {row['old']} -> {row['new']}{done}"


def _text(value: object) -> str:
    if value is None:
        return ""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
