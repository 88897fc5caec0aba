# SPDX-License-Identifier: GPL-3.0-or-later
"""attrs' classes at a small part of their price: nothing of a class is written and compiled before it is needed.

attrs writes the source of five methods for each class and compiles it, which was two fifths of a start, and to import
attrs was a sixth of the rest. Here all classes share one function each to compare, hash and show themselves, which
goes by the class's fields (`class_methods.py`); `__init__` is compiled with the first instance, and what attrs knows of
a class (`attrs.fields`, `attrs.asdict`) is made by attrs itself, with the first question. What attrs promises stays,
and property tests hold it to that.

A class that asks for more than is here (a list of validators, a field or a base that attrs has made) is made by attrs.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from btcore import class_methods as methods
from btcore.class_init import NOTHING, Field, fill, is_of_attrs, write_init
from btcore.class_methods import FIELDS, OWN_FIRST, as_dicts, fields, fixed_default, has_fields, values_of

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
        if not methods.is_ours(cls):
            import attrs  # noqa: PLC0415 - it has made the class

            return attrs.evolve(instance, **changes)
        for name, alias in methods.given(cls):
            if alias not in changes:
                changes[alias] = getattr(instance, name)
        return cls(**changes)


__all__ = [
    "NOTHING",
    "Weak",
    "as_dicts",
    "define",
    "evolve",
    "field",
    "fields",
    "fillable",
    "fixed_default",
    "frozen",
    "has_fields",
    "values_of",
]

NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})

_MAKES = {"__init__", "__new__"}
_NEEDS_ATTRS = {"__setattr__", "__getstate__", "__attrs_pre_init__"}
FILLED = 8
"""Instances of a class before its `__init__` is written and compiled, which takes as long as to fill 20."""

_KNOWN = {"kw_only", "init", "slots", "own_first"}
"""Options that are known here. `own_first`: the fields of the class come before those of its bases."""


def _made(cls: type | None, options: dict[str, Any], *, is_frozen: bool) -> Any:  # noqa: ANN401
    if cls is None:
        return lambda one: _made(one, dict(options), is_frozen=is_frozen)
    shared: dict[str, Any] = {}
    if options.pop("eq", True) and "__eq__" not in vars(cls):
        shared["__eq__"] = methods.is_equal
        if "__hash__" not in vars(cls):
            shared["__hash__"] = methods.find_hash if is_frozen else None
    if options.pop("repr", True) and "__repr__" not in vars(cls):
        shared["__repr__"] = methods.show
    own = _own_fields(cls, is_kw_only=bool(options.get("kw_only")))
    if not _is_plain(cls, own, options, is_frozen=is_frozen):
        return _made_by_attrs(cls, own, shared, options, is_frozen=is_frozen)
    shared |= {FIELDS: tuple(own), "__replace__": evolve, OWN_FIRST: bool(options.get("own_first"))}
    if vars(cls).keys().isdisjoint(_MAKES):
        shared["__init__"] = _Init()
    shared |= {"__attrs_attrs__": _OfAttrs(), "__attrs_props__": _OfAttrs()}
    if is_frozen:
        shared |= {"__setattr__": methods.Unchangeable(), "__delattr__": methods.Unchangeable()}
    elif any(one.validator is not None for one in own):
        shared["__setattr__"] = methods.set_checked
    make = _with_slots if options.get("slots", True) else _with_dict
    made = make(cls, [one.name for one in own], shared)
    matched = tuple(one.name for one in fields(made) if one.init and not one.kw_only)
    setattr(made, "__match_args__", matched)  # noqa: B010 - a type checker lets nobody set it
    return made


def _made_by_attrs(
    cls: Any,  # noqa: ANN401 - a type checker lets nobody set what it has
    own: list[Field],
    shared: dict[str, Any],
    options: dict[str, Any],
    *,
    is_frozen: bool,
) -> Any:  # noqa: ANN401 - as above
    import attrs  # noqa: PLC0415 - few classes need it

    if options.pop("own_first", False):
        options["field_transformer"] = _own_first
    for name, method in shared.items():
        setattr(cls, name, method)
    for one in own:
        if isinstance(vars(cls).get(one.name), Field):
            setattr(cls, one.name, one.as_attrs())
    return attrs.define(cls, eq=False, repr=False, frozen=is_frozen, **options)


def _own_first(_cls: type, fields: list[Any]) -> list[Any]:
    return sorted(fields, key=lambda one: one.inherited)


def _own_fields(cls: type, *, is_kw_only: bool) -> list[Field]:
    """Return the fields that a class itself declares: by an annotation, and a default or more."""
    found = []
    for name, kind in cls.__annotations__.items():
        if _is_class_var(kind):
            continue
        value = vars(cls).get(name, NOTHING)
        one = value if isinstance(value, Field) else Field(NO_OPTIONS if value is NOTHING else {"default": value})
        found.append(one.named(name, kind, is_kw_only=is_kw_only))
    return found


def _is_class_var(kind: object) -> bool:
    if isinstance(kind, str):
        return kind.strip("'\"").startswith(("typing.ClassVar", "ClassVar"))
    return kind is ClassVar or getattr(kind, "__origin__", None) is ClassVar


def _is_plain(cls: type, own: list[Field], options: Mapping[str, Any], *, is_frozen: bool) -> bool:
    """Whether a class is one of those that are made here."""
    parents = cls.__mro__[1:-1]
    inherited = [one for one in parents if FIELDS in vars(one) or methods.OF_ATTRS in vars(one)]
    has_init = not vars(cls).keys().isdisjoint(_MAKES)
    values = vars(cls).values()
    remade = (Field, cached_property) if options.get("slots", True) else (Field,)
    return (
        options.keys() <= _KNOWN
        and options.get("init", not has_init) is not has_init
        and not issubclass(cls, BaseException)
        and not vars(cls).keys() & _NEEDS_ATTRS
        and all(FIELDS in vars(one) and methods.is_frozen(one) == is_frozen for one in inherited)
        and (not inherited or _is_plain_further(own, fields(inherited[0]), options))
        and all(one.is_plain and (is_frozen or one.converter is None) for one in own)
        and not any(isinstance(vars(cls)[name], remade) for name in vars(cls).keys() - {one.name for one in own})
        and not any(is_of_attrs(value) for value in values)
    )


def _is_plain_further(own: list[Field], inherited: tuple[Field, ...], options: Mapping[str, Any]) -> bool:
    """Whether the fields that a class has from its bases are taken as they are: all named, or no option given."""
    are_named = options.get("kw_only", False) and all(one.kw_only for one in inherited)
    return (are_named or not options) and {one.name for one in own}.isdisjoint(one.name for one in inherited)


def _with_slots(cls: type, names: list[str], shared: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Make the class anew, as slots can only be given to a new one."""
    has_weakref = any("__weakref__" in vars(one) for one in cls.__mro__[1:-1])
    body = {name: value for name, value in vars(cls).items() if name not in {*names, "__dict__", "__weakref__"}}
    body |= {"__slots__": tuple(names) if has_weakref else (*names, "__weakref__"), "__qualname__": cls.__qualname__}
    body |= {**shared, "__getstate__": methods.state, "__setstate__": methods.set_state}
    made: Any = type(cls)(cls.__name__, cls.__bases__, body)
    for function in _functions(body.values()):
        for cell in function.__closure__ or ():  # `super()` looks there for its class
            if _holds(cell, cls):
                cell.cell_contents = made
    return made


