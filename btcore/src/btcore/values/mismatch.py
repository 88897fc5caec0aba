"""A value that is not what its setting wants: what is told of it, and how little of the value itself."""

import json
from collections.abc import Mapping
from pathlib import Path

import attrs

from btcore.errors import BtcoreError

SHOWN = 60
"""The most characters of a value that a message shows: a line's worth."""


@attrs.frozen
class Fault:
    """One thing that does not fit: the way to it inside the value, and what was expected."""

    message: str
    path: tuple[str | int, ...] = ()


class Mismatch(BtcoreError):
    """A value that is not what its setting wants. `faults` has everything that is wrong in it."""

    def __init__(self, *faults: Fault) -> None:
        """Collect the faults."""
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults


@attrs.frozen
class Scope:
    """What a value may refer to: the directory of its file, and the names of [channels] (by `SERIAL_CHANNEL`).

    `meters` has the serial number of each meter by what else a setting may call it: its name in [meters].

    `labels` are the channels and labels that any meter has; all of them where `complete`. `secrets` gathers every text
    that must not be repeated, `warnings` what is no mistake and yet to be told.
    """

    directory: Path
    channels: Mapping[str, str] = attrs.field(factory=dict)
    meters: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    labels: frozenset[str] = frozenset()
    complete: bool = True
    secrets: list[str] = attrs.field(factory=list, repr=False)
    warnings: list[str] = attrs.field(factory=list)

    def serial(self, text: str) -> str:
        """Return the serial number of a meter, whatever a setting calls it."""
        return self.meters.get(text, text)


def shown(value: object) -> str:
    """Return a value as a message shows it: short, and only whether it is a list or a table."""
    if isinstance(value, str):
        return json.dumps(value if len(value) <= SHOWN else value[:SHOWN] + "…", ensure_ascii=False)
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return kind_of(value)


def kind_of(value: object) -> str:
    """Return what a value is, and nothing of what it says."""
    kinds: dict[type, str] = {str: "text", bool: "true or false", int: "a number", float: "a number"}
    kinds |= {list: "a list", dict: "a table"}
    return kinds.get(type(value), "a date or time")


def mismatch(expected: str, value: object) -> Mismatch:
    """Make the error for a value of a wrong kind."""
    return Mismatch(Fault(f"expected {expected}, found {shown(value)}"))
