# SPDX-License-Identifier: GPL-3.0-or-later
"""attrs' classes at a small part of their price: nothing of a class is written and compiled before it is needed.

attrs writes the source of five methods for each class and compiles it, which was two fifths of a start. Here all
classes share one function each to compare, hash and show themselves, which goes by the class's fields; `__init__`
is compiled with the first instance, and what attrs knows of a class (`attrs.fields`, `attrs.asdict`) is made by attrs
itself, with the first question. What attrs promises stays, and property tests hold it to that.

A class that asks for more than is here (a validator, a `__dict__`, a base that attrs has made) is made by attrs.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

import attrs

from btcore.class_init import Field, write_init

if TYPE_CHECKING:  # a type checker knows attrs' own
    from attrs import define, evolve, field, frozen
else:

    def define(cls: type | None = None, /, **options: Any) -> Any:  # noqa: ANN401 - as in attrs
        """Make a class whose instances can change, as `attrs.define` does."""
        return _made(cls, options, is_frozen=False)

    def frozen(cls: type | None = None, /, **options: Any) -> Any:  # noqa: ANN401 - as in attrs
        """Make a class of values, as `attrs.frozen` does."""
        return _made(cls, options, is_frozen=True)

    def field(**options: Any) -> Any:  # noqa: ANN401 - as in attrs
        """Say more of a field than its default, as `attrs.field` does."""
        return Field(options)

    def evolve(instance: Any, /, **changes: Any) -> Any:  # noqa: ANN401 - as in attrs
        """Return a copy with changes, as `attrs.evolve` does."""
        cls = instance.__class__
        if not _is_ours(cls):
            return attrs.evolve(instance, **changes)
        for name, alias in _given(cls):
            if alias not in changes:
                changes[alias] = getattr(instance, name)
        return cls(**changes)


__all__ = ["Weak", "define", "evolve", "field", "fillable", "frozen", "values_of"]

FIELDS = "__btcore_fields__"
"""What a class that is made here knows of its own fields."""

_THEIRS = type(attrs.field())
_FROZEN: Any = attrs.frozen(type("_Frozen", (), {}))
"""Attributes cannot be set or deleted as it is with attrs, which asks for its own functions in a subclass."""

_MAKES = {"__init__", "__new__"}
_NEEDS_ATTRS = {"__setattr__", "__getstate__", "__attrs_pre_init__"}


def _made(cls: type | None, options: dict[str, Any], *, is_frozen: bool) -> Any:  # noqa: ANN401
    if cls is None:
        return lambda one: _made(one, dict(options), is_frozen=is_frozen)
    shared: dict[str, Any] = {}
    if options.pop("eq", True) and "__eq__" not in vars(cls):
        shared["__eq__"] = _is_equal
        if "__hash__" not in vars(cls):
            shared["__hash__"] = _hash if is_frozen else None
    if options.pop("repr", True) and "__repr__" not in vars(cls):
        shared["__repr__"] = _show
    own = _own_fields(cls, is_kw_only=bool(options.get("kw_only")))
    if _is_plain(cls, own, options, is_frozen=is_frozen):
        return _with_slots(cls, own, shared, is_frozen=is_frozen)
    for name, method in shared.items():
        setattr(cls, name, method)
    for one in own:
        if isinstance(vars(cls).get(one.name), Field):
            setattr(cls, one.name, one.as_attrs())
    return attrs.define(cls, eq=False, repr=False, frozen=is_frozen, **options)


def values_of(instance: Any) -> dict[str, Any]:  # noqa: ANN401 - of a class that attrs or this room has made
    """Return the value of each field, as `attrs.asdict` does with `recurse=False`."""
    return {one.name: getattr(instance, one.name) for one in _fields(instance.__class__)}


def _own_fields(cls: type, *, is_kw_only: bool) -> list[Field]:
    """Return the fields that a class itself declares: by an annotation, and a default or more."""
    fields = []
    for name, kind in cls.__annotations__.items():
        if str(kind).strip("'\"").startswith(("typing.ClassVar", "ClassVar")):
            continue
        value = vars(cls).get(name, attrs.NOTHING)
        one = value if isinstance(value, Field) else Field({} if value is attrs.NOTHING else {"default": value})
        fields.append(one.named(name, kind, is_kw_only=is_kw_only))
    return fields


def _is_plain(cls: type, own: list[Field], options: Mapping[str, Any], *, is_frozen: bool) -> bool:
    """Whether a class is one of those that are made here."""
    parents = cls.__mro__[1:-1]
    inherited = [one for one in parents if FIELDS in vars(one) or "__attrs_attrs__" in vars(one)]
    has_init = not vars(cls).keys().isdisjoint(_MAKES)
    return (
        options.keys() <= {"kw_only", "init"}
        and options.get("init", not has_init) is not has_init
        and not issubclass(cls, BaseException)
        and not vars(cls).keys() & _NEEDS_ATTRS
        and all(FIELDS in vars(one) and _is_frozen(one) == is_frozen for one in inherited)
        and not (inherited and (options or {one.name for one in own} & {one.name for one in _fields(inherited[0])}))
        and all(one.is_plain and (is_frozen or one.converter is None) for one in own)
        and not any(isinstance(value, (cached_property, _THEIRS)) for value in vars(cls).values())
    )


def _with_slots(cls: type, own: list[Field], shared: dict[str, Any], *, is_frozen: bool) -> Any:  # noqa: ANN401
    """Make the class anew, as slots can only be given to a new one."""
    names = tuple(one.name for one in own)
    has_weakref = any("__weakref__" in vars(one) for one in cls.__mro__[1:-1])
    body = {name: value for name, value in vars(cls).items() if name not in {*names, "__dict__", "__weakref__"}}
    body |= shared
    body |= {"__slots__": names if has_weakref else (*names, "__weakref__"), "__qualname__": cls.__qualname__}
    body |= {FIELDS: tuple(own), "__getstate__": _state, "__setstate__": _set_state, "__replace__": evolve}
    if body.keys().isdisjoint(_MAKES):
        body["__init__"] = _Init()
    body |= {"__attrs_attrs__": _OfAttrs(), "__attrs_props__": _OfAttrs()}
    if is_frozen:
        body |= {"__setattr__": _FROZEN.__setattr__, "__delattr__": _FROZEN.__delattr__}
    made: Any = type(cls)(cls.__name__, cls.__bases__, body)
    for function in _functions(body.values()):
        for cell in function.__closure__ or ():  # `super()` looks there for its class
            if _holds(cell, cls):
                cell.cell_contents = made
    matched = tuple(one.name for one in _fields(made) if one.init and not one.kw_only)
    setattr(made, "__match_args__", matched)  # noqa: B010 - a type checker lets nobody set it
    return made


def _functions(values: Any) -> Iterator[Any]:  # noqa: ANN401 - of a class
    for value in values:
        one = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if hasattr(one, "__closure__"):
            yield one


def _holds(cell: Any, cls: type) -> bool:  # noqa: ANN401 - of a closure
    try:
        return cell.cell_contents is cls
    except ValueError:  # it is empty
        return False


class _Init:
    """In the place of `__init__`, until there is the first instance."""

    def __set_name__(self, cls: type, _name: str) -> None:
        self._cls: Any = cls

    def __get__(self, instance: object, cls: type | None = None) -> Any:  # noqa: ANN401 - a method
        init = self._cls.__init__ = write_init(self._cls, _fields(self._cls), is_frozen=_is_frozen(self._cls))
        return init.__get__(instance, cls)


class _OfAttrs:
    """In the place of what attrs knows of a class, until it is asked."""

    def __set_name__(self, cls: type, name: str) -> None:
        self._cls: Any = cls
        self._name = name

    def __get__(self, _instance: object, _cls: type | None = None) -> Any:  # noqa: ANN401 - attrs' own
        cls, known = self._cls, vars(self._cls)
        body = {name: known[name] for name in ("__module__", "__qualname__", "__orig_bases__") if name in known}
        body |= {one.name: one.as_attrs() for one in known[FIELDS]}
        body["__annotations__"] = {one.name: one.type for one in known[FIELDS]}
        twin: Any = type(cls)(cls.__name__, cls.__bases__, body)
        twin = attrs.define(twin, eq=False, repr=False, slots=False, frozen=_is_frozen(cls))
        found = getattr(twin, self._name)  # `__attrs_props__`: only newer ones have it
        setattr(self._cls, self._name, found)
        return found


@cache
def _is_ours(cls: Any) -> bool:  # noqa: ANN401 - any class
    """Whether a class was made here, and not by attrs, with further fields, from one that was."""
    return next((FIELDS in vars(one) for one in cls.__mro__ if "__attrs_attrs__" in vars(one)), False)


@cache
def _fields(cls: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a class that attrs or this room has made
    """Return all fields of a class, those of its bases first."""
    if not _is_ours(cls):
        return tuple(cls.__attrs_attrs__)
    return tuple(one for parent in reversed(cls.__mro__) for one in vars(parent).get(FIELDS, ()))


@cache
def _given(cls: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - as above
    return [(one.name, one.alias) for one in _fields(cls) if one.init]


def _is_frozen(cls: type) -> bool:
    return cls.__setattr__ is _FROZEN.__setattr__


@cache
def _compared(cls: Any) -> Callable[[object], object]:  # noqa: ANN401 - as above
    """Return what gives the values by which instances of a class compare."""
    names = [one.name for one in _fields(cls) if one.eq]
    return attrgetter(*names) if names else lambda _one: ()


def _is_equal(self: Any, other: Any) -> Any:  # noqa: ANN401 - whether, or NotImplemented
    if other.__class__ is not self.__class__:
        return NotImplemented
    values = _compared(self.__class__)
    return values(self) == values(other)


def _hash(self: Any) -> int:  # noqa: ANN401 - as above
    return hash((self.__class__, _compared(self.__class__)(self)))


@recursive_repr("...")
def _show(self: Any) -> str:  # noqa: ANN401 - as above
    fields = [(one.name, one.repr) for one in _fields(self.__class__) if one.repr]
    texts = (f"{name}={(repr if show is True else show)(getattr(self, name))}" for name, show in fields)
    return f"{self.__class__.__qualname__.rpartition('>.')[2]}({', '.join(texts)})"


def _state(self: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    return {one.name: getattr(self, one.name) for one in _fields(self.__class__) if hasattr(self, one.name)}


def _set_state(self: Any, state: Mapping[str, Any]) -> None:  # noqa: ANN401 - as above
    for name, value in state.items():
        object.__setattr__(self, name, value)


class Weak:
    """A base of a class whose `fillable` is made: what refers to an instance weakly has its place here."""

    __slots__ = ("__weakref__",)


def fillable(cls: type) -> Any:  # noqa: ANN401 - its instances are what they are made into
    """Return the class with the same slots as a frozen one, that of a `Weak`, but which anybody may fill.

    An instance is filled as one of this class, and becomes one of the frozen class by its `__class__` once nobody may
    change it any more. The 15 fields of a reading take 0.5 µs then; as attrs fills them, past what forbids it, 1.2.
    """
    return type(f"Fillable{cls.__name__}", cls.__bases__, {"__slots__": vars(cls)["__slots__"]})
