# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages of the workspace, as their pyproject.toml files state them. A package is found by its folder."""

import tomllib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import attrs
from helpers.folders import ROOT
from packaging.requirements import Requirement

from btcore.cli.extensions import GROUP as COMMANDS
from btcore.discovery import GROUP

FOLDERS = [ROOT / "btcore", *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]


@attrs.frozen
class Package:
    """One folder of the workspace that becomes a distribution."""

    folder: Path
    content: dict[str, Any] = attrs.field(repr=False)

    @property
    def project(self) -> dict[str, Any]:
        """What it states of itself."""
        project: dict[str, Any] = self.content["project"]
        return project

    @property
    def name(self) -> str:
        """The name of the distribution."""
        return str(self.project["name"])

    @property
    def module(self) -> str:
        """The name that it is imported by."""
        return self.name.replace("-", "_")

    @property
    def plugins(self) -> dict[str, str]:
        """Its plugins, and where each of them is."""
        plugins: dict[str, str] = self.project["entry-points"].get(GROUP, {})
        return plugins

    @property
    def commands(self) -> dict[str, str]:
        """The commands that it adds, and where each of them is."""
        commands: dict[str, str] = self.project["entry-points"].get(COMMANDS, {})
        return commands

    @property
    def hatch(self) -> dict[str, Any]:
        """How its archives are built."""
        targets: dict[str, Any] = self.content["tool"]["hatch"]["build"]["targets"]
        return targets

    @property
    def requirements(self) -> dict[str, Requirement]:
        """What it depends on, by name; extras included."""
        return named(chain(self.project["dependencies"], *self.project.get("optional-dependencies", {}).values()))

    @property
    def own(self) -> dict[str, Requirement]:
        """What it depends on of the workspace."""
        return {name: needed for name, needed in self.requirements.items() if name in PACKAGES}


def named(requirements: Iterable[str]) -> dict[str, Requirement]:
    """Return requirements by name."""
    return {needed.name: needed for needed in map(Requirement, requirements)}


PACKAGES = {
    package.name: package
    for package in (Package(folder, tomllib.loads((folder / "pyproject.toml").read_text())) for folder in FOLDERS)
}
CORE = PACKAGES["btcore"]
PLUGINS = [package for package in PACKAGES.values() if package is not CORE]
OFFERED = {plugin: package.name for package in PACKAGES.values() for plugin in package.plugins}
"""Each plugin of the workspace, and the distribution that has it."""
