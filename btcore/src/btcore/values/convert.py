# SPDX-License-Identifier: GPL-3.0-or-later
"""Conversion of a TOML value to the type of its setting: one function for each type.

Any value is either converted, or InvalidValue is raised, whose text never contains a secret. Tables and the lines of a
file belong to `config/load.py`.
"""

import math
import types
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from btcore.classes import evolve, frozen
from btcore.redaction import redact
from btcore.settings import ChannelRef, Duration, Secret, Serial
from btcore.text import nearest
from btcore.values.channels import parse_channel, parse_serial
from btcore.values.constraints import error_text, validation_problem
from btcore.values.durations import parse_duration
from btcore.values.invalid_value import (
    ConversionContext,
    InvalidValue,
    ValueProblem,
    describe_kind,
    format_value,
    invalid,
)
from btcore.values.nested import Field, fields_of, is_table
from btcore.values.references import parse_path, resolve_reference
from btcore.values.variables import find_variable, variable_problem


def convert(value: object, annotation: Any, context: ConversionContext) -> Any:  # noqa: ANN401 - types are values here
    """Convert a value to a type. Raises InvalidValue, or TypeError for a type that a setting cannot have."""
    if isinstance(value, int) and value.bit_length() > 63:  # noqa: PLR2004 - TOML's own bound
        raise InvalidValue(ValueProblem("the number has more than 64 bits"))
    if annotation in SCALARS:
        return SCALARS[annotation].convert(value, context)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return _literal(value, arguments)
    if origin in (Union, types.UnionType):
        return convert(value, _but_none(arguments), context)
    if origin in (list, tuple):
        return origin(_items(value, annotation, context))
    if origin is dict:
        return _mapping(value, annotation, context)
    if is_table(annotation):
        return _table(value, annotation, context)
    raise TypeError(f"{annotation} is not a type that a setting can have")


def type_name(annotation: Any) -> str:  # noqa: ANN401 - types are values here
    """Return the name of a type for people. Raises TypeError for a type that a setting cannot have."""
    if annotation in SCALARS:
        return SCALARS[annotation].name
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "choice"
    if origin in (Union, types.UnionType):
        return type_name(_but_none(arguments))
    if origin is list or (origin is tuple and arguments[1:] == (...,)):
        return f"list of {_several(arguments[0])}"
    if origin is dict and arguments[0] in (str, ChannelRef, Serial):
        return f"table of {_several(arguments[0])} to {_several(arguments[1])}"
    if is_table(annotation):
        parts = (f"{name}: {type_name(field.annotation)}" for name, field in fields_of(annotation).items())
        return f"table {{ {', '.join(parts)} }}"
    raise TypeError(f"{annotation} is not a type that a setting can have")


def check_choice(value: object, choices: tuple[str, ...]) -> None:
    """Raise InvalidValue if a value, or an item of a list, is none of the choices, which are written as texts."""
    if not choices:
        return
    if not isinstance(value, list | tuple):
        if str(value) not in choices:
            raise _one_of(choices, value)
        return
    wrong = [(index, item) for index, item in enumerate(value) if str(item) not in choices]
    if wrong:
        raise InvalidValue(*(problem for index, item in wrong for problem in _within(index, _one_of(choices, item))))


def _several(annotation: Any) -> str:  # noqa: ANN401 - types are values here
    noun, brace, rest = type_name(annotation).partition(" {")
    return f"{noun}s{brace}{rest}"


