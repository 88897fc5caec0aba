# SPDX-License-Identifier: GPL-3.0-or-later
"""Suggestions for a channel that does not exist: a similar one of the same meter and number, or those that exist.

Reading a channel belongs to `channels.py`. Pure.
"""

import re
from collections.abc import Collection, Iterator

from btcore.text import MAX_WORD, likely, nearest

ALIASES: dict[str, str] = {
    **dict.fromkeys(("c", "chan", "channel", "circuit", "ct"), "ch"),
    **dict.fromkeys(("a", "auxiliary"), "aux"),
    **dict.fromkeys(("temp", "temperature"), "t"),
    **dict.fromkeys(("pulse", "pulses", "counter"), "p"),
    **dict.fromkeys(("watt", "watts", "power"), "w"),
    **dict.fromkeys(("energy",), "wh"),
}
"""Common words for the short names in labels."""


def channel_hint(value: str, names: Collection[str], labels: Collection[str]) -> str:
    """Return what to add to `no such channel`: `; did you mean ...?`, or which exist; "" if nothing is similar.

    `names` are those of [channels], `labels` those of any meter. A suggestion keeps the serial number.
    """
    if len(value) > MAX_WORD:
        return ""
    serial, label = _split_channel(value, labels)
    if serial:
        return _suggest_label(label, labels, f"{serial}_")
    return nearest(value, names) or ("" if value.startswith("_") else _suggest_label(value, labels))


def _split_channel(value: str, labels: Collection[str]) -> tuple[str, str]:
    """Split SERIAL_LABEL, also if another character separates the two."""
    families = {stem for stem, _ in _numbered_labels(labels)}
    for found in re.finditer("_", value):
        serial, label = value[: found.start()], value[found.end() :]
        stem = (_numbered(serial) or ("",))[0]
        if serial and stem not in families and (serial.isdigit() or _suggest_label(label, labels)):
            return serial, label
    separated = re.fullmatch(r"([0-9]{5,8})[-. :/]?([^\W\d_].*)", value)
    return (separated[1], separated[2]) if separated else ("", value)


def _suggest_label(label: str, labels: Collection[str], before: str = "") -> str:
    """Return a suggestion for a label that does not exist."""
    numbered = _numbered(label)
    if numbered is None:
        return nearest(label, [other for other in labels if not re.search(r"\d", other)], before) or _suggest_family(
            label.lower(), labels
        )
    stem, number, unit = numbered
    same = [other for other in labels if (_numbered(other) or ("", ""))[1] == number]
    suggestion = _name(stem, number, unit)
    if suggestion in same:
        return f'; did you mean "{before}{suggestion}"?'
    channel = _name(stem, number, "")
    if unit and channel in same:
        return f"; there are {', '.join(sorted(other for other in same if other.startswith(f'{channel}_')))}"
    return nearest(label, [other for other in same if bool(unit) == ("_" in other)], before) or _suggest_family(
        stem, labels
    )


def _numbered(label: str) -> tuple[str, str, str] | None:
    """Return a label's stem, number and unit; None if it has no number."""
    found = re.fullmatch(r"([^\W\d_]+)[ _-]?0*(\d+)(?:[ _-]?([^\W\d_]+))?", label.lower())
    return (found[1], found[2], found[3] or "") if found else None


def _name(stem: str, number: str, unit: str) -> str:
    name = f"{ALIASES.get(stem, stem)}{number}"
    return f"{name}_{ALIASES.get(unit, unit)}" if unit else name


def _suggest_family(stem: str, labels: Collection[str]) -> str:
    """Return which numbers exist with this stem."""
    families: dict[str, list[int]] = {}
    for other, number in _numbered_labels(labels):
        families.setdefault(other, []).append(number)
    for name in (stem, ALIASES.get(stem, ""), *likely(stem, families)[:1]):
        if numbers := families.get(name):
            first, last = f"{name}{min(numbers)}", f"{name}{max(numbers)}"
            return f"; there is {first}" if first == last else f"; there are {first} to {last}"
    return ""


def _numbered_labels(labels: Collection[str]) -> Iterator[tuple[str, int]]:
    for label in labels:
        if (found := re.fullmatch(r"([^\W\d_]+)(\d+)", label)) is not None:
            yield found[1], int(found[2])
