# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/reference/plugins.md: it is what the code says, nothing is left out, and its examples run."""

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import btcore.records
import btcore.testing
from btcore.discovery import HOOKS
from btcore.values.convert import SCALARS

DOCS = Path(__file__).parents[1] / "docs"
REFERENCE = SimpleNamespace(**runpy.run_path(str(DOCS / "plugin_reference.py")))
PAGE = (DOCS / "reference" / "plugins.md").read_text("utf-8")

PRIVATE = {"Unwanted"}
"""Records that no plugin meets."""


def test_the_page_is_what_the_code_says() -> None:
    """The page is current: where it is not, `python docs/plugin_reference.py` writes it."""
    assert REFERENCE.page() == PAGE


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_examples_run() -> None:
    """Each example is code that runs, with what it says of itself."""
    runpy.run_path(str(DOCS / "plugin_examples.py"))


def heading(name: str) -> str:
    """Return the heading of a name."""
    return f"\n### {name}\n"


def section(name: str) -> str:
    """Return what the page has under a name."""
    return PAGE.partition(heading(name))[2].partition("\n### ")[0].partition("\n## ")[0]


def public_classes(module: Any) -> set[str]:  # noqa: ANN401 - a module
    """Return the names of the classes that a module defines for others."""
    found = {name for name, value in vars(module).items() if isinstance(value, type) and not name.startswith("_")}
    return {name for name in found if getattr(module, name).__module__ == module.__name__}


def test_each_hook_and_record_is_on_the_page_with_an_example() -> None:
    """Each hook, each record and each answer has a section, with an example in it."""
    names = {*HOOKS, *(public_classes(btcore.records) - PRIVATE), *REFERENCE.RECORDS}
    names |= set(REFERENCE.ANSWERS)
    assert sorted(name for name in names if "```python" not in section(name)) == []


def test_each_type_of_setting_is_on_the_page() -> None:
    """Each type that a setting may have has a section, with a value that is taken and one that is refused."""
    known = [annotation for annotation, *_ in REFERENCE.TYPES.values()]
    assert [one for one in SCALARS if one not in known] == []
    assert [name for name in REFERENCE.TYPES if section(name).count("key = ") != 2] == []


@pytest.mark.parametrize("name", sorted(REFERENCE.TYPES))
def test_the_values_are_taken_and_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value that the page shows for a type is taken, and the other one is refused."""
    monkeypatch.setenv("KEY", "a-key-of-the-test")
    annotation, _, good, bad = REFERENCE.TYPES[name]
    assert REFERENCE.converted(annotation, good) is not None
    assert REFERENCE.refusal(annotation, bad)


def test_each_name_of_the_kit_is_on_the_page_and_in_the_guide() -> None:
    """What `btcore.testing` exports is in the reference, and, but for types of answers, in the guide."""
    guide = (DOCS / "writing-a-plugin.md").read_text("utf-8")
    assert [name for name in btcore.testing.__all__ if heading(name) not in PAGE] == []
    types = {"DoesNotConform", "Fault", "Request", "Run"}
    assert [name for name in btcore.testing.__all__ if f"`{name}" not in guide and name not in types] == []
