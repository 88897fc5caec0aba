# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions of channels: what they mean, and what is refused."""

from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore.virtual.expressions import InvalidExpression, parse


def read(text: str) -> dict[str, Fraction]:
    """Return the channels of an expression, where each name is a channel."""
    return parse(text, lambda name: {name: Fraction(1)})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mains_a + mains_b + solar", {"mains_a": 1, "mains_b": 1, "solar": 1}),
        ("2 * ch5", {"ch5": 2}),
        ("-01000777_ch1 / 4", {"01000777_ch1": Fraction(-1, 4)}),
        ("house - (solar - car) * 0.5", {"house": 1, "solar": Fraction(-1, 2), "car": Fraction(1, 2)}),
        ("'heat pump' - heat-pump", {"heat pump": 1, "heat-pump": -1}),
        ("a - a + b", {"b": 1}),
        ("a*2*3/4", {"a": Fraction(3, 2)}),
        ("a-b", {"a-b": 1}),
        ("a -b", {"a": 1, "b": -1}),
    ],
)
def test_it_is_a_sum_of_channels_times_numbers(text: str, expected: dict[str, Fraction]) -> None:
    """An expression is its channels, each with the number by which it is multiplied."""
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected a channel at its end"),
        ("a +", "expected a channel at its end"),
        ("a b", "expected + or -"),
        ("a * b", "two channels cannot be multiplied"),
        ("1 / a", "cannot be divided by a channel"),
        ("a / 0", "divided by 0"),
        ("a + 5", "a number alone has no meaning here: 5"),
        ("5", "expected channels"),
        ("a - a", "expected channels"),
        ("(a + b", "not closed"),
        ("a + b)", "expected + or - before"),
        ("max(0, a)", "max, min and abs are not needed"),
        ("a % b", "found '% b'"),
        ("a * 1234567.5", "at most 6 digits"),
        ("(" * 30 + "a" + ")" * 30, "parentheses within each other"),
        ("a + " * 400 + "a", "at most 1000 characters"),
    ],
)
def test_what_has_no_meaning_is_refused_in_words(text: str, why: str) -> None:
    """What is no sum of channels is refused, and the message says what was expected."""
    with pytest.raises(InvalidExpression) as raised:
        read(text)
    assert why in str(raised.value)


@given(st.text("ab1.02_-+*/() '\"", max_size=40))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    """No text does anything but be read or be refused."""
    with suppress(InvalidExpression):
        assert all(read(text).values())


SUMS = st.recursive(
    st.sampled_from(["a", "b", "c"]).map(lambda name: (name, {name: Fraction(1)})),
    lambda inner: st.one_of(
        st.tuples(inner, inner, st.sampled_from("+-")).map(lambda three: _joined(*three)),
        st.tuples(st.integers(1, 9), inner).map(lambda two: _scaled(*two)),
    ),
    max_leaves=8,
)


def _joined(
    one: tuple[str, dict[str, Fraction]], other: tuple[str, dict[str, Fraction]], sign: str
) -> tuple[str, dict[str, Fraction]]:
    factor = 1 if sign == "+" else -1
    names = {*one[1], *other[1]}
    sums = {name: one[1].get(name, Fraction(0)) + factor * other[1].get(name, Fraction(0)) for name in names}
    return f"({one[0]}) {sign} ({other[0]})", sums


def _scaled(number: int, one: tuple[str, dict[str, Fraction]]) -> tuple[str, dict[str, Fraction]]:
    return f"{number} * ({one[0]})", {name: number * factor for name, factor in one[1].items()}


@given(SUMS)
def test_it_means_what_it_means_in_arithmetic(expression: tuple[str, dict[str, Fraction]]) -> None:
    """A sum of sums, differences and products has the factors that arithmetic gives them."""
    text, expected = expression
    left = {name: factor for name, factor in expected.items() if factor}
    if left:
        assert read(text) == left
    else:
        with pytest.raises(InvalidExpression):
            read(text)
