# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads [channels], the names of channels and what else is said of them, and reports the mistakes in it.

Virtual channels are read in `values/virtual_channels.py`.
"""

from collections.abc import Mapping
from typing import Any

from btcore.channel_descriptions import ChannelDescription
from btcore.config.problems import Problems
from btcore.values.channels import KnownChannels, is_virtual, split_channel
from btcore.values.convert import convert
from btcore.values.invalid_value import ConversionContext, InvalidValue, ValueProblem


def read_channels(
    data: Mapping[str, Any], findings: Problems, known: KnownChannels, context: ConversionContext
) -> dict[str, ChannelDescription]:
    """Return the descriptions by `SERIAL_CHANNEL`; add the mistakes to the findings.

    `context.meters` has the serial numbers of meters by their names.
    """
    table = data.get("channels", {})
    if not isinstance(table, dict):
        findings.add(("channels",), 'expected a table: [channels], and in it "399999_ch1" = "solar"')
        return {}
    found: dict[str, ChannelDescription] = {}
    for key, value in table.items():
        if is_virtual(value):
            continue
        names = {other: one.name for other, one in found.items()}
        name = value.get("name") if isinstance(value, dict) else value
        if wrong := _wrong_key(key, known) or _wrong_name(name, names, known):
            findings.add(("channels", key), wrong)
            continue
        serial, label = split_channel(key, known.labels)
        try:
            description = _description(value if isinstance(value, dict) else {"name": name}, label, known, context)
        except InvalidValue as error:
            for problem in error.problems:
                findings.add(("channels", key, *problem.path), problem.message)
        else:
            found[f"{context.serial(serial)}_{label}"] = description
    return found


def _description(
    table: Mapping[str, object], label: str, known: KnownChannels, context: ConversionContext
) -> ChannelDescription:
    """Convert the table of a channel. Raises InvalidValue."""
    description: ChannelDescription = convert(table, ChannelDescription, context)
    if description.is_of_pulses and known.complete and label not in known.pulses:
        what = f"{label} is no pulse counter: unit, per_pulse and class are for one, such as p1"
        raise InvalidValue(ValueProblem(what))
    return description


def _wrong_key(key: str, known: KnownChannels) -> str:
    serial, label = split_channel(key, known.labels)
    if not serial or not key.isprintable() or any(letter.isspace() for letter in serial):
        return "expected SERIAL_CHANNEL before the =, such as 399999_ch1 (an ECM) or 01000777_ch1 (a GEM)"
    if label in known.labels or not known.complete:
        return ""
    from btcore.values.channel_hints import channel_hint  # noqa: PLC0415 - only a mistake needs it

    return f"no meter has such a channel{channel_hint(key, (), known.labels)}"


def _wrong_name(name: object, names: Mapping[str, str], known: KnownChannels) -> str:
    if not isinstance(name, str) or not name.strip():
        return "expected a name, as text in quotes"
    serial, label = split_channel(name, known.labels)
    if name in known.labels or (serial.isdigit() and label in known.labels):
        return f'"{name}" is the notation of a channel; choose another name'
    same = [key for key, other in names.items() if other == name]
    return f'the name "{name}" is already used for {same[0]}' if same else ""
