# SPDX-License-Identifier: GPL-3.0-or-later
"""What plugins are given, as docs/writing-a-plugin.md lists it: nothing is left out."""

import re
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest

from btcore import Batch, Channel, Context, Format, Reading, Sample

PAGE = (Path(__file__).parents[1] / "docs" / "writing-a-plugin.md").read_text("utf-8")
OF_THE_CORE: Mapping[type, set[str]] = {
    Format: {"index", "counters", "checked", "numbers", "has_seconds", "is_certain", "by_label"}
}
"""What a class has for the core alone."""


def documented(cls: type) -> set[str]:
    """Return the names that stand in what the page says of a class."""
    found = re.search(rf"^\*\*`{cls.__name__}`\*\*(.*?)(?=^\*\*|^#)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, cls
    return {name.partition("(")[0] for name in re.findall(r"`([^`]+)`", found[1])}


@pytest.mark.parametrize("cls", [Batch, Reading, Sample, Context, Format, Channel])
def test_every_field_is_on_the_page(cls: type) -> None:
    """Each public attribute of what a plugin is given stands on the page."""
    properties = {name for name, value in vars(cls).items() if isinstance(value, property) or callable(value)}
    fields = {field.name for field in attrs.fields(cls)} | properties
    public = {name for name in fields if not name.startswith("_")} - OF_THE_CORE.get(cls, set())
    assert public - documented(cls) == set()
