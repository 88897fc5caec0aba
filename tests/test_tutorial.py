# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/tutorial.md is run: each block is written to its file, each command is run, in the order of the page."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.servers

PAGE = (Path(__file__).parents[1] / "docs" / "tutorial.md").read_text("utf-8")
STEP = re.compile(r"`([\w/.-]+)`[^`]*:\n\n```\w+\n(.*?)```|((?:^    \S[^\n]*\n)+)", re.DOTALL | re.MULTILINE)
"""A file that is named before a block, or commands."""

LINES: Mapping[str, int] = {"board": 25, "logger": 30, "inverter": 40}
"""The most lines that the module of each plugin has, without those that are blank or a comment."""


def steps() -> Iterator[tuple[str, str]]:
    """Yield the steps of the page: a file and its text, or "" and a command."""
    for name, text, commands in STEP.findall(PAGE):
        if name:
            yield name, text
        for command in commands.splitlines():
            yield "", command.strip()


def environment(folder: Path) -> dict[str, str]:
    """Return the environment in which the plugins of a folder are found as `pip install -e` would have it."""
    sources = [str(path) for path in sorted(folder.glob("*/src"))]
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    python = [*sources, str(folder / "installed"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PATH": os.pathsep.join(paths), "PYTHONPATH": os.pathsep.join(filter(None, python))}


def install(package: Path, site: Path) -> None:
    """Write what pip writes for an editable package, its metadata; that pip takes it is seen in other tests."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (group,) = project["entry-points"]
    lines = [f"{name} = {value}" for name, value in project["entry-points"][group].items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]))


def run(command: str, folder: Path) -> str:
    """Run a command of the page; return what it writes. What it installs goes into a folder of the test."""
    if command.startswith(("python3 -m venv", "pip install 'btcore[")):
        return ""  # the environment of this test has both
    words = shlex.split(command)
    if words[:3] == ["pip", "install", "-e"]:
        install(folder / words[3], folder / "installed")
        return ""
    done = subprocess.run(words, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_the_page_is_followed_from_an_empty_folder(tmp_path: Path) -> None:
    """All files are written and all commands are run, as they stand on the page, and each of them succeeds."""
    said: dict[str, str] = {}
    all_steps = list(steps())
    for at, (name, text) in enumerate(all_steps):
        if name:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif ("", text) not in all_steps[at + 1 :]:  # the tests of what `new-plugin` wrote are run elsewhere
            said[text] = run(text, tmp_path)
    assert said["btcore plugins --check board"] == "board: ok\n"
    ran = said["btcore run site.toml --once --trace"]
    assert len(re.findall(r"Serial: 4242", ran)) == 2
    assert "trace: source.logger" in ran
    assert len([command for command in said if " pytest " in command]) == 3


def test_the_plugins_are_short() -> None:
    """The module of each plugin is as short as an example should be."""
    found = {name.split("/")[0]: text for name, text in steps() if name.endswith("__init__.py")}
    for name, most in LINES.items():
        lines = [line for line in found[name].splitlines() if line.strip() and not line.startswith("#")]
        assert len(lines) <= most, name
