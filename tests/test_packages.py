# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages of the workspace: what each pyproject.toml states, and the lists of packages and plugins elsewhere.

All of this holds for the next package too: `packages.py` finds it by its folder. The sources are `test_rooms.py`'s.
"""

import pkgutil
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import pytest
from helpers.folders import ROOT, python_files
from packages import CORE, OFFERED, PACKAGES, PLUGINS, Package, named
from packaging.specifiers import SpecifierSet

from btcore import API, predecessor
from btcore.discovery import COMMANDS, DISTRIBUTIONS
from btcore.version import __version__

WORKSPACE: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())

SPDX = "# SPDX-License-Identifier: GPL-3.0-or-later"

SERIES = ".".join(__version__.split(".")[:2])
RANGE = SpecifierSet(f">={SERIES},<{SERIES.split('.')[0]}.{int(SERIES.split('.')[1]) + 1}")
"""What a package states of another of the workspace: this series of versions, and no later one."""

CLASSIFIERS = {
    *(f"Programming Language :: Python :: 3.{minor}" for minor in range(11, 15)),
    "Topic :: Home Automation",
    "Typing :: Typed",
}
SHARED = {"conftest.py", "pytest.ini", "tests/helpers", "tests/servers"}
"""What every sdist has from the root of the workspace, so that its tests run."""

BY_THEIR_OWN_NAME = {
    *("ascii", "http"),
    *("brultech", "file", "print", "serial", "simulator", "sqlite", "prometheus", "prometheus-remote-write"),
    *("home-assistant", "pipe-program", "pipe-file", "pipe-socket", "pipe-webhook", "tee", "proxy", "dashboard"),
    *("nats", "nats-stream"),
}
"""Plugins that nobody looks for under another name of btmon's."""


@cache
def lock() -> dict[str, Any]:
    """Return what uv has locked; to read it takes as long as to import fifty modules of tests."""
    return tomllib.loads((ROOT / "uv.lock").read_text())


each_package = pytest.mark.parametrize("package", PACKAGES.values(), ids=PACKAGES)
each_plugin = pytest.mark.parametrize("package", PLUGINS, ids=lambda package: package.name)


@each_plugin
def test_a_plugin_states_which_btcore_it_works_with_or_is_of_the_default_set(package: Package) -> None:
    """A package of the default set does not depend on btcore, which depends on it; every other one does."""
    assert ("btcore" in package.own) is (package.name not in CORE.own)


@each_plugin
def test_a_plugin_that_uses_btcore_web_asks_for_it(package: Package) -> None:
    """Who imports `btcore.web` depends on `btcore[web]`, which brings requests; no other does."""
    sources = (path.read_text() for path in (package.folder / "src").rglob("*.py"))
    uses_web = any("btcore.web" in source for source in sources)
    assert ("web" in package.own["btcore"].extras if "btcore" in package.own else False) is uses_web


@each_package
def test_a_dependency_within_the_workspace_has_this_range(package: Package) -> None:
    """What a package needs of another of the workspace is this series of versions: >=0.1,<0.2."""
    assert {name: needed.specifier for name, needed in package.own.items()} == dict.fromkeys(package.own, RANGE)


@each_plugin
def test_all_packages_have_one_version(package: Package) -> None:
    """What is released together has one version."""
    assert package.project["version"] == __version__


@each_package
def test_every_package_states_the_same_of_itself(package: Package) -> None:
    """Licence, authors, Python, README, classifiers and build are those of btcore; the name is the folder's."""
    project = package.project
    same = ("readme", "requires-python", "license", "authors")
    assert [project[key] for key in same] == [CORE.project[key] for key in same]
    assert package.content["build-system"] == CORE.content["build-system"]
    assert set(project["classifiers"]) >= CLASSIFIERS
    assert [one for one in project["classifiers"] if "Python :: " in one and one not in CLASSIFIERS] == []
    assert set(project["keywords"]) >= {"energy", "brultech"}
    assert project["description"]
    assert project["name"] == package.folder.name


def test_every_python_file_states_its_licence() -> None:
    """Whoever takes a single file finds the licence in its first lines, as https://spdx.dev asks."""
    files = python_files()
    assert len(files) > 300
    assert [str(file) for file in files if SPDX not in file.read_text("utf-8").splitlines()[:2]] == []


@each_package
def test_every_archive_has_the_licence_and_the_types(package: Package) -> None:
    """A package has the licence as a file, since an sdist would keep a link, and says that it is typed."""
    licence = package.folder / "LICENSE"
    assert not licence.is_symlink()
    assert licence.read_text() == (ROOT / "LICENSE").read_text()
    assert (package.folder / "src" / package.module / "py.typed").exists()
    assert package.hatch["wheel"]["packages"] == [f"src/{package.module}"]


