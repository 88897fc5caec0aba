# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables within a setting: an attrs class whose fields are settings, as a type of a setting."""

from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from btcore.decode.brultech import Brultech
from btcore.settings import ChannelRef, Context, Duration, Secret, plugin, setting
from btcore.values import template
from btcore.values.channels import known_channels
from btcore.values.convert import convert, type_name
from btcore.values.describe import plain_value, settings_of
from btcore.values.invalid_value import ConversionContext, InvalidValue, ValueProblem

LABELS = known_channels([Brultech]).labels
HERE = ConversionContext(Path("/site"), {"399999_ch1": "solar"}, LABELS)


def _even(_instance: object, _attribute: object, value: int) -> None:
    if value % 2:
        raise ValueError(f"expected an even number, found {value}")


@attrs.frozen(kw_only=True)
class Circuit:
    """One circuit."""

    name: str = setting(help="what it is called")
    size: int = setting(default=2, help="an even number", validator=_even)
    colour: str = setting(default="red", help="which", choices=("red", "blue"))
    mode: Literal["a", "b"] | None = setting(default=None, help="a mode")
    _count: int = attrs.field(default=0, init=False)


@attrs.frozen
class Locked:
    """Has a secret."""

    key: Secret = setting(help="a key")  # noqa: RUF009 - a field
    size: "int" = setting(default=2, help="an even number", validator=_even)  # noqa: RUF009 - a field


def _loud(_instance: object, _attribute: object, value: Secret) -> None:
    raise ValueError(f"{value.reveal()} is no key")


@attrs.frozen
class Loud:
    """Refuses, and says what."""

    key: Secret = setting(help="a key", validator=_loud)  # noqa: RUF009 - a field


def faults(value: object, annotation: Any, context: ConversionContext = HERE) -> tuple[ValueProblem, ...]:  # noqa: ANN401 - types are values
    """Return what is said of a value that does not fit, and where in it."""
    with pytest.raises(InvalidValue) as caught:
        convert(value, annotation, context)
    return caught.value.problems


def test_a_table_becomes_an_instance_with_the_defaults_of_what_it_leaves_out() -> None:
    """Each setting of the class is taken from the table by its type; the rest have their defaults."""
    value = {"solar": {"name": "roof", "size": 4, "mode": "b"}, "ch2": {"name": "kitchen"}}
    expected = {
        ChannelRef("399999", "ch1"): Circuit(name="roof", size=4, mode="b"),
        ChannelRef("", "ch2"): Circuit(name="kitchen"),
    }
    assert expected == convert(value, dict[ChannelRef, Circuit], HERE)


def test_all_that_is_wrong_within_is_told_with_the_way_to_it() -> None:
    """Unknown, missing, of a wrong type, none of the choices: all told together, as in a table of their own."""
    value = {"ch1": {"nmae": "x", "size": "4", "colour": "bleu"}, "ch2": {"name": "x", "size": 3}, "ch3": "x"}
    expected = [
        (("ch1", "nmae"), 'unknown setting; did you mean "name"?'),
        (("ch1", "name"), "a required setting is missing: what it is called (text)"),
        (("ch1", "size"), 'expected a whole number, without quotes, found "4"'),
        (("ch1", "colour"), 'expected one of "red", "blue", found "bleu"; did you mean "blue"?'),
        (("ch2", "size"), "expected an even number, found 3"),
        (
            ("ch3",),
            'expected a table { name: text, size: whole number, colour: text, mode: choice }, found "x"',
        ),
    ]
    assert expected == [(fault.path, fault.message) for fault in faults(value, dict[ChannelRef, Circuit])]


def test_an_unknown_setting_like_no_other_is_told_with_those_that_there_are() -> None:
    """Where no name is near, all are listed."""
    (fault,) = faults({"name": "x", "zzz": 1}, Circuit)
    assert fault.message == "unknown setting; the settings are name, size, colour, mode"


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ("hush", Locked),
        ({"a": "hush"}, dict[str, Locked]),
        ("hush", list[Locked]),
        ({"key": ["hush"]}, Locked),
        ({"key": "hush"}, Loud),
        ({"key": "hush", "size": 3}, Locked),
    ],
)
def test_no_message_repeats_a_secret_of_a_table_within(value: object, annotation: Any) -> None:  # noqa: ANN401
    """Where a table within has a secret, neither it nor what is written in its place is ever repeated."""
    told = faults(value, annotation, ConversionContext(Path("/site"), labels=LABELS))
    assert "hush" not in repr(told)


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (Locked, "table { key: secret text, size: whole number }"),
        (Locked | None, "table { key: secret text, size: whole number }"),
        (dict[ChannelRef, Locked], "table of channels to tables { key: secret text, size: whole number }"),
        (list[Locked], "list of tables { key: secret text, size: whole number }"),
    ],
)
def test_its_name_tells_what_it_has(annotation: Any, name: str) -> None:  # noqa: ANN401 - types are values here
    """A listing shows which settings such a table has, and of which type."""
    assert type_name(annotation) == name


def test_a_class_without_settings_is_no_type_of_a_setting() -> None:
    """A class whose fields are no settings, and one with a field of a type that none may have, are refused."""

    @attrs.frozen
    class Odd:
        raw: bytes = setting(default=b"", help="bytes")

    for annotation in (Context, Odd):
        with pytest.raises(TypeError, match="not a type that a setting can have"):
            type_name(annotation)


def test_it_is_written_as_it_is_read() -> None:
    """A default, told plainly, is the table it stands for; a secret is not told."""
    assert plain_value({ChannelRef("", "ch1"): Circuit(name="roof")}) == {
        "ch1": {"name": "roof", "size": 2, "colour": "red"}
    }
    assert plain_value(Locked(Secret("hush"))) == {"key": "***", "size": 2}


def test_an_example_of_it_is_one_that_can_be_read() -> None:
    """What `btcore init` writes for such a setting has all that it may have."""

    @plugin(api=1)
    class Sink:
        map: dict[ChannelRef, Circuit] = setting(help="circuits")
        wait: dict[str, Duration] = setting(factory=dict, help="waits")

    (entry, _) = settings_of(Sink)
    written = template.example_value(entry, "sink")
    assert written == '{ ch1 = { name = "text", size = 2, colour = "red", mode = "a" } }'
