# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore new-plugin`: what it writes is complete, and passes its own tests, ruff and mypy as it is written."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from btcore.cli import OK, UNAVAILABLE, USAGE, main
from btcore.cli.new_plugin import KINDS, distribution_files, name_problem

LINES: Mapping[str, int] = {"sink": 25, "source": 30, "decoder": 40}
"""The most lines of a plugin of each kind, without those that are blank or a comment."""


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    """Return each kind."""
    return str(request.param)


@pytest.fixture
def folder(kind: str, tmp_path: Path) -> Path:
    """Write a distribution of a kind, and return its folder."""
    folder = tmp_path / "made"
    assert main(["new-plugin", "my-house", "--kind", kind, "--dir", str(folder)]) == OK
    return folder


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a tool in a folder, with the plugin found by its import name."""
    environment = {**os.environ, "PYTHONPATH": "src", "MYPYPATH": "src"}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_it_passes_its_own_tests(folder: Path) -> None:
    """Its tests, `conforms` among them, pass as they are written."""
    done = run(folder, "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout
    assert "conforms(" in next(folder.glob("tests/test_*.py")).read_text()


def test_it_passes_ruff(folder: Path) -> None:
    """Its style is this project's, by its own pyproject.toml: as it is written, and by all the rules."""
    for words in (["check", "--no-cache", "."], ["format", "--no-cache", "--check", "."]):
        done = run(folder, "ruff", *words)
        assert done.returncode == 0, done.stdout
    assert tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]["select"] == ["ALL"]


def test_it_passes_mypy(tmp_path: Path) -> None:
    """All kinds pass mypy --strict, tests included."""
    for kind in KINDS:
        main(["new-plugin", f"my-{kind}", "--kind", kind, "--dir", str(tmp_path / kind)])
        done = run(tmp_path / kind, "mypy", "--cache-dir", str(tmp_path / "cache"))
        assert done.returncode == 0, done.stdout
        assert tomllib.loads((tmp_path / kind / "pyproject.toml").read_text())["tool"]["mypy"]["strict"] is True


def test_it_is_short(folder: Path, kind: str) -> None:
    """The module of a plugin has no more lines than an example should have."""
    (module,) = folder.glob("src/*/__init__.py")
    lines = [line for line in module.read_text().splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= LINES[kind]
    assert [one.name for one in ast.parse(module.read_text()).body if isinstance(one, ast.ClassDef)] == ["MyHouse"]


def test_it_is_complete(folder: Path) -> None:
    """It has all that a distribution needs, no name of a template is left in it, and its README shows the sample."""
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files >= {"pyproject.toml", "README.md", "LICENSE", "sample.toml", ".github/workflows/ci.yml", ".gitignore"}
    assert files >= {"src/btmon_my_house/__init__.py", "src/btmon_my_house/py.typed", "tests/test_my_house.py"}
    texts = {path: path.read_text() for path in folder.rglob("*") if path.is_file() and path.name != "LICENSE"}
    assert {found for text in texts.values() for found in re.findall(r"@[A-Z]{2,}@", text)} == set()
    tables = tomllib.loads((folder / "sample.toml").read_text())
    shown = "\n".join(re.findall(r"```toml\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL))
    assert tomllib.loads(shown) == tables


@pytest.mark.servers
def test_they_can_be_installed(tmp_path: Path) -> None:
    """Installed by pip, `plugins --check` finds nothing wrong with them, and `check` accepts their samples."""
    site = tmp_path / "site-packages"
    for kind in KINDS:
        main(["new-plugin", f"my-{kind}", "--kind", kind, "--dir", str(tmp_path / kind)])
    folders = [str(tmp_path / kind) for kind in KINDS]
    pip = ["pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(site), *folders]
    assert run(tmp_path, *pip).returncode == 0
    environment = {**os.environ, "PYTHONPATH": str(site), "MY_SINK_TOKEN": "a-token-of-the-tests"}
    words = [sys.executable, "-m", "btcore"]
    done = subprocess.run(
        [*words, "plugins", "--check", "--json"], env=environment, capture_output=True, text=True, check=True
    )
    faults = {one["name"]: one["faults"] for one in json.loads(done.stdout)}
    assert [faults[f"my-{kind}"] for kind in KINDS] == [[], [], []]
    samples = "".join((tmp_path / kind / "sample.toml").read_text() for kind in KINDS)
    (tmp_path / "site.toml").write_text(f'state = "state"\n{samples}')
    done = subprocess.run(
        [*words, "check", str(tmp_path / "site.toml")], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["My", "1st", "a_b", "-a", "a--b", "x" * 21, "", "ü", "a/b", ".."])
def test_a_wrong_name_is_refused(name: str) -> None:
    """A name that cannot be that of a module and of a table is refused, with one that could."""
    assert "such as my-service" in name_problem(name)


def test_a_name_that_is_taken_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """No plugin gets the name of one of this project's."""
    with pytest.raises(SystemExit) as ended:
        main(["new-plugin", "btmon-sqlite"])
    assert ended.value.code == USAGE
    assert "btmon-sqlite has a plugin sqlite already" in capsys.readouterr().err


def test_what_is_there_is_not_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that has anything in it is left as it is."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(["new-plugin", "other", "--dir", str(folder)]) == UNAVAILABLE
    assert "exists already" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["a", "x1", "b-2-c", "a" * 20])
def test_any_allowed_name_makes_a_module_that_compiles(name: str, kind: str) -> None:
    """Short, long and odd names make modules that Python reads, with lines that are not too long."""
    for path, text in distribution_files(name, kind):
        if path.endswith(".py"):
            compile(text, path, "exec")
            assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("name", "kind", "class_name"),
    [
        ("batch", "sink", "BatchSink"),
        ("hosted-service", "sink", "HostedServiceSink"),
        ("event", "source", "EventSource"),
        ("packet", "decoder", "PacketDecoder"),
        ("none", "sink", "NoneSink"),
        ("class", "sink", "Class"),
    ],
)
def test_the_class_has_a_name_of_its_own(name: str, kind: str, class_name: str) -> None:
    """A plugin that is called as something that its module or its tests use does not take that name from them."""
    modules = [ast.parse(text) for path, text in distribution_files(name, kind) if path.startswith("src/") and text]
    assert [one.name for one in modules[0].body if isinstance(one, ast.ClassDef)] == [class_name]


def test_the_command_that_is_shown_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder with a space in its name is quoted, and one that would steer a terminal does not."""
    main(["new-plugin", "my-house", "--dir", str(tmp_path / "my \x1b[31mhouse")])
    shown = capsys.readouterr().out
    assert f"cd '{tmp_path}/my  [31mhouse' && " in shown
    assert "\x1b" not in shown
