"""From what TOML can say to what a setting is: one function for each type that a setting may have.

Nothing here knows a table or a file's lines (`config/load.py`). Whatever the value, the answer is the converted value
or `Mismatch`, which never repeats a secret.
"""

import math
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from btcore.redaction import redact
from btcore.settings import ChannelRef, Duration, Secret, Serial
from btcore.text import nearest
from btcore.values.channels import channel_of, serial_of
from btcore.values.constraints import complaint, said
from btcore.values.durations import duration_of
from btcore.values.mismatch import Fault, Mismatch, Scope, kind_of, mismatch, shown
from btcore.values.nested import Field, fields_of, is_table
from btcore.values.references import path_of, referred
from btcore.values.variables import literal, literal_within


def convert(value: object, annotation: Any, scope: Scope) -> Any:  # noqa: ANN401 - types are values here
    """Make the value of a setting of that type. Raises Mismatch; TypeError for a type that no setting may have."""
    if isinstance(value, int) and value.bit_length() > 63:  # noqa: PLR2004 - TOML's own bound
        raise Mismatch(Fault("a number of more than 64 bits"))
    if annotation in SCALARS:
        return SCALARS[annotation].convert(value, scope)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return _literal(value, arguments)
    if origin in (Union, types.UnionType):
        return convert(value, _but_none(arguments), scope)
    if origin in (list, tuple):
        return origin(_items(value, annotation, scope))
    if origin is dict:
        return _mapping(value, annotation, scope)
    if is_table(annotation):
        return _table(value, annotation, scope)
    raise TypeError(f"{annotation} is no type that a setting may have")


def type_name(annotation: Any) -> str:  # noqa: ANN401 - types are values here
    """Return a type in a person's words. Raises TypeError for one that no setting may have."""
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
    raise TypeError(f"{annotation} is no type that a setting may have")


def check_choice(value: object, choices: tuple[str, ...]) -> None:
    """Raise Mismatch when a value, or an item of a list, is none of the choices."""
    if not choices:
        return
    if not isinstance(value, list | tuple):
        if value not in choices:
            raise _one_of(choices, value)
        return
    wrong = [(place, item) for place, item in enumerate(value) if item not in choices]
    if wrong:
        raise Mismatch(*(fault for place, item in wrong for fault in _within(place, _one_of(choices, item))))


def _several(annotation: Any) -> str:  # noqa: ANN401 - types are values here
    noun, brace, rest = type_name(annotation).partition(" {")
    return f"{noun}s{brace}{rest}"


