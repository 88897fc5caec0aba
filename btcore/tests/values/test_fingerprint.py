# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks of settings: they change with the settings, with nothing else, and nothing can be read from them."""

from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.fake_plugins import OneMeterSink

from btcore import ChannelRef, Secret, Serial, plugin, setting
from btcore.values.fingerprint import fingerprint


@attrs.frozen
class Stream:
    """A table within a setting."""

    name: str = setting(default="", help="its name")
    key: Secret = setting(factory=lambda: Secret(""), help="its key")  # noqa: RUF009 - a field


@plugin(api=1)
class Mapped:
    """A sink with settings of all kinds."""

    file: Path = setting(default=Path("a"), help="a file")
    channels: dict[ChannelRef, int] = setting(factory=dict, help="channels")
    tokens: dict[Serial, Secret] = setting(factory=dict, help="keys")
    streams: list[Stream] = setting(factory=list, help="streams")


@plugin(api=1)
class Grown(OneMeterSink):
    """A newer version of a sink, with a setting more."""

    more: int = setting(default=3, help="what it could not do before")


BASE: dict[str, Any] = {
    "file": Path("b"),
    "channels": {ChannelRef("399999", "ch1"): 1},
    "tokens": {"399999": Secret("one"), "420467": Secret("two")},
    "streams": [Stream("kitchen", Secret("three"))],
}

CHOOSING: dict[str, Any] = {
    "file": Path("c"),
    "channels": {ChannelRef("399999", "ch2"): 1},
    "tokens": {"399999": Secret("one"), "420468": Secret("two")},
    "streams": [Stream("hall", Secret("three"))],
}

SECRET: dict[str, Any] = {
    "tokens": {"399999": Secret("one"), "420467": Secret("another")},
    "streams": [Stream("kitchen", Secret("another"))],
}


def test_the_same_settings_have_the_same_marks() -> None:
    """Marks are the same for equal settings, whatever order they are written in, and whichever instance has them."""
    turned = BASE | {"tokens": dict(reversed(BASE["tokens"].items()))}
    assert fingerprint(Mapped(**BASE), ()) == fingerprint(Mapped(**turned), ())


@pytest.mark.parametrize("name", CHOOSING)
def test_a_setting_that_chooses_changes_both_marks(name: str) -> None:
    """Another file, channel, meter or name is other settings."""
    before, after = (fingerprint(Mapped(**BASE | more), ()) for more in ({}, {name: CHOOSING[name]}))
    assert before.choosing != after.choosing
    assert before.all != after.all


def test_the_meters_of_the_table_choose() -> None:
    """`meters` is one of the settings."""
    assert fingerprint(OneMeterSink(), ()).choosing != fingerprint(OneMeterSink(), ("399999",)).choosing


@pytest.mark.parametrize("name", SECRET)
def test_a_secret_changes_one_mark_alone(name: str) -> None:
    """Another key chooses nothing else, but may be of another account."""
    before, after = (fingerprint(Mapped(**BASE | more), ()) for more in ({}, {name: SECRET[name]}))
    assert before.choosing == after.choosing
    assert before.all != after.all


def test_a_new_setting_that_has_its_default_changes_nothing() -> None:
    """An upgrade of a plugin is no change of the settings."""
    assert fingerprint(OneMeterSink(meter="1"), ()) == fingerprint(Grown(meter="1"), ())


def test_a_secret_cannot_be_found_by_trying() -> None:
    """Of all secrets, many have one mark: who tries them all finds thousands that fit, and not which it is."""
    marks = [fingerprint(OneMeterSink(key=Secret(str(n))), ()).all for n in range(3000)]
    assert len(set(marks)) < len(marks)