@each_package
def test_an_sdist_has_what_its_tests_share_with_others(package: Package) -> None:
    """An sdist takes the shared helpers, servers and settings of the tests, each to the place that it has here."""
    included = package.hatch["sdist"]["force-include"]
    assert set(included.values()) >= SHARED
    assert {source: (package.folder / source).resolve() for source in included} == {
        source: ROOT / target for source, target in included.items()
    }
    assert [source for source in included if not (package.folder / source).exists()] == []


@each_package
def test_every_entry_point_leads_to_a_plugin_or_a_command_of_the_package(package: Package) -> None:
    """An entry point is a name in lower case, and a class that `@plugin` has made one, or a `Command`."""
    assert package.plugins or package.commands
    for name, value in (package.plugins | package.commands).items():
        assert name == name.lower()
        assert value.split(".")[0].split(":")[0] == package.module
    assert {pkgutil.resolve_name(value).btcore_api for value in package.plugins.values()} <= {API}
    assert {pkgutil.resolve_name(value).api for value in package.commands.values()} <= {API}


def test_btcore_knows_every_plugin_of_the_workspace_and_no_other() -> None:
    """Each plugin is known to `btcore/discovery.py` with the distribution that has it: it is what btcore advises."""
    assert missing(pairs(OFFERED), pairs(DISTRIBUTIONS)) == []
    assert missing(pairs(DISTRIBUTIONS), pairs(OFFERED)) == []


def test_btcore_knows_every_command_that_does_not_come_with_it() -> None:
    """Each command of a package is known with the distribution that has it, unless it comes with btcore."""
    absent = {name: one.name for one in PLUGINS if one.name not in CORE.requirements for name in one.commands}
    assert absent == COMMANDS


def test_every_plugin_is_found_by_what_btmon_called_it() -> None:
    """Each plugin is known to `btcore/predecessor.py` by btmon's name of it, or nobody looks for it by another."""
    does = {plugin for plugins in predecessor.PLUGINS.values() for plugin in plugins}
    assert missing(OFFERED, does | BY_THEIR_OWN_NAME) == []
    assert missing(does | BY_THEIR_OWN_NAME, OFFERED) == []
    assert does & BY_THEIR_OWN_NAME == set()


@each_package
def test_the_readme_lists_every_package(package: Package) -> None:
    """The README's table of what there is has a row for each distribution."""
    assert f"\n| `{package.name}` | " in (ROOT / "README.md").read_text()


def test_the_workspace_s_lists_have_every_package() -> None:
    """The workspace's uv takes every package from this checkout, and mypy looks into every package's sources."""
    assert WORKSPACE["tool"]["uv"]["sources"] == {name: {"workspace": True} for name in PACKAGES}
    sources = [str(package.folder.relative_to(ROOT) / "src") for package in PACKAGES.values()]
    assert WORKSPACE["tool"]["mypy"]["mypy_path"] == [*sources, "docs", "tests"]


def test_the_lock_takes_everything_from_the_public_index() -> None:
    """No address in uv.lock is of a mirror that only one machine or company reaches."""
    for package in lock()["package"]:
        source = package["source"]
        assert "editable" in source or source == {"registry": "https://pypi.org/simple"}
        archives = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
        assert [one["url"] for one in archives if not one["url"].startswith("https://files.pythonhosted.org/")] == []


@each_package
def test_the_lock_is_of_the_dependencies_that_there_are(package: Package) -> None:
    """uv.lock was written after the package's dependencies had last changed; `uv lock` writes it."""
    (locked,) = (one for one in lock()["package"] if one["name"] == package.name)
    assert locked.get("version", package.project.get("version")) == package.project.get("version")
    known = specifiers(locked["metadata"].get("requires-dist", ()))
    assert known == {name: needed.specifier for name, needed in package.requirements.items()} | dict.fromkeys(
        package.own, SpecifierSet()
    )


def test_the_lock_is_of_the_tools_that_there_are() -> None:
    """uv.lock was written after the workspace's tools had last changed; `uv lock` writes it."""
    locked = lock()["manifest"]["dependency-groups"]
    groups = WORKSPACE["dependency-groups"]
    assert {name: specifiers(group) for name, group in locked.items()} == {
        name: {one.name: one.specifier for one in named(members(name)).values()} for name in groups
    }


def specifiers(locked: Iterable[Mapping[str, Any]]) -> dict[str, SpecifierSet]:
    """Return the versions that requirements of the lock allow; of packages of the workspace it tells none."""
    return {one["name"]: SpecifierSet(one.get("specifier", "")) for one in locked}


def members(group: str) -> list[str]:
    """Return the requirements of a group of tools, with those of the groups in it."""
    found: list[str] = []
    for one in WORKSPACE["dependency-groups"][group]:
        found += [one] if isinstance(one, str) else members(one["include-group"])
    return found


def missing(some: Iterable[str], of: Iterable[str]) -> list[str]:
    """Return what of some is not among others."""
    return sorted(set(some) - set(of))


def pairs(offered: Mapping[str, str]) -> list[str]:
    """Return plugins with the distributions that have them."""
    return [f"{plugin} of {distribution}" for plugin, distribution in offered.items()]
