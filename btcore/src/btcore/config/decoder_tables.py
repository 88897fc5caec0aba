# SPDX-License-Identifier: GPL-3.0-or-later
"""The decoders of a site: those of its file, the built-in one of Brultech's meters, and those that its sources name.

A source whose meters send a format of their own names the decoder in a class attribute, `decoders = ("ascii",)`: then
its own table is enough.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from btcore.discovery import needed_decoders

BRULTECH = "brultech"
"""The built-in decoder."""


def decoder_tables(written: Mapping[str, Any], sources: Iterable[type]) -> dict[str, Any]:
    """Return all tables of decoders by their names: an empty one for each decoder that the file has no table of.

    `written` are those of the file, `sources` the plugin classes of its sources.
    """
    used = {used_plugin(name, table) for name, table in written.items()}
    first: dict[str, Any] = {} if BRULTECH in used else {BRULTECH: {}}
    needed = dict.fromkeys(name for cls in sources for name in needed_decoders(cls))
    return {**first, **written, **{name: {} for name in needed if name not in used | set(written)}}


def used_plugin(name: str, table: object) -> object:
    """Return the name of a table's plugin."""
    return table.get("use", name) if isinstance(table, dict) else None
