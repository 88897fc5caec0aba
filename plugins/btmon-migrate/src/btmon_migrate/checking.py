# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks a site that was made, as `btcore check` does, and switches off the tables in which there is a mistake."""

import tempfile
from collections.abc import Collection
from importlib.metadata import entry_points
from pathlib import Path

from btcore import BtcoreError, ConfigurationError, LoadConfiguration, Problem
from btmon_migrate.given import Doubts
from btmon_migrate.site import Site

DISTRIBUTIONS = {name: f"btmon-{name}" for name in ("influxdb", "mqtt", "mysql", "pvoutput", "rrd")}
BESIDE = "state"
SWITCHED_OFF = "Switched off, as btcore check finds a mistake in it: correct it, then remove the # of each line."


def check_site(site: Site, load: LoadConfiguration, doubts: Doubts) -> None:
    """Have a site pass `btcore check`. A mistake becomes a doubt, and its table comments; a missing plugin is named."""
    there = {entry.name for entry in entry_points(group="btcore.plugins")}
    absent = {name for name in site.plugins() if name not in there}
    if absent:
        names = " ".join(sorted({distribution(name) for name in absent}))
        doubts.add("", f"first, pip install {names}; then btcore check")
    unknown = {table.header for table in site.tables if table.plugin in absent}
    while any([_switch_off(site, one, doubts) for one in _problems(site, load, unknown)]):  # noqa: C419 - all of them
        site.complete(doubts)


def distribution(plugin: str) -> str:
    """Return what has a plugin that does not come with btcore."""
    return DISTRIBUTIONS.get(plugin, "btmon-services")


def _problems(site: Site, load: LoadConfiguration, unknown: Collection[str]) -> tuple[Problem, ...]:
    """Return the mistakes of a site, but for tables whose plugin is missing.

    Whoever asks the program of a site is told where its state directory belongs to another one.
    """
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "site.toml"
        file.write_text(site.text(), encoding="utf-8")
        try:
            load(file).ask("status")
        except ConfigurationError as error:
            return tuple(problem for problem in error.problems if problem.table not in unknown)
        except BtcoreError:  # as usual, none runs
            pass
    return ()


def _switch_off(site: Site, problem: Problem, doubts: Doubts) -> bool:
    """Report a problem; return whether its table was switched off, or it was mended."""
    if (problem.table, problem.key) == ("", "state") and "state" not in site.tables[0].settings:
        site.tables[0].set("state", BESIDE, "beside this file, as the usual directory belongs to another site")
        return True
    where = f"[{problem.table}] {problem.key}".strip() if problem.table else "site.toml"
    doubts.add("", f"{where}: {problem.message}")
    wrong = [table for table in site.tables if table.is_active and table.header and table.header == problem.table]
    for table in wrong:
        table.switch_off(SWITCHED_OFF)
    return bool(wrong)
