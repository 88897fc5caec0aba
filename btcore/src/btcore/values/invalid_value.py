# SPDX-License-Identifier: GPL-3.0-or-later
"""The error for a value that its setting does not accept, and how a message shows a value."""

import json
from collections.abc import Mapping
from pathlib import Path

from btcore.classes import field, frozen
from btcore.errors import BtcoreError

MAX_SHOWN = 60
"""The most characters of a value that a message shows."""


@frozen
class ValueProblem:
    """One problem of a value: what was expected, and the path to it inside the value."""

    message: str
    path: tuple[str | int, ...] = ()


class InvalidValue(BtcoreError):
    """A value that its setting does not accept. `problems` has everything that is wrong in it."""

    def __init__(self, *problems: ValueProblem) -> None:
        """Collect the problems."""
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


@frozen
class ConversionContext:
    """What a conversion needs beside the value: the directory of the file, and the names of channels and meters.

    `channels` has the names of [channels] by `SERIAL_CHANNEL`, `meters` the serial numbers by the names of [meters].
    `labels` are the channels and labels of all meters, without exception if `complete`. `secrets` collects every text
    that must not be shown, `warnings` the warnings.
    """

    directory: Path
    channels: Mapping[str, str] = field(factory=dict)
    meters: Mapping[str, str] = field(factory=dict, kw_only=True)
    labels: frozenset[str] = frozenset()
    complete: bool = True
    secrets: list[str] = field(factory=list, repr=False)
    warnings: list[str] = field(factory=list)

    def serial(self, text: str) -> str:
        """Return the serial number of a meter by its name in [meters], or unchanged."""
        return self.meters.get(text, text)


def format_value(value: object) -> str:
    """Return a value as a message shows it: shortened; of a list or a table only its kind."""
    if isinstance(value, str):
        return json.dumps(value if len(value) <= MAX_SHOWN else value[:MAX_SHOWN] + "…", ensure_ascii=False)
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return describe_kind(value)


def describe_kind(value: object) -> str:
    """Return the kind of a value, without its content."""
    kinds: dict[type, str] = {str: "text", bool: "true or false", int: "a number", float: "a number"}
    kinds |= {list: "a list", dict: "a table"}
    return kinds.get(type(value), "a date or time")


def invalid(expected: str, value: object) -> InvalidValue:
    """Return the error for a value of a wrong kind."""
    return InvalidValue(ValueProblem(f"expected {expected}, found {format_value(value)}"))
