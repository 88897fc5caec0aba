# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields of a class that `btcore.classes` makes, and the `__init__` that is written for them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

PLAIN = {"default", "factory", "init", "repr", "eq", "alias", "converter", "metadata", "kw_only", "validator"}
"""What is known of a field here; with anything else attrs makes the class. A converter is a function of the value."""


class Nothing:
    """What a field without a default has in its place."""

    def __repr__(self) -> str:
        """As attrs shows its own."""
        return "NOTHING"


NOTHING = Nothing()


def is_of_attrs(value: object) -> bool:
    """Whether attrs has made something for a class: a field, a default, a method. Imports nothing."""
    module = getattr(value, "__module__", None)
    return isinstance(module, str) and module.startswith("attr.")


class Field:
    """One field: what `field` was told of it, and with `named` its name and annotation.

    The names are those of `attrs.Attribute`. `find_default` is a method that returns the default.
    """

    __slots__ = (
        *("alias", "converter", "eq", "find_default", "init", "kw_only", "name", "options", "repr"),
        *("type", "validator"),
    )

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Keep what is said of a field."""
        self.options = options
        self.find_default: Callable[[Any], object] | None = None
        self.init = options.get("init", True)
        self.eq = options.get("eq", True)
        self.repr = options.get("repr", True)
        self.converter = options.get("converter")
        self.validator = options.get("validator")

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What else is said of it."""
        return MappingProxyType(self.options.get("metadata") or {})

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
        if not self.options:
            return True
        is_one = self.validator is None or callable(self.validator)  # not a list of them
        is_known = self.options.keys() <= PLAIN and not is_of_attrs(self.options.get("default"))
        return is_known and is_one and self.eq in (True, False)

    @property
    def is_required(self) -> bool:
        """Whether there is no default."""
        return self.find_default is None and self.options.get("factory") is None and "default" not in self.options

    def default_of(self, instance: object) -> Any:  # noqa: ANN401 - any value
        """Return the default of an instance's field; NOTHING without one."""
        return self.find_default(instance) if self.find_default is not None else self.fixed_default

    @property
    def fixed_default(self) -> Any:  # noqa: ANN401 - any value
        """The default; NOTHING without one, None where it depends on the instance."""
        if self.find_default is not None:
            return None
        make = self.options.get("factory")
        return make() if make is not None else self.options.get("default", NOTHING)

    def as_attrs(self) -> Any:  # noqa: ANN401 - what `attrs.field` returns
        """Return the same field for attrs."""
        import attrs  # noqa: PLC0415 - whoever asks for it is attrs itself, or one that uses it

        default = {"default": attrs.Factory(self.find_default, takes_self=True)} if self.find_default else {}
        return attrs.field(**{**self.options, **default, "kw_only": self.kw_only})


def fill(
    instance: Any,  # noqa: ANN401 - of any class
    fields: Sequence[Field],
    values: tuple[object, ...],
    named: Mapping[str, object],
    set_one: Callable[[Any, str, object], None],
) -> bool:
    """Do what the `__init__` that is written would do; return False, with nothing done, where that would refuse."""
    positional = [one.alias for one in fields if one.init and not one.kw_only]
    given = {**dict(zip(positional, values, strict=False)), **named}
    known = {one.alias for one in fields if one.init}
    needed = (one.alias for one in fields if one.init and one.is_required)
    is_given_once = len(given) == len(values) + len(named)
    if not (is_given_once and known.issuperset(given) and all(name in given for name in needed)):
        return False
    for one in fields:
        value = given.get(one.alias, NOTHING) if one.init else NOTHING
        if value is NOTHING:
            value = one.default_of(instance)
        if value is not NOTHING or (one.init and one.alias in given):
            set_one(instance, one.name, value if one.converter is None else one.converter(value))
    for one in fields:
        if one.validator is not None and (one.init or not one.is_required):
            one.validator(instance, one, getattr(instance, one.name))
    if hasattr(instance, "__attrs_post_init__"):
        instance.__attrs_post_init__()
    return True


def write_init(cls: type, fields: Iterable[Field], *, is_set_past: bool) -> Any:  # noqa: ANN401 - a function
    """Write and compile the `__init__` of a class; `is_set_past`: what is said of its `__setattr__` is passed by."""
    names: dict[str, Any] = {"_nothing": NOTHING, "_set_to": object.__setattr__.__get__}
    positional, by_name = ["self"], list[str]()
    lines, checks = ["_set = _set_to(self)"] if is_set_past else [], list[str]()
    for number, one in enumerate(fields):
        default, value = _value(one, number, names)
        if one.init:
            (by_name if one.kw_only else positional).append(one.alias + default)
        if value:
            lines.append(f"_set({one.name!r}, {value})" if is_set_past else f"self.{one.name} = {value}")
        if value and one.validator is not None:
            names |= {f"_check{number}": one.validator, f"_field{number}": one}
            checks.append(f"_check{number}(self, _field{number}, self.{one.name})")
    lines += checks
    if hasattr(cls, "__attrs_post_init__"):
        lines.append("self.__attrs_post_init__()")
    arguments = ", ".join([*positional, *(["*", *by_name] if by_name else [])])
    text = f"def __init__({arguments}):\n " + "\n ".join(lines or ["pass"])
    exec(text, names)  # noqa: S102 - as attrs does; `compile` would make the classes of all syntax trees, 0.2 MB
    init = names.pop("__init__")
    init.__code__ = init.__code__.replace(co_filename=f"<{cls.__module__}.{cls.__qualname__}>")
    init.__module__ = cls.__module__
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__annotations__ = {**{one.alias: one.type for one in fields if one.init and not one.converter}, "return": None}
    return init


def _value(one: Field, number: int, names: dict[str, Any]) -> tuple[str, str]:
    """Return the default of a parameter, and the expression of the value, "" if there is none; add what they name."""
    given = one.alias
    default = one.options.get("default", NOTHING)
    make, self = (one.find_default, True) if one.find_default else (one.options.get("factory"), False)
    text = ""
    if make is not None:
        names[f"_make{number}"] = make
        made = f"_make{number}({'self' * self})"
        text, given = "=_nothing", f"{made} if {given} is _nothing else {given}" if one.init else made
    elif default is not NOTHING:
        names[f"_default{number}"] = default
        text, given = f"=_default{number}", given if one.init else f"_default{number}"
    elif not one.init:
        return "", ""
    if one.converter is not None:
        names[f"_convert{number}"] = one.converter
        given = f"_convert{number}({given})"
    return text, given
