# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields of a class that `btcore.classes` makes, and the `__init__` that is written for them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

PLAIN = {"default", "factory", "init", "repr", "eq", "alias", "converter", "metadata", "kw_only"}
"""What is known of a field here; with anything else attrs makes the class. A converter is a function of the value."""


class Field:
    """One field: what `field` was told of it, and with `named` its name and annotation.

    The names are those of `attrs.Attribute`. `find_default` is a method that returns the default.
    """

    __slots__ = ("alias", "converter", "eq", "find_default", "init", "kw_only", "name", "options", "repr", "type")

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Keep what is said of a field."""
        self.options = options
        self.find_default: Callable[[Any], object] | None = None
        self.init = options.get("init", True)
        self.eq = options.get("eq", True)
        self.repr = options.get("repr", True)
        self.converter = options.get("converter")

    def default(self, method: Callable[[Any], object]) -> Callable[[Any], object]:
        """Take a method of the class for the default, as a decorator."""
        self.find_default = method
        return method

    def named(self, name: str, kind: object, *, is_kw_only: bool) -> "Field":
        """Take the name and the annotation."""
        self.name = name
        self.type = kind
        self.alias = self.options.get("alias") or name.lstrip("_")
        self.kw_only = self.options.get("kw_only", is_kw_only)
        return self

    @property
    def is_plain(self) -> bool:
        """Whether all that was said of it is known here."""
        return self.options.keys() <= PLAIN and self.eq in (True, False)

    def as_attrs(self) -> Any:  # noqa: ANN401 - what `attrs.field` returns
        """Return the same field for attrs."""
        default = {"default": attrs.Factory(self.find_default, takes_self=True)} if self.find_default else {}
        return attrs.field(**{**self.options, **default, "kw_only": self.kw_only})


def write_init(cls: type, fields: Iterable[Field], *, is_frozen: bool) -> Any:  # noqa: ANN401 - a function
    """Write and compile the `__init__` of a class."""
    names: dict[str, Any] = {"_nothing": attrs.NOTHING, "_set_to": object.__setattr__.__get__}
    positional, by_name = ["self"], list[str]()
    lines = ["_set = _set_to(self)"] if is_frozen else []
    for number, one in enumerate(fields):
        default, value = _value(one, number, names)
        if one.init:
            (by_name if one.kw_only else positional).append(one.alias + default)
        if value:
            lines.append(f"_set({one.name!r}, {value})" if is_frozen else f"self.{one.name} = {value}")
    if hasattr(cls, "__attrs_post_init__"):
        lines.append("self.__attrs_post_init__()")
    arguments = ", ".join([*positional, *(["*", *by_name] if by_name else [])])
    text = f"def __init__({arguments}):\n " + "\n ".join(lines or ["pass"])
    exec(compile(text, f"<{cls.__module__}.{cls.__qualname__}>", "exec"), names)  # noqa: S102 - as attrs does
    init = names.pop("__init__")
    init.__module__ = cls.__module__
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__annotations__ = {**{one.alias: one.type for one in fields if one.init and not one.converter}, "return": None}
    return init


def _value(one: Field, number: int, names: dict[str, Any]) -> tuple[str, str]:
    """Return the default of a parameter, and the expression of the value, "" if there is none; add what they name."""
    given = one.alias
    default = one.options.get("default", attrs.NOTHING)
    make, self = (default.factory, default.takes_self) if isinstance(default, attrs.Factory) else (None, False)  # type: ignore[arg-type]
    make, self = (one.find_default, True) if one.find_default else (one.options.get("factory", make), self)
    text = ""
    if make is not None:
        names[f"_make{number}"] = make
        made = f"_make{number}({'self' * self})"
        text, given = "=_nothing", f"{made} if {given} is _nothing else {given}" if one.init else made
    elif default is not attrs.NOTHING:
        names[f"_default{number}"] = default
        text, given = f"=_default{number}", given if one.init else f"_default{number}"
    elif not one.init:
        return "", ""
    if one.converter is not None:
        names[f"_convert{number}"] = one.converter
        given = f"_convert{number}({given})"
    return text, given