def _with_dict(cls: Any, names: list[str], shared: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Give a class that keeps its `__dict__` what all share."""
    for name in vars(cls).keys() & set(names):
        delattr(cls, name)
    for name, value in shared.items():
        setattr(cls, name, value)
        if hasattr(value, "__set_name__"):
            value.__set_name__(cls, name)
    return cls


def _functions(values: Any) -> Iterator[Any]:  # noqa: ANN401 - of a class
    for value in values:
        if type(value) is FunctionType and value.__closure__ is None:
            continue  # as most are
        one = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if hasattr(one, "__closure__"):
            yield one


def _holds(cell: Any, cls: type) -> bool:  # noqa: ANN401 - of a closure
    try:
        return cell.cell_contents is cls
    except ValueError:  # it is empty
        return False


class _Init:
    """In the place of `__init__`, until there are several instances: most classes have one or two in a run."""

    def __set_name__(self, cls: type, _name: str) -> None:
        self._cls: Any = cls
        self._instances = 0

    def __get__(self, instance: object, cls: type | None = None) -> Any:  # noqa: ANN401 - a method
        self._instances += 1
        if self._instances > FILLED or not isinstance(instance, self._cls):  # `inspect` asks, with the class or None
            return self._written().__get__(instance, cls)
        return partial(self._fill, instance)

    def _fill(self, instance: object, /, *values: object, **named: object) -> None:
        set_one = object.__setattr__ if methods.is_set_past(self._cls) else setattr
        if not fill(instance, fields(self._cls), values, named, set_one):
            self._written()(instance, *values, **named)

    def _written(self) -> Any:  # noqa: ANN401 - a function
        cls = self._cls
        if isinstance(vars(cls)["__init__"], _Init):
            cls.__init__ = write_init(cls, fields(cls), is_set_past=methods.is_set_past(cls))
        return vars(cls)["__init__"]


class _OfAttrs:
    """In the place of what attrs knows of a class, until it is asked."""

    def __set_name__(self, cls: type, name: str) -> None:
        self._cls: Any = cls
        self._name = name

    def __get__(self, _instance: object, _cls: type | None = None) -> Any:  # noqa: ANN401 - attrs' own
        import attrs  # noqa: PLC0415 - whoever asks is attrs, or has it

        cls, known = self._cls, vars(self._cls)
        body = {name: known[name] for name in ("__module__", "__qualname__", "__orig_bases__") if name in known}
        body |= {one.name: one.as_attrs() for one in known[FIELDS]}
        body["__annotations__"] = {one.name: one.type for one in known[FIELDS]}
        twin: Any = type(cls)(cls.__name__, cls.__bases__, body)
        options: dict[str, Any] = {"field_transformer": _own_first} if known[OWN_FIRST] else {}
        twin = attrs.define(twin, eq=False, repr=False, slots=False, frozen=methods.is_frozen(cls), **options)
        found = getattr(twin, self._name)  # `__attrs_props__`: only newer ones have it
        setattr(self._cls, self._name, found)
        return found


class Weak:
    """A base of a class whose `fillable` is made: what refers to an instance weakly has its place here."""

    __slots__ = ("__weakref__",)


def fillable(cls: type) -> Any:  # noqa: ANN401 - its instances are what they are made into
    """Return the class with the same slots as a frozen one, that of a `Weak`, but which anybody may fill.

    An instance is filled as one of this class, and becomes one of the frozen class by its `__class__` once nobody may
    change it any more. The 15 fields of a reading take 0.5 µs then; as attrs fills them, past what forbids it, 1.2.
    """
    return type(f"Fillable{cls.__name__}", cls.__bases__, {"__slots__": vars(cls)["__slots__"]})
