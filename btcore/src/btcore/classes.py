# SPDX-License-Identifier: GPL-3.0-or-later
"""attrs' classes at half their price: how they compare, hash and show themselves is not written anew for each.

attrs writes the source of these methods for each class and compiles it, which was a fifth of a start. Here all
classes share one function for each, which goes by the class's fields. What attrs promises stays: a field with
`eq=False` is not compared, one with `repr=False` is not shown, `repr` and `hash` of a class that has its own are kept,
and a class that can change has no hash. For all but what is special about a class, `attrs` itself is used.
"""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:  # a type checker knows attrs' own
    from attrs import define, frozen
else:

    def define(cls: type | None = None, /, **options: Any) -> Any:  # noqa: ANN401 - as in attrs
        """Make a class whose instances can change, as `attrs.define` does."""
        return _made(cls, attrs.define, options, is_hashable=False)

    def frozen(cls: type | None = None, /, **options: Any) -> Any:  # noqa: ANN401 - as in attrs
        """Make a class of values, as `attrs.frozen` does."""
        return _made(cls, attrs.frozen, options, is_hashable=True)


__all__ = ["Weak", "define", "fillable", "frozen"]


def _made(cls: type | None, make: Callable[..., Any], options: dict[str, Any], *, is_hashable: bool) -> Any:  # noqa: ANN401
    if cls is None:
        return lambda one: _made(one, make, options, is_hashable=is_hashable)
    shared: dict[str, Any] = {}
    if options.pop("eq", True) and "__eq__" not in vars(cls):
        shared["__eq__"] = _is_equal
        if "__hash__" not in vars(cls):
            shared["__hash__"] = _hash if is_hashable else None
    if options.pop("repr", True) and "__repr__" not in vars(cls):
        shared["__repr__"] = _show
    for name, method in shared.items():
        setattr(cls, name, method)
    return make(cls, eq=False, repr=False, **options)


@cache
def _compared(cls: Any) -> Callable[[object], object]:  # noqa: ANN401 - a class that attrs has made
    """Return what gives the values by which instances of a class compare."""
    names = [field.name for field in cls.__attrs_attrs__ if field.eq]
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
    fields = [(field.name, field.repr) for field in self.__attrs_attrs__ if field.repr]
    texts = (f"{name}={(repr if show is True else show)(getattr(self, name))}" for name, show in fields)
    return f"{self.__class__.__qualname__.rpartition('>.')[2]}({', '.join(texts)})"


class Weak:
    """A base of a class whose `fillable` is made: what refers to an instance weakly has its place here."""

    __slots__ = ("__weakref__",)


def fillable(cls: type) -> Any:  # noqa: ANN401 - its instances are what they are made into
    """Return the class with the same slots as a frozen one, that of a `Weak`, but which anybody may fill.

    An instance is filled as one of this class, and becomes one of the frozen class by its `__class__` once nobody may
    change it any more. The 15 fields of a reading take 0.5 µs then; as attrs fills them, past what forbids it, 1.2.
    """
    return type(f"Fillable{cls.__name__}", cls.__bases__, {"__slots__": vars(cls)["__slots__"]})
