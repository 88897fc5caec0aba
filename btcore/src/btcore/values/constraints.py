# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages for values that a setting's validator refuses: `expected a whole number from 1 to 9, found 10`.

The messages of attrs' own validators are for programmers, so they are written anew here. Types belong to `convert.py`.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

from btcore.class_init import is_of_attrs
from btcore.errors import is_interrupt
from btcore.settings import Duration
from btcore.text import plural
from btcore.validators import All, Choice, Comparison
from btcore.values.durations import duration_text
from btcore.values.invalid_value import format_value

BOUNDS = {">": "above {}", ">=": "of at least {}", "<": "below {}", "<=": "of at most {}"}

NAMES: dict[object, str] = {int: "a whole number", float: "a number", Duration: "a duration"}


def validation_problem(field: Any, annotation: object, value: object) -> str:  # noqa: ANN401 - as `fields` returns it
    """Run a setting's validator; return what is wrong with the value, or ""."""
    annotation = next((kind for kind in get_args(annotation) if kind in NAMES), annotation)  # of `int | None`
    for validator in _single(field.validator):
        try:
            validator(None, field, value)
        except (ValueError, TypeError) as error:
            return _describe_failure(validator, list(_single(field.validator)), annotation, value) or error_text(error)
        except BaseException as error:
            if is_interrupt(error):
                raise
    return ""


def error_text(error: BaseException) -> str:
    """Return the message of an error, without the field and the value that attrs' validators add."""
    try:
        if isinstance(error, OSError):
            return str(error)  # its first argument is a number
        return str(error.args[0]) if error.args else type(error).__name__
    except BaseException:  # noqa: BLE001 - what a stranger's error carries may fail to tell itself
        return type(error).__name__


OURS: Mapping[type, str] = {All: "all", Comparison: "comparison", Choice: "choice"}


@cache
def _of_attrs() -> Mapping[type, str]:
    """Return the kind of each of attrs' own validators, which has no public names for their types."""
    from attrs import validators  # noqa: PLC0415 - one of them was made

    return {
        type(validators.and_()): "all",
        type(validators.optional(validators.gt(0))): "optional",
        type(validators.gt(0)): "comparison",
        type(validators.in_(())): "choice",
        type(validators.min_len(0)): "min_length",
        type(validators.max_len(0)): "max_length",
    }


def _kind(validator: Any) -> str:  # noqa: ANN401 - attrs has no type for its own validators
    return (_of_attrs() if is_of_attrs(validator) else OURS).get(type(validator), "")


def _single(validator: Any) -> Iterator[Any]:  # noqa: ANN401 - as above
    """Yield the validators that a validator consists of."""
    match _kind(validator):
        case "all":
            for part in validator.validators if isinstance(validator, All) else validator._validators:  # noqa: SLF001 - as above
                yield from _single(part)
        case "optional":
            yield from _single(validator.validator)
        case _ if validator is not None:
            yield validator


def _describe_failure(validator: Any, others: list[Any], annotation: object, value: Any) -> str:  # noqa: ANN401 - as above
    """Return the message for a failed validator of a known kind, with all bounds; "" for any other validator."""
    thing = "character" if isinstance(value, str) else "item"
    match _kind(validator):
        case "comparison":
            bounds = {one.compare_op: one.bound for one in others if _kind(one) == "comparison"}
            return f"expected {_describe_range(bounds, annotation)}, found {_format_bound(value, annotation)}"
        case "choice":
            return f"expected one of {', '.join(map(format_value, validator.options))}, found {format_value(value)}"
        case "min_length":
            return f"expected at least {plural(validator.min_length, thing)}, found {len(value)}"
        case "max_length":
            return f"expected at most {plural(validator.max_length, thing)}, found {len(value)}"
    return ""


def _describe_range(bounds: dict[str, Any], annotation: object) -> str:
    """Return bounds in words: `a number above 0`, `a whole number from 1 to 65535`."""
    if annotation is int:  # above 0 is from 1 on
        bounds = {{">": ">=", "<": "<="}.get(sign, sign): bound + _step(sign) for sign, bound in bounds.items()}
    bounds_text = {sign: _format_bound(bound, annotation) for sign, bound in bounds.items()}
    name = NAMES.get(annotation, "a number")
    if ">=" in bounds_text and "<=" in bounds_text:
        return f"{name} from {bounds_text['>=']} to {bounds_text['<=']}"
    parts = (words.format(bounds_text[sign]) for sign, words in BOUNDS.items() if sign in bounds_text)
    return f"{name} {' and '.join(parts)}"


def _step(sign: str) -> int:
    return {">": 1, "<": -1}.get(sign, 0)


def _format_bound(value: Any, annotation: object) -> str:  # noqa: ANN401 - a number of some kind, or what should be one
    if isinstance(value, bool) or not isinstance(value, int | float):
        return format_value(value)
    return duration_text(value) if annotation is Duration else f"{value:.15g}" if annotation is float else str(value)
