# SPDX-License-Identifier: GPL-3.0-or-later
"""Entry points of installed distributions: those that importlib.metadata finds."""

import os
import shutil
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import pytest
from helpers.distributions import install_distribution

from btcore import entry_points
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


@pytest.mark.parametrize("age", [0.0, 3600.0])
def test_what_is_installed_and_removed_meanwhile_is_known(
    age: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is read again when it has changed, also where that was just now."""

    def found() -> list[str]:
        return [one.name for one in distributions("btcore.plugins")]

    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    install_distribution(tmp_path, "stranger-first", "One = 1", {"one": "One"})
    changed = tmp_path.stat().st_mtime - age
    os.utime(tmp_path, (changed, changed))
    assert found() == ["stranger-first"]
    install_distribution(tmp_path, "stranger-second", "Two = 2", {"two": "Two"})
    assert sorted(found()) == ["stranger-first", "stranger-second"]
    shutil.rmtree(tmp_path / "stranger_first-1.0.dist-info")
    assert found() == ["stranger-second"]


def test_an_egg_info_is_read_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a source folder has is changed in its place, so that the folder does not tell."""
    info = tmp_path / "stranger.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Name: stranger\nVersion: 1\n\nIt says\nName: nothing\n")
    (info / "entry_points.txt").write_text("[btcore.plugins]\none = pathlib:Path\n")
    os.utime(tmp_path, (0, 0))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert [entry.name for one in distributions("btcore.plugins") for entry in one.entries] == ["one"]
    (info / "entry_points.txt").write_text("[btcore.plugins]\ntwo = pathlib:Path\n")
    assert [entry.name for one in distributions("btcore.plugins") for entry in one.entries] == ["two"]


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


MEETING = """
import threading
left_begun, right_begun, is_let_go = threading.Event(), threading.Event(), threading.Event()
"""

MODULE = """
from {folder} import meeting
meeting.{me}_begun.set()
IS_BESIDE_THE_OTHER = meeting.{other}_begun.wait(0.5) and not hasattr(meeting, "{other}_ended")
meeting.{me}_ended = True
"""


def make_modules(folder: Path, name: str, **texts: str) -> None:
    """Write a package of modules."""
    (folder / name).mkdir()
    for module, text in {"__init__": "", "meeting": MEETING, **texts}.items():
        (folder / name / f"{module}.py").write_text(text)


def test_two_threads_import_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What two threads load at once is not imported side by side, where modules that need one another are half made."""
    make_modules(
        tmp_path,
        "two_at_once",
        left=MODULE.format(folder="two_at_once", me="left", other="right"),
        right=MODULE.format(folder="two_at_once", me="right", other="left"),
    )
    monkeypatch.syspath_prepend(tmp_path)
    entries = [
        EntryPoint("btcore.plugins", name, f"two_at_once.{name}:IS_BESIDE_THE_OTHER") for name in ("left", "right")
    ]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(EntryPoint.load, entries)) == [False, False]


def test_an_import_that_hangs_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that does not come to its end keeps nobody else from being imported."""
    hangs = "from hanging_one import meeting\nmeeting.left_begun.set()\nmeeting.is_let_go.wait(60)\n"
    make_modules(tmp_path, "hanging_one", left=hangs, right="SEEN = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(entry_points, "WAIT", 0.05)
    meeting = EntryPoint("btcore.plugins", "meeting", "hanging_one.meeting").load()
    with ThreadPoolExecutor(1) as pool:
        left = pool.submit(EntryPoint("btcore.plugins", "left", "hanging_one.left").load)
        assert meeting.left_begun.wait(60)
        assert EntryPoint("btcore.plugins", "right", "hanging_one.right:SEEN").load() is True
        assert not left.done()
        meeting.is_let_go.set()
