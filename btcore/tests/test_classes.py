# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore.classes` makes what attrs makes."""

import copy
import inspect
import pickle
import subprocess
import sys
import typing
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import classes

T = TypeVar("T")

MAKERS = (attrs.frozen, attrs.define, attrs.field), (classes.frozen, classes.define, classes.field)


def _family(frozen: Callable[..., Any], define: Callable[..., Any], field: Callable[..., Any]) -> dict[str, Any]:  # noqa: C901 - one after the other
    """Make the same classes by attrs, or by ours."""

    @frozen
    class Value:
        a: int
        b: object = field(default="", repr=False)
        c: object = field(default=None, eq=False)
        d: object = field(default=0, repr=lambda _value: "...")

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

    @frozen
    class Rich:
        a: int
        _b: Any = field(factory=list, converter=tuple, metadata={"help": "b"})
        c: Any = field(init=False)
        d: str = field(default="d", kw_only=True)
        e: int = field(init=False, default=7, eq=False)
        f: Any = field(init=False, factory=dict, eq=False)
        g: int = field(init=False, repr=False, eq=False)
        shared: ClassVar[int] = 5

        @c.default  # type: ignore[untyped-decorator]
        def _find_c(self) -> int:
            return self.a + len(self._b)

        def __attrs_post_init__(self) -> None:
            object.__setattr__(self, "g", self.c)

    @define
    class Base:
        a: int = 1

        def answer(self) -> int:
            return self.a

    @define
    class Derived(Base):
        b: int = 2

        def answer(self) -> int:
            return super().answer() + self.b

        @property
        def of_base(self) -> int:
            return super().a

    @frozen(kw_only=True)
    class Checked:
        a: int = field(validator=attrs.validators.ge(0))
        b: Any = field()

        @b.default  # type: ignore[untyped-decorator]
        def _find_b(self) -> int:
            return self.a

    @define
    class Converted:
        a: int = field(converter=int, default=1)

    @frozen
    class Generic(typing.Generic[T]):
        a: int = 1

    every = Value, More, Changing, Identical, Named, Own, Empty, Rich, Base, Derived, Checked, Converted, Generic
    for one in every:
        one.__qualname__ = one.__name__  # as if it were not within a function
    return {one.__name__: one for one in every}


VALUES = st.tuples(st.integers(0, 2), st.sampled_from("xy"))

THEIRS, OURS = (_family(*makers) for makers in MAKERS)


@pytest.mark.parametrize("name", [name for name in OURS if "b" in {one.alias for one in attrs.fields(THEIRS[name])}])
@given(one=VALUES, other=VALUES)
def test_they_compare_hash_and_show_themselves_as_attrs_has_it(
    name: str, one: tuple[int, str], other: tuple[int, str]
) -> None:
    """Instances compare and show themselves as those of attrs do, and equal ones have one hash."""
    theirs, ours = ([family[name](a=a, b=b) for a, b in (one, other)] for family in (THEIRS, OURS))
    assert (ours[0] == ours[1]) == (theirs[0] == theirs[1])
    assert (ours[0] != ours[1]) == (theirs[0] != theirs[1])
    if name != "Identical":  # which is shown by its address
        assert list(map(repr, ours)) == list(map(repr, theirs))
    if name in {"Changing", "Derived"}:
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


NAMES = pytest.mark.parametrize("name", OURS)


@NAMES
def test_a_signature_is_that_of_attrs(name: str) -> None:
    """A class is called with the same arguments, of the same kinds, with the same defaults."""
    theirs, ours = (inspect.signature(family[name]) for family in (THEIRS, OURS))
    assert [_plain(one) for one in ours.parameters.values()] == [_plain(one) for one in theirs.parameters.values()]
    assert OURS[name].__match_args__ == THEIRS[name].__match_args__
    assert inspect.get_annotations(OURS[name].__init__) == inspect.get_annotations(THEIRS[name].__init__)


def _plain(parameter: inspect.Parameter) -> tuple[Any, ...]:
    default = parameter.default
    return parameter.name, parameter.kind, repr(default) if repr(default) == "NOTHING" else default


@NAMES
def test_attrs_knows_the_fields(name: str) -> None:
    """`attrs.has` and `attrs.fields` answer for a class as if attrs had made it."""
    assert attrs.has(OURS[name])
    theirs, ours = (attrs.fields(family[name]) for family in (THEIRS, OURS))
    assert list(map(_told, ours)) == list(map(_told, theirs))
    assert attrs.fields_dict(OURS[name]).keys() == attrs.fields_dict(THEIRS[name]).keys()


def _told(one: Any) -> tuple[Any, ...]:  # noqa: ANN401 - of either
    default = type(one.default) if isinstance(one.default, attrs.Factory) else one.default  # type: ignore[arg-type]
    flags = one.init, one.eq, one.kw_only, one.inherited, bool(one.repr), bool(one.converter), bool(one.validator)
    return one.name, one.alias, one.type, default, one.metadata, flags


