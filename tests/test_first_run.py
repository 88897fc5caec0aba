# SPDX-License-Identifier: GPL-3.0-or-later
"""The path of a new user: the commands of docs/start.md, typed in an empty folder, until there is data.

What is typed is taken from the page, in its order. Only installing is not done: the tests' own environment has it all.
"""

import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from helpers.folders import DOCS, ROOT
from helpers.terminal import Terminal

from btcore.cli import OK
from btcore.testing import wait_for

pytestmark = pytest.mark.servers

PAGE = (DOCS / "start.md").read_text()
TYPED = re.findall(r"^ {4}(\S.*)$", PAGE, re.MULTILINE)
INSTALLING = [line for line in TYPED if "venv" in line or line.startswith("pip")]
TYPES = [line for line in TYPED if line not in INSTALLING]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in an empty folder, as a user who has just installed btcore."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    for name in ("XDG_STATE_HOME", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    made = tmp_path / "energy"
    made.mkdir()
    yield made
    assert {path.name for path in made.iterdir()} <= {"site.toml", "energy.db", "energy.db-wal", "energy.db-shm"}


def test_the_page_types_these_steps() -> None:
    """The page is the path that is walked below: no step is left out, none is new."""
    assert [line.split()[:2] for line in TYPES] == [
        ["btcore", "init"],
        ["btcore", "check"],
        ["btcore", "run"],
        ["btcore", "status"],
        ["sqlite3", "energy.db"],
    ]


def test_the_steps_lead_to_own_data(folder: Path) -> None:
    """Who types what stands on the page, and takes the simulated house, has readings in a file in the end."""
    init, check, run, status, query = map(shlex.split, TYPES)
    with Terminal(init, folder) as terminal:
        terminal.answer("Listen for .*: ", "n")
        offered = terminal.read_until(r"Number \[")
        terminal.answer(": ", re.findall(r"(\d+) simulator", offered)[-1])
        terminal.answer(r"another line\? .*: ")
        choose_sinks(terminal, "sqlite")
        terminal.answer("Write site.toml.*: ")
        assert terminal.finish() == OK
    checked = subprocess.run(check, cwd=folder, capture_output=True, text=True, check=True)
    assert "no mistakes" in checked.stdout
    with Terminal(run, folder) as running:
        running.read_until("heard meter")
        wait_for(lambda: "last heard" in told(status, folder), "a reading")
        running.interrupt()
        assert running.finish() == OK
    with closing(sqlite3.connect(folder / query[1])) as database:
        rows = database.execute(query[2]).fetchall()
    assert rows
    assert all(row[0] > 1_700_000_000 and row[2] > 100 for row in rows)


def choose_sinks(terminal: Terminal, *wanted: str) -> None:
    """Take some of the sinks that are offered, whichever else this computer has."""
    asked = re.compile(r"(\S+): [^:]*\[Y/n\]: $")
    while found := asked.search(terminal.read_until(r"\[Y/n\]: |Enter: none\): ")):
        terminal.type("y" if found[1] in wanted else "n")
    terminal.type("")


def told(command: list[str], folder: Path) -> str:
    """Return what a command says."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_the_readme_takes_the_same_steps() -> None:
    """What the README types for an own meter is the beginning of the page."""
    (section,) = re.findall(
        r"^## Your own meter.*?(?=^## )", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    typed = [re.split(r" {2,}#", line)[0].strip() for line in re.findall(r"^ {4}(\S.*)$", section, re.MULTILINE)]
    assert typed[0] == INSTALLING[0]
    assert typed[2:] == TYPES[:3]
