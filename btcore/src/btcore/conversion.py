"""From what TOML can say to what a setting is: one function for each type that a setting may have.

Nothing here knows a table or a file's lines (`configuration.py`). Whatever the value, the answer is the converted value
or `Mismatch`, which never repeats a secret.
"""

import math
import os
import re
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from btcore.channels import channel_of
from btcore.findings import nearest
from btcore.mismatch import Fault, Mismatch, Scope, kind_of, mismatch, shown
from btcore.settings import ChannelRef, Duration, Secret

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST = 36_500 * 86_400
"""Seconds; no duration is longer than a hundred years."""

SECRET_BYTES = 65_536
"""The most that is read of a file that holds a text."""


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
        return f"list of {type_name(arguments[0])}s"
    if origin is dict and arguments[0] in (str, ChannelRef):
        return f"table of {type_name(arguments[0])}s to {type_name(arguments[1])}s"
    raise TypeError(f"{annotation} is no type that a setting may have")


def check_choice(value: object, choices: tuple[str, ...]) -> None:
    """Raise Mismatch when a value, or an item of a list, is none of the choices."""
    items = value if isinstance(value, list | tuple) else [value]
    wrong = [item for item in items if item not in choices]
    if choices and wrong:
        raise _one_of(choices, wrong[0])


def duration_text(seconds: float) -> str:
    """Write a duration as a configuration does: the largest unit that divides it."""
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % UNITS[unit] == 0:
            return f"{seconds / UNITS[unit]:.0f}{unit}"
    return f"{seconds * 1000:.15g}ms" if seconds else "0s"


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
            faults += [attrs.evolve(fault, path=(place, *fault.path)) for fault in error.faults]
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
                faults.append(Fault("the same channel is named twice", (name,)))
            made[key] = convert(item, arguments[1], scope)
        except Mismatch as error:
            faults += [attrs.evolve(fault, path=(name, *fault.path)) for fault in error.faults]
    if faults:
        raise Mismatch(*faults)
    return made


def _found(value: object, annotation: Any) -> str:  # noqa: ANN401 - types are values here
    """Return what is shown of a value that should have been a list or a table: nothing where a secret belongs."""
    return kind_of(value) if "secret" in type_name(annotation) else shown(value)


def _text(value: object, scope: Scope) -> str:
    if isinstance(value, dict):
        return _referred(value, scope)
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise mismatch("text", value)


def _secret(value: object, scope: Scope) -> Secret:
    try:
        text = _text(value, scope)
    except Mismatch:
        if isinstance(value, dict):
            raise
        # not as elsewhere with what was found: it may be half of the secret
        expected = 'text, { env = "NAME" } or { file = "path" }'
        raise Mismatch(Fault(f"expected {expected}, found {kind_of(value)}")) from None
    if text:
        scope.secrets.append(text)
    return Secret(text)


def _referred(value: Mapping[str, object], scope: Scope) -> str:
    """Read a text that is kept elsewhere. It may be secret, so no message shows it."""
    match dict(value):
        case {"env": str(name), **rest} if not rest:
            text, place = os.environ.get(name), f"the environment variable {name}"
            if text is None:
                raise Mismatch(Fault(f"{place} is not set; set it for btcore, or write the text here"))
        case {"file": str(name), **rest} if not rest:
            text, place = _file_text(name, scope), f"the file {name}"
        case _:
            raise Mismatch(Fault('expected text, { env = "NAME" } or { file = "path" }, found another table'))
    if not text:
        raise Mismatch(Fault(f"{place} is empty"))
    scope.secrets.append(text)
    return text


def _file_text(name: str, scope: Scope) -> str:
    path = _path(name, scope)
    try:
        if not path.is_file():
            raise Mismatch(Fault(f"there is no file {path}" if not path.exists() else f"{path} is no regular file"))
        with path.open("rb") as file:
            raw = file.read(SECRET_BYTES + 1)
    except OSError as error:
        raise Mismatch(Fault(f"the file {path} cannot be read: {error.strerror}")) from None
    if len(raw) > SECRET_BYTES:
        raise Mismatch(Fault(f"the file {path} is larger than {SECRET_BYTES} bytes; it should hold the text alone"))
    try:
        return raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise Mismatch(Fault(f"the file {path} is not text in UTF-8")) from None


def _path(value: object, scope: Scope) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise mismatch("a path, as text", value)
    try:
        return scope.directory / Path(value).expanduser()
    except RuntimeError:
        raise Mismatch(Fault(f"no such user: {shown(value)}")) from None


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


def _duration(value: object, _scope: Scope) -> Duration:
    seconds = _seconds(value)
    if seconds is None or not 0 <= seconds <= LONGEST:
        raise mismatch('a duration such as "500ms", "30s", "5m", "1h" or "7d"', value)
    return Duration(seconds)


def _seconds(value: object) -> float | None:
    if isinstance(value, str):
        found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|d)", value.strip())
        return float(found[1]) * UNITS[found[2]] if found else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


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
    Duration: Scalar("duration", _duration),
    Secret: Scalar("secret text", _secret),
    Path: Scalar("path", _path),
    ChannelRef: Scalar("channel", channel_of),
}
