# SPDX-License-Identifier: GPL-3.0-or-later
"""Entry points of installed distributions: those that importlib.metadata finds."""

import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from helpers.distributions import install_distribution

from btcore.entry_points import EntryPoint, distributions

GROUPS = ("btcore.plugins", "btcore.commands", "console_scripts", "pytest11")


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_installed_is_found_as_importlib_finds_it(group: str) -> None:
    """Each distribution with entry points of a group is found, in the same order, with the same name and version."""
    expected = []
    for one in metadata.distributions():
        entries = sorted((entry.name, entry.value) for entry in one.entry_points if entry.group == group)
        if entries:
            expected.append((one.metadata["Name"], one.version, entries))
    found = [(one.name, one.version, sorted((e.name, e.value) for e in one.entries)) for one in distributions(group)]
    assert found == expected


def test_a_distribution_within_a_zip_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is packed into one file is found as well."""
    folder, archive = tmp_path / "folder", tmp_path / "all.zip"
    folder.mkdir()
    install_distribution(folder, "stranger-zipped", "Zipped = 3", {"zipped": "Zipped"})
    with zipfile.ZipFile(archive, "w") as packed:
        for file in folder.rglob("*"):
            packed.write(file, file.relative_to(folder))
    monkeypatch.setattr(sys, "path", [str(archive), *sys.path])
    assert "stranger-zipped" in [one.name for one in distributions("btcore.plugins")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("pathlib:Path", Path), ("pathlib : Path.home [extra]", Path.home), ("sys", sys)],
)
def test_what_an_entry_point_names_is_loaded(value: str, expected: object) -> None:
    """A module, or a name in it, however it is written."""
    assert EntryPoint("group", "name", value).load() == expected


def test_a_value_that_names_nothing_is_an_error() -> None:
    """The error shows what was expected."""
    with pytest.raises(ValueError, match="expected module:name, found 'a b c'"):
        EntryPoint("group", "name", "a b c").load()
