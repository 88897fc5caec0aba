# SPDX-License-Identifier: GPL-3.0-or-later
"""What does not conform: a code for each kind of fault, and a sentence that says what is wrong and what to do."""

from collections.abc import Iterable
from typing import Literal

import attrs

Code = Literal[
    "declaration", "settings", "init", "check", "outcome", "answer", "twice", "secret", "close", "none", "source",
    "decoder",
]  # fmt: skip
"""What a fault is about."""


@attrs.frozen
class Fault:
    """One thing that is wrong with a plugin."""

    code: Code
    text: str

    def __str__(self) -> str:
        """As a list of faults shows it."""
        return f"[{self.code}] {self.text}"


class DoesNotConform(AssertionError):
    """Raised by `conforms`: `faults` has all that is wrong."""

    def __init__(self, name: str, faults: Iterable[Fault]) -> None:
        """Say what is wrong."""
        self.faults = tuple(faults)
        lines = "".join(f"\n  {fault}" for fault in self.faults)
        super().__init__(f"{name} does not conform:{lines}")
