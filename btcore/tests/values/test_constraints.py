# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounds of settings read like sentences, whichever validator of attrs has them."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from attrs import validators
from hypothesis import given
from hypothesis import strategies as st

from btcore.settings import Delivery, Duration
from btcore.values.constraints import error_text, validation_problem

PORT = validators.and_(validators.ge(1), validators.le(65_535))


def told(validator: Callable[[Any, Any, Any], object], annotation: object, value: object) -> str:
    """Return what a setting with this validator says of a value."""

    @attrs.define
    class Settings:
        port: Any = attrs.field(default=None, validator=attrs.validators.optional(validator))

    return validation_problem(attrs.fields(Settings).port, annotation, value)


@pytest.mark.parametrize(
    ("validator", "annotation", "value", "said"),
    [
        (PORT, int, 70_000, "expected a whole number from 1 to 65535, found 70000"),
        (PORT, int, 0, "expected a whole number from 1 to 65535, found 0"),
        (PORT, int | None, 0, "expected a whole number from 1 to 65535, found 0"),
        (validators.ge(1), int, 0, "expected a whole number of at least 1, found 0"),
        (validators.gt(0), int, 0, "expected a whole number of at least 1, found 0"),
        (validators.le(9), int, 10, "expected a whole number of at most 9, found 10"),
        (validators.lt(10), int, 10, "expected a whole number of at most 9, found 10"),
        (validators.and_(validators.gt(0), validators.lt(3)), int, 3, "expected a whole number from 1 to 2, found 3"),
        (validators.and_(validators.ge(0), validators.le(1)), float, 2.0, "expected a number from 0 to 1, found 2"),
        (validators.gt(0), float, 0.0, "expected a number above 0, found 0"),
        (validators.lt(0.5), float, 0.5, "expected a number below 0.5, found 0.5"),
        (
            validators.and_(validators.gt(0), validators.le(1)),
            float,
            1.5,
            "expected a number above 0 and of at most 1, found 1.5",
        ),
        (validators.gt(0), Duration, 0.0, "expected a duration above 0s, found 0s"),
        (validators.ge(1), Duration, 0.5, "expected a duration of at least 1s, found 500ms"),
        (
            validators.and_(validators.ge(60), validators.le(600)),
            Duration,
            900.0,
            "expected a duration from 1m to 10m, found 15m",
        ),
        (validators.in_(["red", "blue"]), str, "green", 'expected one of "red", "blue", found "green"'),
        (validators.min_len(1), str, "", "expected at least 1 character, found 0"),
        (validators.max_len(2), list[str], ["a", "b", "c"], "expected at most 2 items, found 3"),
    ],
)
def test_a_bound_is_told_as_a_sentence(
    validator: Callable[[Any, Any, Any], object], annotation: object, value: object, said: str
) -> None:
    """What was expected, with all bounds, and what was found, in the units of the configuration."""
    assert told(validator, annotation, value) == said


def test_a_plugin_s_own_validator_has_its_own_words() -> None:
    """What a validator of a plugin raises is told as it is, and one of attrs of another kind by its first words."""

    def even(_instance: object, _attribute: object, value: int) -> None:
        if value % 2:
            raise ValueError(f"expected an even number, found {value}")

    assert told(even, int, 3) == "expected an even number, found 3"
    assert "regex" in told(validators.matches_re("a+"), str, "b")
    assert told(validators.not_(validators.gt(1)), int, 3) != ""


def test_what_is_within_the_bounds_has_no_complaint() -> None:
    """A value that fits, and a setting without a validator, are not complained about."""
    assert (told(PORT, int, 1), told(PORT, int, 65_535)) == ("", "")
    assert validation_problem(attrs.fields(Delivery).interval, Duration, -1.0) == ""


@given(st.integers(-5, 5), st.integers(-5, 5), st.integers(-9, 9))
def test_the_range_that_is_told_is_the_one_that_holds(low: int, high: int, value: int) -> None:
    """A whole number is complained about exactly where it is outside the range that the sentence names."""
    said = told(validators.and_(validators.gt(low), validators.lt(high)), int, value)
    assert (said == "") == (low + 1 <= value <= high - 1)
    assert not said or f"from {low + 1} to {high - 1}" in said


def test_an_error_of_the_system_has_its_words() -> None:
    """Its first argument is a number, which says nothing to a person."""
    assert (
        error_text(FileNotFoundError(2, "No such file or directory", "x")) == "[Errno 2] No such file or directory: 'x'"
    )
