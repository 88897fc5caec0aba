# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions of channels: `mains_a + mains_b - 2 * ch5`.

An expression is a sum: each part is a channel, or an expression in parentheses, and may be multiplied or divided by
numbers. What has no meaning for energy, such as a product of two channels, is refused. Which channel a name means is
decided by the caller. Pure.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Generic, TypeVar

from btcore.classes import field, frozen

C = TypeVar("C")

MAX_LENGTH = 1000
"""Characters of the longest expression."""

MAX_DEPTH = 20
"""Parentheses within each other."""

MAX_DIGITS = 6
"""Digits of a number before the point, and behind it."""

TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>\d+(?:\.\d+)?)(?![\w.])
    |(?P<quoted>"[^"]*"|'[^']*')
    |(?P<name>\w(?:[\w.]|-(?=\w))*)
    |(?P<sign>[-+*/()])
    )\s*""",
    re.VERBOSE,
)
"""A name may contain a hyphen: a minus has a blank before it or behind it."""


FUNCTION = re.compile(r"\b(max|min|abs)\s*\(")

NO_FUNCTIONS = "max, min and abs are not needed: a virtual channel counts import and export apart, as a meter does"


class InvalidExpression(ValueError):
    """What is wrong with an expression, for a person."""


@frozen
class _Sum(Generic[C]):
    """A number, or channels each multiplied by a number."""

    number: Fraction = Fraction(0)
    channels: Mapping[C, Fraction] = field(factory=dict)

    def plus(self, other: "_Sum[C]", sign: int) -> "_Sum[C]":
        """Return the sum, or with -1 the difference."""
        channels = dict(self.channels)
        for channel, factor in other.channels.items():
            channels[channel] = channels.get(channel, Fraction(0)) + sign * factor
        return _Sum(self.number + sign * other.number, channels)

    def times(self, factor: Fraction) -> "_Sum[C]":
        """Return it, multiplied."""
        return _Sum(self.number * factor, {channel: one * factor for channel, one in self.channels.items()})


def parse(text: str, resolve: Callable[[str], Mapping[C, Fraction]]) -> dict[C, Fraction]:
    """Return the channels of an expression, each with the number by which it is multiplied.

    `resolve` returns the same of a name: of a channel itself with 1, of another virtual channel its channels. It raises
    what it likes for a name that it does not know. Raises InvalidExpression.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidExpression(f"expected at most {MAX_LENGTH} characters, found {len(text)}")
    parser = _Parser(list(_tokens(text)), resolve)
    found = parser.sum()
    if parser.ahead:
        raise InvalidExpression(f'expected + or - before "{parser.ahead[1]}"')
    channels = {channel: factor for channel, factor in found.channels.items() if factor}
    if not channels:
        raise InvalidExpression("expected channels, such as mains_a + mains_b; what is left here is none")
    if found.number:
        raise InvalidExpression(
            f"a number alone has no meaning here: {float(found.number):g}; multiply a channel by it"
        )
    return channels


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text.rstrip()):
        token = TOKEN.match(text, at)
        if token is None or token.lastgroup is None:
            if FUNCTION.search(text):
                raise InvalidExpression(NO_FUNCTIONS)
            raise InvalidExpression(
                f"expected a channel, a number, + - * / or parentheses, found {text[at:].strip()[:20]!r}"
            )
        yield token.lastgroup, token[token.lastgroup]
        at = token.end()


class _Parser(Generic[C]):
    """Reads tokens from left to right."""

    def __init__(self, tokens: Sequence[tuple[str, str]], resolve: Callable[[str], Mapping[C, Fraction]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._resolve = resolve

    @property
    def ahead(self) -> tuple[str, str] | None:
        """The next token; None at the end."""
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _takes(self, *signs: str) -> str:
        """Take the next token, if it is one of these signs; else return ""."""
        if self.ahead and self.ahead[0] == "sign" and self.ahead[1] in signs:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return ""

    def sum(self) -> _Sum[C]:
        """Read products with + and - between them."""
        found: _Sum[C] = _Sum()
        sign = self._takes("+", "-") or "+"
        while sign:
            found = found.plus(self._product(), -1 if sign == "-" else 1)
            sign = self._takes("+", "-")
        return found

    def _product(self) -> _Sum[C]:
        found = self._part()
        while sign := self._takes("*", "/"):
            found = _multiplied(found, self._part()) if sign == "*" else _divided(found, self._part())
        return found

    def _part(self) -> _Sum[C]:
        if self._takes("-"):
            return self._part().times(Fraction(-1))
        if self._takes("("):
            return self._inner()
        kind, text = self.ahead or ("", "")
        self._at += 1
        if kind == "number":
            return _Sum(_number(text))
        if kind in ("name", "quoted"):
            return _Sum(channels=dict(self._resolve(text.strip("\"'") if kind == "quoted" else text)))
        raise InvalidExpression(f'expected a channel, found "{text}"' if kind else "expected a channel at its end")

    def _inner(self) -> _Sum[C]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidExpression(f"expected at most {MAX_DEPTH} parentheses within each other")
        found = self.sum()
        self._depth -= 1
        if not self._takes(")"):
            raise InvalidExpression("a parenthesis is not closed: )")
        return found


def _number(text: str) -> Fraction:
    if any(len(digits) > MAX_DIGITS for digits in text.split(".")):
        raise InvalidExpression(
            f"expected a number with at most {MAX_DIGITS} digits before and behind the point: {text}"
        )
    return Fraction(text)


def _multiplied(one: _Sum[C], other: _Sum[C]) -> _Sum[C]:
    if one.channels and other.channels:
        raise InvalidExpression("expected a channel times a number: two channels cannot be multiplied")
    return one.times(other.number) if one.channels else other.times(one.number)


def _divided(one: _Sum[C], other: _Sum[C]) -> _Sum[C]:
    if other.channels:
        raise InvalidExpression("expected a number behind /: it cannot be divided by a channel")
    if not other.number:
        raise InvalidExpression("it cannot be divided by 0")
    return one.times(1 / other.number)
