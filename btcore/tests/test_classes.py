# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore.classes` makes what attrs makes."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore import classes

MAKERS = (attrs.frozen, attrs.define), (classes.frozen, classes.define)


def _family(frozen: Callable[..., Any], define: Callable[..., Any]) -> dict[str, Any]:
    """Make the same classes by attrs, or by ours."""

    @frozen
    class Value:
        a: int
        b: object = attrs.field(default="", repr=False)
        c: object = attrs.field(default=None, eq=False)
        d: object = attrs.field(default=0, repr=lambda _value: "...")

    @frozen
    class More(Value):
        e: int = 5

    @define
    class Changing:
        a: int
        _b: object = ""

    @frozen(eq=False, repr=False)
    class Identical:
        a: int
        b: object = ""

    @frozen(kw_only=True, slots=False)
    class Named:
        a: int
        b: object = ""

    @define
    class Own:
        a: int
        b: object = ""

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own) and self.a % 2 == other.a % 2

        def __hash__(self) -> int:
            return self.a % 2

        def __repr__(self) -> str:
            return "own"

    @frozen
    class Empty:
        pass

    return {one.__name__: one for one in (Value, More, Changing, Identical, Named, Own, Empty)}


VALUES = st.tuples(st.integers(0, 2), st.sampled_from("xy"))

THEIRS, OURS = (_family(*makers) for makers in MAKERS)


@pytest.mark.parametrize("name", [name for name in OURS if name != "Empty"])
@given(
    one=st.tuples(st.integers(0, 2), st.sampled_from("xy")), other=st.tuples(st.integers(0, 2), st.sampled_from("xy"))
)
def test_they_compare_hash_and_show_themselves_as_attrs_has_it(
    name: str, one: tuple[int, str], other: tuple[int, str]
) -> None:
    """Instances compare and show themselves as those of attrs do, and equal ones have one hash."""
    theirs, ours = ([family[name](a=a, b=b) for a, b in (one, other)] for family in (THEIRS, OURS))
    assert (ours[0] == ours[1]) == (theirs[0] == theirs[1])
    assert (ours[0] != ours[1]) == (theirs[0] != theirs[1])
    if name != "Identical":  # which is shown by its address
        assert list(map(repr, ours)) == list(map(repr, theirs))
    if name == "Changing":
        with pytest.raises(TypeError, match="unhashable"):
            hash(ours[0])
    elif ours[0] == ours[1]:
        assert hash(ours[0]) == hash(ours[1])


def test_a_field_that_is_not_compared_counts_for_nothing() -> None:
    """A field with `eq=False` makes no difference, to the comparison and to the hash."""
    one, other = OURS["Value"](1, c="x"), OURS["Value"](1, c="y")
    assert one == other
    assert hash(one) == hash(other)


def test_classes_of_one_family_are_not_equal() -> None:
    """An instance of a subclass, or of another class, is never equal to one with the same values."""
    assert OURS["Value"](1) != OURS["More"](1)
    assert OURS["Value"](1) != 1
    assert OURS["Empty"]() == OURS["Empty"]()
    assert repr(OURS["Empty"]()) == "Empty()" == repr(THEIRS["Empty"]())


def test_what_contains_itself_can_be_shown() -> None:
    """An instance that contains itself is shown with dots, as by attrs."""
    shown = []
    for family in (THEIRS, OURS):
        one = family["Changing"](1)
        one._b = [one]
        shown.append(repr(one))
    assert shown[0] == shown[1]
