# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the files are that tests read: at the same place in the workspace and in an unpacked sdist.

An sdist has `helpers/`, `servers/` and the recordings that its tests need in its own `tests/`: see its pyproject.toml.
"""

from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SERVERS = ROOT / "tests" / "servers"
GOLDEN = ROOT / "tests" / "golden"
