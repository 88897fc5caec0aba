# SPDX-License-Identifier: GPL-3.0-or-later
"""The same works with an earlier commit: its packages in an environment of their own, measured by what is here."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PEER = "siobrultech-protocols"
PLUGINS = ("btmon-ip", "btmon-migrate", "btmon-print", "btmon-serial", "btmon-simulator", "btmon-sqlite")


def measure(revision: str, rounds: int, entries: int) -> list[dict[str, Any]]:
    """Return the rows of a commit. Raises CalledProcessError where there is none, or it cannot be installed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree, environment, file = folder / "tree", folder / "environment", folder / "rows.json"
        _run("git", "-C", str(ROOT), "worktree", "add", "--quiet", "--detach", str(tree), revision)
        try:
            _run(sys.executable, "-m", "venv", str(environment))
            python = str(environment / "bin" / "python")
            packages = [str(tree / "btcore"), *(str(tree / "plugins" / one) for one in PLUGINS)]
            _run(python, "-m", "pip", "install", "--quiet", PEER, *packages)
            options = ["--json", str(file), "--rounds", str(rounds), "--entries", str(entries)]
            _run(python, str(ROOT / "tests" / "bench" / "run.py"), *options)
        finally:
            _run("git", "-C", str(ROOT), "worktree", "remove", "--force", str(tree))
        found: list[dict[str, Any]] = json.loads(file.read_text())
        return found


def _run(*command: str) -> None:
    """Run a command. Raises CalledProcessError."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""})
