# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the files are that tests read: at the same place in the workspace and in an unpacked sdist.

An sdist has `helpers/`, `servers/` and the recordings that its tests need in its own `tests/`: see its pyproject.toml.
"""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SERVERS = ROOT / "tests" / "servers"
GOLDEN = ROOT / "tests" / "golden"


def python_files() -> list[Path]:
    """Return the project's own Python files, those that git knows; virtual environments lie in the same folder."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / line for line in listed.stdout.splitlines()]
