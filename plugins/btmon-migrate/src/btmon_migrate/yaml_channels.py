# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels as other programs name them in YAML: a number and a name, which become an entry of [channels]."""

from collections.abc import Iterator

from btmon_migrate.toml import Table, Toml
from btmon_migrate.yaml_file import Node


def named(node: Node, prefix: str, most: int) -> Iterator[tuple[str, str]]:
    """Yield the label of a channel and its name, if it has one. A number that no meter has becomes a doubt."""
    number, name = node.number("number", 0), node.text("name").strip()
    if not 1 <= number <= most:
        node.doubt(f"number: expected 1 to {most}; it is left out")
    elif name:
        yield f"{prefix}{number}", name


def set_once(node: Node, channels: Table, channel: str, value: Toml) -> None:
    """Set the entry of a channel. Of two with one number the first counts, and the other becomes a doubt."""
    if channel in channels.settings:
        node.doubt(f"number: {channel} has a name already; this one is left out")
    else:
        channels.set(channel, value)
