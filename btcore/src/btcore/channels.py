"""The table [channels]: names that every sink may use for a meter's channels."""

import re
from collections.abc import Mapping
from typing import Any

from btcore.conversion import LABELS
from btcore.findings import Findings, nearest

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
    strict = data.get("decoder", {"brultech": {}}).keys() == {"brultech"}
    for key, name in table.items():
        wrong = _wrong_key(key, strict=strict) or _wrong_name(name, names)
        if wrong:
            findings.add(("channels", key), wrong)
        else:
            names[key] = name
    return names


def _wrong_key(key: str, *, strict: bool) -> str:
    parts = KEY.fullmatch(key)
    if not parts:
        return "expected SERIAL_CHANNEL before the =, such as 399999_ch1"
    return f"no meter has such a channel{nearest(parts[2], LABELS)}" if strict and parts[2] not in LABELS else ""


def _wrong_name(name: object, names: Mapping[str, str]) -> str:
    if not isinstance(name, str) or not name.strip():
        return "expected a name, as text in quotes"
    if name in LABELS or name.partition("_")[2] in LABELS:
        return f'"{name}" is how a channel is written; give it a name of its own'
    same = [key for key, other in names.items() if other == name]
    return f'the name "{name}" is already that of {same[0]}' if same else ""