def _but_none(arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401 - types are values here
    kinds = [kind for kind in arguments if kind is not types.NoneType]
    if len(kinds) != 1:
        raise TypeError(f"{' | '.join(map(str, arguments))} is not a type that a setting can have")
    return kinds[0]


def _one_of(choices: tuple[Any, ...], value: object) -> InvalidValue:
    known = ", ".join(format_value(choice) for choice in choices)
    return InvalidValue(
        ValueProblem(f"expected one of {known}, found {format_value(value)}{nearest(str(value), map(str, choices))}")
    )


def _literal(value: object, choices: tuple[Any, ...]) -> object:
    if any(type(choice) is type(value) and choice == value for choice in choices):
        return value
    raise _one_of(choices, value)


def _items(value: object, annotation: Any, context: ConversionContext) -> list[object]:  # noqa: ANN401 - types are values here
    if not isinstance(value, list):
        raise InvalidValue(
            ValueProblem(f"expected a {type_name(annotation)}, in [ ], found {_found(value, annotation)}")
        )
    items, problems = [], []
    for index, item in enumerate(value):
        try:
            items.append(convert(item, get_args(annotation)[0], context))
        except InvalidValue as error:
            problems += _within(index, error)
    if problems:
        raise InvalidValue(*problems)
    return items


def _mapping(value: object, annotation: Any, context: ConversionContext) -> dict[object, object]:  # noqa: ANN401 - as above
    if not isinstance(value, dict):
        raise InvalidValue(ValueProblem(f"expected a {type_name(annotation)}, found {_found(value, annotation)}"))
    arguments = get_args(annotation)
    made: dict[object, object] = {}
    problems: list[ValueProblem] = []
    for name, item in value.items():
        try:
            key = convert(name, arguments[0], context)
            if key in made:
                problems.append(ValueProblem(f"the same {type_name(arguments[0])} appears twice", (name,)))
            made[key] = convert(item, arguments[1], context)
        except InvalidValue as error:
            problems += _within(name, error)
    if problems:
        raise InvalidValue(*problems)
    return made


def _table(value: object, cls: type, context: ConversionContext) -> object:
    """Create an instance of a class with settings; InvalidValue has all problems."""
    if not isinstance(value, dict):
        raise InvalidValue(ValueProblem(f"expected a {type_name(cls)}, found {_found(value, cls)}"))
    fields = fields_of(cls)
    known = f"; the settings are {', '.join(fields)}"
    problems = [
        ValueProblem(f"unknown setting{nearest(name, fields) or known}", (name,))
        for name in value
        if name not in fields
    ]
    made: dict[str, object] = {}
    for name, field in fields.items():
        try:
            made |= _field(name, field, value, context)
        except InvalidValue as error:
            problems += _within(name, error)
    if problems:
        raise InvalidValue(*problems)
    return _instance(cls, made, context)


def _field(name: str, field: Field, given: Mapping[str, object], context: ConversionContext) -> dict[str, object]:
    if name in given:
        value = convert(given[name], field.annotation, context)
        check_choice(value, field.choices)
        if wrong := validation_problem(field.field, field.annotation, value):
            raise InvalidValue(ValueProblem(redact(wrong, context.secrets)))
        return {field.field.alias or field.field.name: value}
    if field.required:
        raise InvalidValue(ValueProblem(f"a required setting is missing: {field.help} ({type_name(field.annotation)})"))
    return {}


def _instance(cls: type, made: Mapping[str, object], context: ConversionContext) -> object:
    try:
        return cls(**made)
    except Exception as error:  # noqa: BLE001 - a stranger's validators
        raise InvalidValue(ValueProblem(redact(error_text(error), context.secrets))) from None


def _within(index: str | int, error: InvalidValue) -> list[ValueProblem]:
    """Return the problems of an inner value, with the path to it."""
    return [evolve(problem, path=(index, *problem.path)) for problem in error.problems]


def _found(value: object, annotation: Any) -> str:  # noqa: ANN401 - types are values here
    """Return how a message shows a value that is not a list or a table; only its kind if it may be a secret."""
    return describe_kind(value) if "secret" in type_name(annotation) else format_value(value)


def _text(value: object, context: ConversionContext) -> str:
    text = _plain(value, context)
    if isinstance(value, str) and (variable := find_variable(value)):
        context.warnings.append(f"{variable} is taken literally; variables are not inserted here")
    return text


def _plain(value: object, context: ConversionContext) -> str:
    """Return a text that may be a secret."""
    if isinstance(value, dict):
        return resolve_reference(value, context)
    if isinstance(value, str):
        if wrong := variable_problem(value):
            raise InvalidValue(ValueProblem(wrong))
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise invalid("text", value)


def _secret(value: object, context: ConversionContext) -> Secret:
    try:
        text = _plain(value, context)
    except InvalidValue:
        if isinstance(value, dict | str):
            raise
        # without the value, which may be a part of the secret
        expected = 'text, { env = "NAME" } or { file = "path" }'
        raise InvalidValue(ValueProblem(f"expected {expected}, found {describe_kind(value)}")) from None
    if text:
        context.secrets.append(text)
    return Secret(text)


def _integer(value: object, _scope: ConversionContext) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid("a whole number, without quotes", value)
    return value


def _number(value: object, _scope: ConversionContext) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise invalid("a number, without quotes", value)
    return float(value)


def _flag(value: object, _scope: ConversionContext) -> bool:
    if not isinstance(value, bool):
        raise invalid("true or false, without quotes", value)
    return value


def _date(value: object, _scope: ConversionContext) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise invalid("a date such as 2026-01-31", value) from None


@frozen
class Scalar:
    """A type of a single value: its name for people, and its conversion."""

    name: str
    convert: Callable[[object, ConversionContext], object]


SCALARS: Mapping[Any, Scalar] = {
    str: Scalar("text", _text),
    int: Scalar("whole number", _integer),
    float: Scalar("number", _number),
    bool: Scalar("true or false", _flag),
    Serial: Scalar("serial number", lambda value, context: parse_serial(_text(value, context), context)),
    Duration: Scalar("duration", parse_duration),
    Secret: Scalar("secret text", _secret),
    date: Scalar("date", _date),
    Path: Scalar("path", parse_path),
    ChannelRef: Scalar("channel", parse_channel),
}
