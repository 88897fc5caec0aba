# SPDX-License-Identifier: GPL-3.0-or-later
"""Nested tables: a setting whose type is an attrs class, with settings as its fields.

Creating an instance from a table belongs to `convert.py`.
"""

import typing
from typing import Any

from btcore.classes import NOTHING, fields, fixed_default, frozen, has_fields


@frozen
class Field:
    """One setting of such a class, with its resolved type (`attrs` may have it as text)."""

    annotation: Any
    help: str
    choices: tuple[str, ...]
    required: bool
    field: Any


def is_table(annotation: Any) -> bool:  # noqa: ANN401 - types are values here
    """Whether a type is an attrs class with settings."""
    return isinstance(annotation, type) and has_fields(annotation) and bool(_declared(annotation))


def fields_of(cls: type) -> dict[str, Field]:
    """Return the settings of a class, by name. Raises NameError if an annotation cannot be resolved.

    A setting whose name is a word of Python (`class`) has an underscore behind it in the class.
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    return {
        (field.alias or field.name).removesuffix("_"): Field(
            annotation=hints[field.name],
            help=field.metadata["help"],
            choices=tuple(field.metadata.get("choices", ())),
            required=fixed_default(field) is NOTHING,
            field=field,
        )
        for field in _declared(cls)
    }


def _declared(cls: type) -> list[Any]:
    return [field for field in fields(cls) if field.init and "help" in field.metadata]
