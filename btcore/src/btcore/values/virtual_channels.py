# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the virtual channels of [channels], `house = { expression = "mains_a + mains_b" }`, with the mistakes in them.

What an expression may be is in `virtual/expressions.py`, the other entries in `config/channel_names.py`.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from btcore.channel_descriptions import ChannelDescription
from btcore.classes import evolve, field, frozen
from btcore.text import nearest
from btcore.values.channels import EXPRESSION, KnownChannels, is_virtual, parse_channel
from btcore.values.convert import convert
from btcore.values.invalid_value import ConversionContext, InvalidValue, ValueProblem
from btcore.virtual.counting import CHANNEL, Terms, VirtualChannel
from btcore.virtual.expressions import InvalidExpression, parse

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
MAX_CHANNELS = 32
"""The most virtual channels of a configuration."""

Factors = dict[tuple[str, str], Fraction]


@frozen
class Found:
    """The virtual channels, what [channels] says of each by `NAME_ch1`, and the mistakes in them, by their keys."""

    channels: list[VirtualChannel] = field(factory=list)
    descriptions: dict[str, ChannelDescription] = field(factory=dict)
    problems: list[ValueProblem] = field(factory=list)


def read_virtual_channels(table: object, known: KnownChannels, context: ConversionContext) -> Found:
    """Return the virtual channels of [channels]. `context` has the names of the other channels."""
    entries = {key: value for key, value in table.items() if is_virtual(value)} if isinstance(table, dict) else {}
    found = Found()
    if len(entries) > MAX_CHANNELS:
        found.problems.append(ValueProblem(f"expected at most {MAX_CHANNELS} virtual channels, found {len(entries)}"))
    reader = _Reader(entries, known, context)
    for name, value in entries.items():
        try:
            _check_name(name, known, context)
            more = {"name": name, **{key: one for key, one in value.items() if key != EXPRESSION}}
            key = f"{name}_{CHANNEL}"
            found.descriptions[key] = _description(more, context)
            terms = _terms(reader.factors(name))
            found.channels.append(VirtualChannel(name, terms, str(value[EXPRESSION])))
            found.descriptions[key] = evolve(found.descriptions[key], parts=tuple(terms.channels))
        except InvalidExpression as error:
            found.problems.append(ValueProblem(str(error), (name, EXPRESSION)))
        except InvalidValue as error:
            found.problems.extend(ValueProblem(one.message, (name, *one.path)) for one in error.problems)
    return found


def _terms(factors: Factors) -> Terms:
    bare = [label for serial, label in factors if not serial]
    if bare and len(bare) < len(factors):
        raise InvalidExpression(f'"{bare[0]}": which meter? Write SERIAL_{bare[0]}, as for the others')
    return Terms(factors)


def _description(table: Mapping[str, object], context: ConversionContext) -> ChannelDescription:
    description: ChannelDescription = convert(table, ChannelDescription, context)
    if description.is_of_pulses:
        text = "unit, per_pulse and class are for pulse counters; a virtual channel is of energy"
        raise InvalidValue(ValueProblem(text))
    return description


def _check_name(name: str, known: KnownChannels, context: ConversionContext) -> None:
    if not NAME.fullmatch(name):
        text = "expected a name that begins with a letter, of at most 32 letters, digits, - and _, such as house"
        raise InvalidValue(ValueProblem(text))
    if name in known.labels or name in context.meters or name in context.channels.values():
        text = f'"{name}" is a channel, or the name of another one or of a meter; choose another name'
        raise InvalidValue(ValueProblem(text))


class _Reader:
    """Reads the expressions. One may name another virtual channel, but none itself, however far round."""

    def __init__(self, entries: Mapping[str, Any], known: KnownChannels, context: ConversionContext) -> None:
        self._entries = entries
        self._known = known
        self._context = context
        self._under_way: list[str] = []
        self._read: dict[str, Factors] = {}

    def factors(self, name: str) -> Factors:
        """Return the channels of a virtual channel. Raises InvalidExpression."""
        if name in self._under_way:
            way = " -> ".join([*self._under_way, name])
            raise InvalidExpression(f"it is calculated of itself: {way}")
        if name not in self._read:
            text = self._entries[name][EXPRESSION]
            if not isinstance(text, str):
                raise InvalidExpression('expected an expression of channels, as text: "mains_a + mains_b"')
            self._under_way.append(name)
            try:
                self._read[name] = parse(text, self._resolve)
            finally:
                self._under_way.pop()
        return self._read[name]

    def _resolve(self, name: str) -> Factors:
        if name in self._entries:
            return self.factors(name)
        try:
            ref = parse_channel(name, self._context)
        except InvalidValue:
            near = nearest(name, [*self._context.channels.values(), *self._entries])
            raise InvalidExpression(
                f'no such channel: "{name}"{near or "; expected SERIAL_CHANNEL (01000777_ch1) or a name of [channels]"}'
            ) from None
        if f"{ref.label}_w" not in self._known.labels and self._known.complete:
            raise InvalidExpression(f'"{name}" has no energy: expected a channel such as ch1 or aux1')
        return {(ref.serial, ref.label): Fraction(1)}