def _but_none(arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401 - types are values here
    kinds = [kind for kind in arguments if kind is not types.NoneType]
    if len(kinds) != 1:
        raise TypeError(f"{' | '.join(map(str, arguments))} is no type that a setting may have")
    return kinds[0]


def _one_of(choices: tuple[Any, ...], value: object) -> Mismatch:
    known = ", ".join(shown(choice) for choice in choices)
    return Mismatch(Fault(f"expected one of {known}, found {shown(value)}{nearest(str(value), map(str, choices))}"))


def _literal(value: object, choices: tuple[Any, ...]) -> object:
    if any(type(choice) is type(value) and choice == value for choice in choices):
        return value
    raise _one_of(choices, value)


def _items(value: object, annotation: Any, scope: Scope) -> list[object]:  # noqa: ANN401 - types are values here
    if not isinstance(value, list):
        raise Mismatch(Fault(f"expected a {type_name(annotation)}, in [ ], found {_found(value, annotation)}"))
    items, faults = [], []
    for place, item in enumerate(value):
        try:
            items.append(convert(item, get_args(annotation)[0], scope))
        except Mismatch as error:
            faults += _within(place, error)
    if faults:
        raise Mismatch(*faults)
    return items


def _mapping(value: object, annotation: Any, scope: Scope) -> dict[object, object]:  # noqa: ANN401 - as above
    if not isinstance(value, dict):
        raise Mismatch(Fault(f"expected a {type_name(annotation)}, found {_found(value, annotation)}"))
    arguments = get_args(annotation)
    made: dict[object, object] = {}
    faults: list[Fault] = []
    for name, item in value.items():
        try:
            key = convert(name, arguments[0], scope)
            if key in made:
                faults.append(Fault(f"the same {type_name(arguments[0])} is named twice", (name,)))
            made[key] = convert(item, arguments[1], scope)
        except Mismatch as error:
            faults += _within(name, error)
    if faults:
        raise Mismatch(*faults)
    return made


def _table(value: object, cls: type, scope: Scope) -> object:
    """Make an instance of a class with settings; whatever is wrong with them is told at once."""
    if not isinstance(value, dict):
        raise Mismatch(Fault(f"expected a {type_name(cls)}, found {_found(value, cls)}"))
    fields = fields_of(cls)
    known = f"; it may have {', '.join(fields)}"
    faults = [
        Fault(f"unknown setting{nearest(name, fields) or known}", (name,)) for name in value if name not in fields
    ]
    made: dict[str, object] = {}
    for name, field in fields.items():
        try:
            made |= _field(name, field, value, scope)
        except Mismatch as error:
            faults += _within(name, error)
    if faults:
        raise Mismatch(*faults)
    return _instance(cls, made, scope)


def _field(name: str, field: Field, given: Mapping[str, object], scope: Scope) -> dict[str, object]:
    if name in given:
        made = {name: convert(given[name], field.annotation, scope)}
        check_choice(made[name], field.choices)
        if wrong := complaint(field.field, field.annotation, made[name]):
            raise Mismatch(Fault(redact(wrong, scope.secrets)))
        return made
    if field.required:
        raise Mismatch(Fault(f"is missing and must be given: {field.help} ({type_name(field.annotation)})"))
    return {}


def _instance(cls: type, made: Mapping[str, object], scope: Scope) -> object:
    try:
        return cls(**made)
    except Exception as error:  # noqa: BLE001 - a stranger's validators
        raise Mismatch(Fault(redact(said(error), scope.secrets))) from None


def _within(place: str | int, error: Mismatch) -> list[Fault]:
    """Return the faults of something inside a value, with the way to them."""
    return [attrs.evolve(fault, path=(place, *fault.path)) for fault in error.faults]


def _found(value: object, annotation: Any) -> str:  # noqa: ANN401 - types are values here
    """Return what is shown of a value that should have been a list or a table: nothing where a secret belongs."""
    return kind_of(value) if "secret" in type_name(annotation) else shown(value)


def _text(value: object, scope: Scope) -> str:
    text = _plain(value, scope)
    if isinstance(value, str) and (variable := literal_within(value)):
        scope.warnings.append(f"{variable} in it is taken literally: no variable is put in here")
    return text


def _plain(value: object, scope: Scope) -> str:
    """Read a text that may be a secret."""
    if isinstance(value, dict):
        return referred(value, scope)
    if isinstance(value, str):
        if wrong := literal(value):
            raise Mismatch(Fault(wrong))
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise mismatch("text", value)


def _secret(value: object, scope: Scope) -> Secret:
    try:
        text = _plain(value, scope)
    except Mismatch:
        if isinstance(value, dict | str):
            raise
        # not as elsewhere with what was found: it may be half of the secret
        expected = 'text, { env = "NAME" } or { file = "path" }'
        raise Mismatch(Fault(f"expected {expected}, found {kind_of(value)}")) from None
    if text:
        scope.secrets.append(text)
    return Secret(text)


def _whole(value: object, _scope: Scope) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise mismatch("a whole number, without quotes", value)
    return value


def _number(value: object, _scope: Scope) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise mismatch("a number, without quotes", value)
    return float(value)


def _flag(value: object, _scope: Scope) -> bool:
    if not isinstance(value, bool):
        raise mismatch("true or false, without quotes", value)
    return value


@attrs.frozen
class Scalar:
    """A type of a single value: its name in a person's words, and the function that makes it."""

    name: str
    convert: Callable[[object, Scope], object]


SCALARS: Mapping[Any, Scalar] = {
    str: Scalar("text", _text),
    int: Scalar("whole number", _whole),
    float: Scalar("number", _number),
    bool: Scalar("true or false", _flag),
    Serial: Scalar("serial number", lambda value, scope: serial_of(_text(value, scope), scope)),
    Duration: Scalar("duration", duration_of),
    Secret: Scalar("secret text", _secret),
    Path: Scalar("path", path_of),
    ChannelRef: Scalar("channel", channel_of),
}
