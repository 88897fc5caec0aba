# SPDX-License-Identifier: GPL-3.0-or-later
"""What the classes that `btcore.classes` makes share, and what is asked of any such class, or of one of attrs.

Each function goes by the class's fields. attrs is imported where a class is its own, so that it is there already, and
where a value is changed that cannot be.
"""

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from reprlib import recursive_repr
from typing import Any

from btcore.class_init import NOTHING, Field, is_of_attrs

FIELDS = "__btcore_fields__"
"""What a class that is made here knows of its own fields."""

OWN_FIRST = "__btcore_own_first__"
"""What a class has whose own fields come before those of its bases."""

OF_ATTRS = "__attrs_attrs__"
"""What attrs looks for in a class; those that are made here have it too."""


class Unchangeable:
    """`__setattr__` and `__delattr__` of a frozen class: attrs' own, which refuse; attrs knows the class by them."""

    def __set_name__(self, _cls: type, name: str) -> None:
        """Remember which of the two it is."""
        self._name = name

    def __get__(self, instance: object, cls: type | None = None) -> Any:  # noqa: ANN401 - a method
        """Return the method."""
        function = vars(_frozen_by_attrs())[self._name]
        return function.__get__(instance, cls)


@cache
def _frozen_by_attrs() -> type:
    import attrs  # noqa: PLC0415 - whoever changes a value, or makes a class of one with attrs

    return attrs.frozen(type("_Frozen", (), {}))


def _setter(cls: type) -> object:
    return next(vars(one)["__setattr__"] for one in cls.__mro__ if "__setattr__" in vars(one))


def is_set_past(cls: type) -> bool:
    """Whether `__init__` sets past the `__setattr__` that a class has of `btcore.classes`."""
    found = _setter(cls)
    return isinstance(found, Unchangeable) or found is set_checked


def is_frozen(cls: type) -> bool:
    """Whether instances of a class that attrs or `btcore.classes` has made are values."""
    found = _setter(cls)
    return isinstance(found, Unchangeable) or (is_of_attrs(found) and found is vars(_frozen_by_attrs())["__setattr__"])


def has_fields(cls: Any) -> bool:  # noqa: ANN401 - any class
    """Whether attrs or `btcore.classes` has made a class, as `attrs.has`."""
    return any(OF_ATTRS in vars(one) for one in getattr(cls, "__mro__", ()))


@cache
def is_ours(cls: Any) -> bool:  # noqa: ANN401 - any class
    """Whether a class was made by `btcore.classes`, and not by attrs, with further fields, from one that was."""
    return next((FIELDS in vars(one) for one in cls.__mro__ if OF_ATTRS in vars(one)), False)


def fields(cls: type) -> tuple[Any, ...]:
    """Return all fields of a class, those of its bases first: a `Field` each, or an attribute of attrs."""
    return _fields(cls)


@cache
def _fields(cls: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a class that attrs or `btcore.classes` has made
    if not is_ours(cls):
        return tuple(getattr(cls, OF_ATTRS))
    made = next(one for one in cls.__mro__ if FIELDS in vars(one))
    of_bases = [one for parent in reversed(made.__mro__[1:]) for one in vars(parent).get(FIELDS, ())]
    own = list(vars(made)[FIELDS])
    return tuple(own + of_bases if vars(made).get(OWN_FIRST) else of_bases + own)


def fixed_default(field: Any) -> Any:  # noqa: ANN401 - of a `Field` or an attribute of attrs
    """Return the default of a field; NOTHING without one, None where it depends on the instance."""
    if isinstance(field, Field):
        return field.fixed_default
    import attrs  # noqa: PLC0415 - it has made the class

    default: Any = field.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # declared as a function, but a class
        return None if default.takes_self else default.factory()
    return NOTHING if default is attrs.NOTHING else default


def values_of(instance: Any) -> dict[str, Any]:  # noqa: ANN401 - of a class that attrs or `btcore.classes` has made
    """Return the value of each field, as `attrs.asdict` does with `recurse=False`."""
    return {one.name: getattr(instance, one.name) for one in fields(instance.__class__)}


def as_dicts(value: Any, plain: Callable[[Any], Any] = lambda value: value) -> Any:  # noqa: ANN401 - any value
    """Return a value with instances as dicts, and collections as lists, all the way down, as `attrs.asdict` does.

    `plain` is given each value, and returns what stands for it.
    """
    value = plain(value)
    if has_fields(value.__class__):
        return {name: as_dicts(one, plain) for name, one in values_of(value).items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [as_dicts(one, plain) for one in value]
    if isinstance(value, dict):
        return {as_dicts(key, plain): as_dicts(one, plain) for key, one in value.items()}
    return value


@cache
def given(cls: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - as above
    """Return the name of each field that `__init__` takes, and how it is named there."""
    return [(one.name, one.alias) for one in fields(cls) if one.init]


@cache
def _compared(cls: Any) -> Callable[[object], object]:  # noqa: ANN401 - as above
    """Return what gives the values by which instances of a class compare."""
    names = [one.name for one in fields(cls) if one.eq]
    return attrgetter(*names) if names else lambda _one: ()


def is_equal(self: Any, other: Any) -> Any:  # noqa: ANN401 - whether, or NotImplemented
    """Compare as `__eq__`."""
    if other.__class__ is not self.__class__:
        return NotImplemented
    values = _compared(self.__class__)
    return values(self) == values(other)


def find_hash(self: Any) -> int:  # noqa: ANN401 - as above
    """Return what `__hash__` does."""
    return hash((self.__class__, _compared(self.__class__)(self)))


@recursive_repr("...")
def show(self: Any) -> str:  # noqa: ANN401 - as above
    """Return what `__repr__` does."""
    pairs = [(one.name, one.repr) for one in fields(self.__class__) if one.repr]
    texts = (f"{name}={(repr if how is True else how)(getattr(self, name))}" for name, how in pairs)
    return f"{self.__class__.__qualname__.rpartition('>.')[2]}({', '.join(texts)})"


def state(self: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    """Return what `__getstate__` does."""
    return {one.name: getattr(self, one.name) for one in fields(self.__class__) if hasattr(self, one.name)}


def set_state(self: Any, state: Mapping[str, Any]) -> None:  # noqa: ANN401 - as above
    """Take what `__setstate__` does."""
    for name, value in state.items():
        object.__setattr__(self, name, value)


@cache
def _validators(cls: Any) -> dict[str, Field]:  # noqa: ANN401 - as above
    return {one.name: one for one in fields(cls) if one.validator is not None}


def set_checked(self: Any, name: str, value: object) -> None:  # noqa: ANN401 - as above
    """Validate and set an attribute, as `__setattr__` of a class that can change and has validators."""
    one = _validators(self.__class__).get(name)
    if one is not None and one.validator is not None:
        one.validator(self, one, value)
    object.__setattr__(self, name, value)
