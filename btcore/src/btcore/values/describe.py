# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptions of the settings of a class, by which tables are read, settings listed and examples written.

Reading a table belongs to `config/tables.py`, the listings to `cli/`.
"""

import json
import math
import re
import typing
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from btcore.classes import NOTHING, evolve, fields, fixed_default, frozen, has_fields
from btcore.settings import ChannelRef, Delivery, Duration, Secret
from btcore.text import quoted
from btcore.values.convert import type_name
from btcore.values.durations import duration_text
from btcore.values.nested import is_table


@frozen
class Setting:
    """One setting: its name in a table, its type (the annotation, and its name for people) and its help.

    `default` is `NOTHING` if the setting is required.
    """

    name: str
    annotation: Any
    type: str
    help: str
    default: Any
    choices: tuple[str, ...]
    example: str
    field: Any

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is NOTHING

    @property
    def type_and_choices(self) -> str:
        """The type with its choices, for a line of help."""
        several = "any of" if self.type.startswith("list") else "one of"
        return f"{several} {', '.join(self.choices)}" if self.choices else self.type

    @property
    def plain_default(self) -> object:
        """The default as a value of JSON and TOML; None if there is none. A secret is redacted."""
        return None if self.required else plain_value(self.default, self.annotation)

    def as_json(self) -> dict[str, object]:
        """Return what `btcore plugins NAME --json` writes about it."""
        return {
            "name": self.name,
            "type": self.type,
            "default": self.plain_default,
            "required": self.required,
            "help": self.help,
            "choices": list(self.choices),
        }


def settings_of(cls: type) -> tuple[Setting, ...]:
    """Return the settings of a class: its fields with a help text, required ones first.

    Raises TypeError or NameError if an annotation is not a type that a setting can have, or cannot be resolved.
    """
    named = [field for field in fields(cls) if field.init and "help" in field.metadata]
    return tuple(sorted((_setting(cls, field) for field in named), key=lambda entry: not entry.required))


def delivery_settings(delivery: Delivery) -> tuple[Setting, ...]:
    """Return the settings that the core adds to a sink's table, with the sink's own defaults."""
    return tuple(evolve(entry, default=getattr(delivery, entry.name)) for entry in settings_of(Delivery))


def setting_values(holder: object, settings: Iterable[Setting]) -> dict[str, object]:
    """Return the plain values of an object's settings, by name."""
    return {entry.name: plain_value(getattr(holder, entry.name), entry.annotation) for entry in settings}


def configured_settings(instance: object) -> dict[str, object]:
    """Return the values of an instance's settings, by name. Lists and tables are copied: a plugin may change them."""
    cls = type(instance)
    known = fields(cls) if has_fields(cls) else ()
    named = [field for field in known if field.init and "help" in field.metadata]
    return {field.alias or field.name: _copy(getattr(instance, field.name)) for field in named}


def _copy(value: object) -> object:
    match value:
        case dict() as table:
            return {key: _copy(item) for key, item in table.items()}
        case list() | tuple() as items:
            return [_copy(item) for item in items]
    return configured_settings(value) or value


def plain_value(value: object, annotation: object = None) -> object:
    """Return a setting's value as a configuration writes it. A secret is redacted."""
    match _table_as_dict(value):
        case Secret():
            return "***" if value else None
        case Path() | ChannelRef() | date():
            return str(value)
        case list() | tuple() as items:
            return [plain_value(item) for item in items]
        case dict() as table:
            return {str(key): plain_value(item) for key, item in table.items()}
        case int() | float() as seconds if annotation in (Duration, Duration | None):
            return duration_text(seconds)
    return value if value is None or isinstance(value, str | bool | int | float) else repr(value)


def toml_text(value: object) -> str:
    """Write a plain value as TOML."""
    match value:
        case dict():
            inside = ", ".join(f"{quoted(key)} = {toml_text(item)}" for key, item in value.items())
            return f"{{ {inside} }}" if inside else "{}"
        case list():
            return f"[{', '.join(toml_text(item) for item in value)}]"
        case str():
            return quoted(value)
        case float() if not math.isfinite(value):
            return str(value)  # nan, inf and -inf, which JSON does not have
    # JSON and TOML write numbers, true and false alike
    return json.dumps(value)


def toml_key(name: str) -> str:
    """Write a key as TOML, in quotes if necessary."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)


def first_line(cls: object) -> str:
    """Return the first line of a documentation."""
    text = (getattr(cls, "__doc__", None) or "").strip()
    return text.splitlines()[0].strip() if text else ""


def choices_of(annotation: Any, declared: Iterable[str]) -> tuple[str, ...]:  # noqa: ANN401 - types are values here
    """Return the choices of a setting, declared or from its type."""
    if typing.get_origin(annotation) is typing.Literal:
        return tuple(str(choice) for choice in typing.get_args(annotation))
    inner = [choices_of(part, ()) for part in typing.get_args(annotation) if part is not ...]
    return tuple(declared) or next((choices for choices in inner if choices), ())


def _setting(cls: type, field: Any) -> Setting:  # noqa: ANN401 - as `fields` returns them
    name = field.alias or field.name
    if field.type is None:
        raise TypeError(f"the setting `{name}` has no type: write `{name}: int = setting(...)`, or what it is")
    written = isinstance(field.type, str)
    declared = tuple(field.metadata.get("choices", ()))
    try:
        annotation = typing.get_type_hints(cls, include_extras=True)[field.name] if written else field.type
        kind = type_name(annotation)
    except (TypeError, NameError) as error:
        raise type(error)(f"the setting `{name}`: {error}") from None
    return Setting(
        name=name,
        annotation=annotation,
        type=kind,
        help=field.metadata["help"],
        default=fixed_default(field),
        choices=choices_of(annotation, declared),
        example=field.metadata.get("example", ""),
        field=field,
    )


def _table_as_dict(value: object) -> object:
    """Return a nested table as a dict without its None values; anything else unchanged."""
    if not is_table(type(value)):
        return value
    values = {entry.name: getattr(value, entry.field.name) for entry in settings_of(type(value))}
    return {name: item for name, item in values.items() if item is not None}
