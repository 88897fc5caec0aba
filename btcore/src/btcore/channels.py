"""How a channel is written in a configuration: as a label, as SERIAL_LABEL, or by its name in [channels]."""

import re
from collections.abc import Mapping
from typing import Any

from btcore.brultech import FORMATS
from btcore.findings import Findings, nearest
from btcore.mismatch import Fault, Mismatch, Scope, mismatch, shown
from btcore.settings import ChannelRef

LABELS = frozenset(
    {label for format_ in FORMATS.values() for label in format_.labels}
    | {channel.name for format_ in FORMATS.values() for channel in format_.channels}
    | {
        f"{channel.name}_{unit}"
        for format_ in FORMATS.values()
        for channel in format_.channels
        for unit in ("w", "pw", "nw", "wh", "pwh", "nwh", "dwh")
    }
)
"""What a setting can mean by a channel: the channels themselves, and every measured or calculated label."""

KEY = re.compile(r"([0-9A-Za-z-]+)_([a-z][a-z0-9_]*)")
"""SERIAL_CHANNEL, as in `399999_ch1`."""


def read_channels(data: Mapping[str, Any], findings: Findings) -> dict[str, str]:
    """Return the name of each `SERIAL_CHANNEL`; note what is wrong with them."""
    table = data.get("channels", {})
    if not isinstance(table, dict):
        findings.add(("channels",), 'expected a table: [channels], and in it "399999_ch1" = "solar"')
        return {}
    names: dict[str, str] = {}
    # a decoder of another kind of meter has labels of its own, which only it knows
    decoders = data.get("decoder")
    strict = not isinstance(decoders, dict) or set(decoders) <= {"brultech"}
    for key, name in table.items():
        wrong = _wrong_key(key, strict=strict) or _wrong_name(name, names)
        if wrong:
            findings.add(("channels", key), wrong)
        else:
            names[key] = name
    return names


def channel_of(value: object, scope: Scope) -> ChannelRef:
    """Read what a setting means by a channel. Raises Mismatch."""
    if not isinstance(value, str):
        raise mismatch("a channel, as text", value)
    named = {name: key for key, name in scope.channels.items()}
    text = named.get(value, value)
    serial, _, label = text.partition("_")
    if text in LABELS:
        return ChannelRef("", text)
    if serial and (label in LABELS or text in scope.channels):
        return ChannelRef(serial, label)
    expected = "SERIAL_CHANNEL (399999_ch1), a channel of any meter (ch1), or a name of [channels]"
    near = nearest(value, [*named, *scope.channels, *LABELS]) or nearest(label, LABELS)
    raise Mismatch(Fault(f"no such channel: {shown(value)}{near or f'; expected {expected}'}"))


def _wrong_key(key: str, *, strict: bool) -> str:
    parts = KEY.fullmatch(key)
    if not parts:
        return "expected SERIAL_CHANNEL before the =, such as 399999_ch1"
    return f"no meter has such a channel{nearest(parts[2], LABELS)}" if strict and parts[2] not in LABELS else ""


def _wrong_name(name: object, names: Mapping[str, str]) -> str:
    if not isinstance(name, str) or not name.strip():
        return "expected a name, as text in quotes"
    serial, _, label = name.partition("_")
    if name in LABELS or (serial.isdigit() and label in LABELS):
        return f'"{name}" is how a channel is written; give it a name of its own'
    same = [key for key, other in names.items() if other == name]
    return f'the name "{name}" is already that of {same[0]}' if same else ""
