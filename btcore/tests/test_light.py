# SPDX-License-Identifier: GPL-3.0-or-later
"""A plugin that is declared with `btcore.light` is what one is that is declared with attrs."""

import subprocess
import sys
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import btcore
from btcore import light
from btcore.values.constraints import validation_problem
from btcore.values.describe import settings_of

DECLARED = """
{imports}

class Base:
    "A base."
    shared: int = setting(default=1, help="what all have", validator=ge(0))
    _kept: object = field(init=False, default=None, repr=False)

Base = plugin(api=1)(Base)

class Sample(Base):
    "A sample."
    name: str = setting(help="a name", example="x")
    port: int = setting(default=80, help="a port", validator=and_(ge(1), le(65535)))
    share: float = setting(default=0.5, help="a share", validator=and_(gt(0), lt(1)))
    months: int = setting(default=1, help="months", validator=in_((1, 80)))
    lines: list[str] = setting(factory=list, help="lines")
    _more: dict = field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self):
        self._kept = self.port

Sample = plugin(api=1)(Sample)
"""
THEIRS = """
from attrs import field
from attrs.validators import and_, ge, gt, in_, le, lt
from btcore import plugin, setting
"""
OURS = "from btcore import plugin\nfrom btcore.light import and_, field, ge, gt, in_, le, lt, setting\n"


def _declared(imports: str) -> Any:  # noqa: ANN401 - a plugin's class
    scope: dict[str, Any] = {"__name__": "declared"}
    exec(DECLARED.format(imports=imports), scope)
    return scope["Sample"]


theirs, ours = _declared(THEIRS), _declared(OURS)

NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, 1, 80, 65535, 65536]))
GIVEN = st.fixed_dictionaries(
    {}, optional={"port": NUMBERS, "share": NUMBERS, "shared": NUMBERS, "months": NUMBERS, "name": st.just("x")}
)


def _outcome(cls: Any, values: dict[str, Any]) -> object:  # noqa: ANN401 - a plugin's class
    try:
        made = cls(**values)
    except (TypeError, ValueError) as error:
        return str(error.args[0])
    return repr(made), made._kept, made.lines, made._more


@given(GIVEN)
def test_an_instance_is_made_and_refused_alike(values: dict[str, Any]) -> None:
    """The same settings make the same instance, or raise the same error."""
    assert _outcome(ours, values) == _outcome(theirs, values)


@given(st.sampled_from(["port", "share", "shared", "months", "name"]), NUMBERS)
def test_a_setting_is_checked_where_it_is_set_later(name: str, value: object) -> None:
    """What an instance's setting is set to is validated, as attrs does."""
    found = []
    for cls in (ours, theirs):
        one = cls(name="x")
        try:
            setattr(one, name, value)
        except ValueError as error:
            found.append(str(error.args[0]))
        else:
            found.append(repr(one))
    assert found[0] == found[1]


def test_the_settings_are_listed_alike() -> None:
    """Names, types, defaults, choices and their order are the same; those of the base come last."""
    assert [one.as_json() for one in settings_of(ours)] == [one.as_json() for one in settings_of(theirs)]
    assert [one.name for one in attrs.fields(ours)] == [one.name for one in attrs.fields(theirs)]


@given(st.sampled_from(["port", "share", "shared", "months"]), NUMBERS)
def test_a_person_is_told_the_same(name: str, value: object) -> None:
    """The message for a value that is refused is the same."""
    told = []
    for cls in (ours, theirs):
        entry = next(one for one in settings_of(cls) if one.name == name)
        told.append(validation_problem(entry.field, entry.annotation, value))
    assert told[0] == told[1]


def test_a_plugin_of_attrs_may_have_one_of_these_for_its_base() -> None:
    """A class with fields of attrs, over one without, has the fields of both."""

    def further(base: Any) -> Any:  # noqa: ANN401 - a plugin's class
        @btcore.plugin(api=1)
        class Further(base):  # type: ignore[misc]
            more: int = btcore.setting(default=3, help="more")

        return Further

    made = further(ours)
    assert [one.name for one in settings_of(made)] == [one.name for one in settings_of(further(theirs))]
    assert made(name="x").more == 3
    with pytest.raises(ValueError, match="must be >= 1"):
        made(name="x", port=0)


def test_nothing_imports_attrs() -> None:
    """To import btcore, and to declare and make a plugin without attrs, imports neither attrs nor pluggy."""
    code = (
        "import sys, btcore.discovery, btcore.config.load\n"
        "from btcore import hookimpl, plugin\nfrom btcore.light import ge, setting\n"
        "@plugin(api=1)\nclass Sample:\n"
        "    port: int = setting(default=80, help='a port', validator=ge(1))\n"
        "    @hookimpl\n    def close(self): pass\n"
        "Sample(port=1).port = 2\n"
        "assert not {'attr', 'attrs', 'pluggy', 'inspect'} & sys.modules.keys(), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_names_are_those_of_attrs() -> None:
    """Bounds and makers are called as in attrs."""
    assert {name for name in light.__all__ if hasattr(attrs.validators, name) or hasattr(attrs, name)} == {
        *light.__all__
    } - {"setting"}
