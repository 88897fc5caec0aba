# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sinks are hosted services on the Internet, and the warning about readings that are not live.

The plugins' attribute `hosted` is checked here. Which readings a sink gets belongs to `sinks/backlog.py`.
"""

from collections.abc import Mapping

from btcore.discovery import Installed, PluginError
from btcore.errors import is_interrupt
from btcore.formats import describe_type
from btcore.text import describe_error


def is_hosted(plugin: Installed, instance: object) -> bool:
    """Return the attribute `hosted` of a sink's instance: whether it delivers to a hosted service.

    Raises PluginError if the plugin fails when asked, or if the value is neither True nor False.
    """
    if not hasattr(type(instance), "hosted") and "hosted" not in getattr(instance, "__dict__", ()):
        return False
    mistake = "this is a mistake in the plugin"
    try:
        # without a default, which would hide an AttributeError inside a property
        hosted: object = instance.hosted  # type: ignore[attr-defined]
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise PluginError(
            f"the {plugin} failed when asked whether it is `hosted` ({describe_error(error)}); {mistake}"
        ) from None
    if not isinstance(hosted, bool):
        raise PluginError(
            f"the {plugin} returned {describe_type(hosted)} for `hosted`, expected True or False; {mistake}"
        )
    return hosted


def origin_notice(origins: Mapping[str, str], only_live: Mapping[str, bool]) -> str:
    """Return which readings are not live, and which hosted services get them; "" if there are none of either.

    `origins` has the origin of each source by its table, `only_live` that setting of each hosted service.
    """
    by_origin: dict[str, list[str]] = {}
    for table, origin in origins.items():
        if origin:
            by_origin.setdefault(origin, []).append(table)
    if not by_origin or not only_live:
        return ""
    what = ", ".join(f"the readings of {_join_tables(tables)} are {origin}" for origin, tables in by_origin.items())
    without = [table for table, only in only_live.items() if only]
    others = [table for table, only in only_live.items() if not only]
    parts = []
    if without:
        services, a_table = ("a hosted service", "its table") if len(without) == 1 else ("hosted services", "a table")
        parts.append(
            f"they do not go to {_join_tables(without)}, {services} (only_live = false in {a_table} sends them)"
        )
    if others:
        parts.append(f"they go to {_join_tables(others)}, as only_live = false says")
    return f"{what}: {'; '.join(parts)}"


def _join_tables(tables: list[str]) -> str:
    named = [f"[{table}]" for table in tables]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
