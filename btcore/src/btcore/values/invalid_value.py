"""A value that is not what its setting wants: what is told of it, and how little of the value itself."""

import json
from collections.abc import Mapping
from pathlib import Path

import attrs

from btcore.errors import BtcoreError

MAX_SHOWN = 60
"""The most characters of a value that a message shows: a line's worth."""


@attrs.frozen
class ValueProblem:
    """One thing that does not fit: the way to it inside the value, and what was expected."""

    message: str
    path: tuple[str | int, ...] = ()


class InvalidValue(BtcoreError):
    """A value that is not what its setting wants. `faults` has everything that is wrong in it."""

    def __init__(self, *problems: ValueProblem) -> None:
        """Collect the faults."""
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


@attrs.frozen
class ConversionContext:
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


def format_value(value: object) -> str:
    """Return a value as a message shows it: short, and only whether it is a list or a table."""
    if isinstance(value, str):
        return json.dumps(value if len(value) <= MAX_SHOWN else value[:MAX_SHOWN] + "…", ensure_ascii=False)
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return describe_kind(value)


def describe_kind(value: object) -> str:
    """Return what a value is, and nothing of what it says."""
    kinds: dict[type, str] = {str: "text", bool: "true or false", int: "a number", float: "a number"}
    kinds |= {list: "a list", dict: "a table"}
    return kinds.get(type(value), "a date or time")


def invalid(expected: str, value: object) -> InvalidValue:
    """Make the error for a value of a wrong kind."""
    return InvalidValue(ValueProblem(f"expected {expected}, found {format_value(value)}"))
