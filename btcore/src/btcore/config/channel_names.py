# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads [channels], the names of channels, and reports the mistakes in it."""

from collections.abc import Mapping
from typing import Any

from btcore.config.problems import Problems
from btcore.values.channel_hints import channel_hint
from btcore.values.channels import KnownChannels, split_channel


def read_channels(
    data: Mapping[str, Any], findings: Problems, known: KnownChannels, meters: Mapping[str, str]
) -> dict[str, str]:
    """Return the names by `SERIAL_CHANNEL`; add the mistakes to the findings.

    `meters` has the serial numbers of meters by their names.
    """
    table = data.get("channels", {})
    if not isinstance(table, dict):
        findings.add(("channels",), 'expected a table: [channels], and in it "399999_ch1" = "solar"')
        return {}
    names: dict[str, str] = {}
    for key, name in table.items():
        wrong = _wrong_key(key, known) or _wrong_name(name, names, known)
        if wrong:
            findings.add(("channels", key), wrong)
        else:
            serial, label = split_channel(key, known.labels)
            names[f"{meters.get(serial, serial)}_{label}"] = name
    return names


def _wrong_key(key: str, known: KnownChannels) -> str:
    serial, label = split_channel(key, known.labels)
    if not serial or not key.isprintable() or any(letter.isspace() for letter in serial):
        return "expected SERIAL_CHANNEL before the =, such as 399999_ch1 (an ECM) or 01000777_ch1 (a GEM)"
    if label in known.labels or not known.complete:
        return ""
    return f"no meter has such a channel{channel_hint(key, (), known.labels)}"


def _wrong_name(name: object, names: Mapping[str, str], known: KnownChannels) -> str:
    if not isinstance(name, str) or not name.strip():
        return "expected a name, as text in quotes"
    serial, label = split_channel(name, known.labels)
    if name in known.labels or (serial.isdigit() and label in known.labels):
        return f'"{name}" is the notation of a channel; choose another name'
    same = [key for key, other in names.items() if other == name]
    return f'the name "{name}" is already used for {same[0]}' if same else ""