@pytest.mark.parametrize("family", [THEIRS, OURS], ids=["attrs", "ours"])
def test_an_instance_has_its_defaults_its_conversions_and_its_own_values(family: dict[str, Any]) -> None:
    """Factories, converters, defaults by a method, fields that are not given, and what comes after `__init__`."""
    one = family["Rich"](1, [2, 3], d="x")
    assert (one.a, one._b, one.c, one.d, one.e, one.f, one.g) == (1, (2, 3), 3, "x", 7, {}, 3)
    assert family["Rich"](1)._b == ()
    assert family["Rich"](1).f is not family["Rich"](1).f
    assert attrs.asdict(one) == {"a": 1, "_b": (2, 3), "c": 3, "d": "x", "e": 7, "f": {}, "g": 3}
    assert classes.values_of(one) == attrs.asdict(one, recurse=False)
    assert (family["Derived"]().answer(), family["Derived"](4, 5).answer(), family["Derived"]().of_base) == (3, 9, 1)
    assert family["Converted"]("3").a == 3
    with pytest.raises(ValueError, match="must be >= 0"):
        family["Checked"](a=-1)
    assert family["Checked"](a=3).b == 3


@pytest.mark.parametrize("family", [THEIRS, OURS], ids=["attrs", "ours"])
@pytest.mark.parametrize(
    "change",
    [attrs.evolve, classes.evolve, copy.replace] if hasattr(copy, "replace") else [attrs.evolve, classes.evolve],
)
def test_a_copy_with_changes_has_those_and_all_else(family: dict[str, Any], change: Callable[..., Any]) -> None:
    """What changes is named as in `__init__`; a name that is none is refused."""
    one = family["Rich"](1, [2], d="x")
    assert change(one, b=[4, 5]) == family["Rich"](1, [4, 5], d="x")
    assert change(family["More"](1, e=6), a=2) == family["More"](2, e=6)
    with pytest.raises(TypeError):
        change(one, c=2)


@pytest.mark.parametrize("family", [THEIRS, OURS], ids=["attrs", "ours"])
def test_a_value_cannot_be_changed(family: dict[str, Any]) -> None:
    """An attribute of a frozen instance is neither set nor deleted, and there are no others."""
    one = family["Value"](1)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.a = 2
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del one.a
    changing = family["Changing"](1)
    changing.a = 2
    assert changing == family["Changing"](2)
    with pytest.raises(AttributeError):
        changing.z = 2
    assert weakref.ref(one)() is one


@pytest.mark.parametrize("family", [THEIRS, OURS], ids=["attrs", "ours"])
@pytest.mark.parametrize("name", ["Rich", "More", "Derived"])
def test_a_copy_is_equal(family: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instances can be copied and pickled."""
    one = family[name](1)
    assert copy.copy(one) == copy.deepcopy(one) == one
    monkeypatch.setitem(globals(), name, family[name])  # where pickle finds it by its name
    assert pickle.loads(pickle.dumps(one)) == one


@pytest.mark.parametrize("family", [THEIRS, OURS], ids=["attrs", "ours"])
def test_attrs_can_make_a_class_of_one(family: dict[str, Any]) -> None:
    """A plugin's class, which attrs makes, may have one of ours for its base, and is then attrs' own."""
    value: Any = family["Value"]
    changing: Any = family["Changing"]

    @attrs.frozen
    class Further(value):  # type: ignore[misc]
        z: int = 9

    @attrs.define(slots=False)
    class Kept(changing):  # type: ignore[misc]
        z: int = 9

    class Undecorated(value):  # type: ignore[misc]
        pass

    further: Any = Further
    kept: Any = Kept
    one = further(1, "b")
    assert repr(one).endswith("Further(a=1, c=None, d=..., z=9)")
    assert classes.evolve(one, z=8) == further(1, "b", z=8) != one
    assert kept(1, z=3) != kept(1, z=4)
    assert classes.values_of(kept(1)) == {"a": 1, "_b": "", "z": 9}
    assert Undecorated(1) == Undecorated(1) != family["Value"](1)


def test_a_class_of_many_instances_is_compiled() -> None:
    """With few instances `__init__` is not written; afterwards it is a function as any other, which does the same."""
    made = _family(*MAKERS[1])["Derived"]
    few = [made(1) for _ in range(classes.FILLED)]
    assert not inspect.isfunction(vars(made)["__init__"])
    assert made(1) == few[0]
    assert inspect.isfunction(vars(made)["__init__"])


GIVEN = st.dictionaries(st.sampled_from(["a", "b", "d", "e", "other"]), st.sampled_from([1, -1]), max_size=3)


@pytest.mark.parametrize("name", OURS)
@settings(max_examples=20)
@given(values=st.lists(st.sampled_from([1, -1]), max_size=3), named=GIVEN)
def test_the_first_instances_are_as_all_others(name: str, values: list[object], named: dict[str, object]) -> None:
    """What is filled by its fields has the values of what a written `__init__` makes, and is refused with its words."""

    def outcome(cls: Any, *, is_written: bool) -> object:  # noqa: ANN401 - any class
        if is_written:
            inspect.signature(cls.__init__)
        try:
            return [getattr(cls(*values, **named), one.name, None) for one in attrs.fields(cls)]
        except (TypeError, ValueError, AttributeError) as error:
            return str(error)

    assert outcome(_family(*MAKERS[1])[name], is_written=False) == outcome(_family(*MAKERS[1])[name], is_written=True)


WRITTEN = """
import gc
from btcore.classes import frozen

@frozen
class Value:
    a: int

made = [Value(one) for one in range(100)]  # by then its __init__ is written
assert Value.__init__.__code__.co_filename == "<__main__.Value>"
print([one for one in gc.get_objects() if isinstance(one, type) and one.__module__ == "ast"])
"""


def test_writing_an_init_makes_no_syntax_trees(tmp_path: Path) -> None:
    """Python's 119 classes of syntax trees, 0.2 MB, are not made for it; its code is said to be of its class."""
    script = tmp_path / "written.py"  # what is given by `-c` makes them itself
    script.write_text(WRITTEN)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")
