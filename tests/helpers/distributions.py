# SPDX-License-Identifier: GPL-3.0-or-later
"""Distributions of plugins, put into a directory as an installer would: a module, and its metadata beside it."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4


def install_distribution(
    directory: Path,
    name: str,
    source: str,
    plugins: Mapping[str, str],
    *,
    version: str = "1.0",
    metadata: str = "",
    group: str = "btcore.plugins",
) -> str:
    """Write a distribution and return the name of its module; `plugins` maps plugin names to names in the module."""
    module = f"stranger_{uuid4().hex}"
    (directory / f"{module}.py").write_text(textwrap.dedent(source))
    info = directory / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(metadata or f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{plugin} = {module}:{made}\n" for plugin, made in plugins.items()]
    (info / "entry_points.txt").write_text(f"[{group}]\n" + "".join(lines))
    return module
