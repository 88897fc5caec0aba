# SPDX-License-Identifier: GPL-3.0-or-later
"""Validators of settings: bounds of a number and choices, as those of `attrs.validators` of these names, without attrs.

What a person is told of a value that they refuse is written in `values/constraints.py`.
"""

import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class Comparison:
    """A bound: `compare_op` is the sign between a value and `bound`. Called with a value, raises ValueError."""

    def __init__(self, compare_op: str, bound: Any) -> None:  # noqa: ANN401 - anything that compares
        """Keep the bound."""
        self.compare_op = compare_op
        self.bound = bound

    def __call__(self, _instance: object, field: Any, value: Any) -> None:  # noqa: ANN401 - as attrs calls it
        """Check a value of a field. Raises ValueError."""
        if not COMPARISONS[self.compare_op](value, self.bound):
            raise ValueError(f"'{field.name}' must be {self.compare_op} {self.bound}: {value}")


class All:
    """Several validators, all of which must accept a value."""

    def __init__(self, *validators: Callable[[Any, Any, Any], object]) -> None:
        """Keep them."""
        self.validators = validators

    def __call__(self, instance: object, field: Any, value: Any) -> None:  # noqa: ANN401 - as attrs calls it
        """Check a value of a field. Raises ValueError."""
        for one in self.validators:
            one(instance, field, value)


class Choice:
    """A choice: a value must be one of `options`. Called with a value, raises ValueError."""

    def __init__(self, options: Collection[object]) -> None:
        """Keep them."""
        self.options = options

    def __call__(self, _instance: object, field: Any, value: object) -> None:  # noqa: ANN401 - as attrs calls it
        """Check a value of a field. Raises ValueError."""
        if value not in self.options:
            raise ValueError(f"'{field.name}' must be in {self.options!r} (got {value!r})")


def gt(bound: Any) -> Comparison:  # noqa: ANN401 - anything that compares
    """Refuse what is not above a bound."""
    return Comparison(">", bound)


def ge(bound: Any) -> Comparison:  # noqa: ANN401 - as above
    """Refuse what is below a bound."""
    return Comparison(">=", bound)


def lt(bound: Any) -> Comparison:  # noqa: ANN401 - as above
    """Refuse what is not below a bound."""
    return Comparison("<", bound)


def le(bound: Any) -> Comparison:  # noqa: ANN401 - as above
    """Refuse what is above a bound."""
    return Comparison("<=", bound)


and_ = All
in_ = Choice
