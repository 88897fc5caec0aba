# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation tells to type and to write is what there is."""

import configparser
import re
import shlex
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import get_args

import attrs
import pytest
import tomli
from manual.reference import written

from btcore import Duration, cli
from btcore.cli import CONFIGURATION, UNAVAILABLE, USAGE
from btcore.cli.arguments import make_parser
from btcore.cli.service import packaged_file
from btcore.config.meters import MeterTable
from btcore.config.metrics import MetricsSettings
from btcore.config.problems import SINGLE_TABLES
from btcore.config.site import JournalSettings, core_settings, site_settings
from btcore.discovery import find, installed
from btcore.settings import Kind
from btcore.values.describe import Setting, settings_of
from btmon_migrate.options import OPTIONS

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "btcore" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(ROOT.glob("plugins/*/README.md")),
]
FROM_BTMON = ROOT / "docs" / "from-btmon.md"
"""The page that has btmon's settings beside btcore's."""
USING = (ROOT / "docs" / "using.md").read_text()
MADE_ON_THE_PAGE = {"webhook", "acme", "board", "logger", "inverter"}
"""Plugins that a page writes, and that are not installed."""
NO_SETTINGS = {"use", "acme", "origin", "synchronous"}
"""What is written so in a sentence: the key of every table, an entry point, an attribute, a pragma of SQLite."""
COMMAND = re.compile(r"(?:^ {4}|`)(?:sudo )?(?:-u \w+ )?(?:/opt/btcore/bin/)?btcore (\w[^`\n]*)", re.MULTILINE)
COMMANDS = [
    (page.relative_to(ROOT), found[1].partition("  #")[0].partition(" | ")[0].strip())
    for page in PAGES
    for found in COMMAND.finditer(page.read_text())
    if found[0].startswith(" ") or " " in found[1]  # in a sentence, a command may be named alone
]


def names(settings: Iterable[Setting]) -> set[str]:
    """Return the keys of some settings."""
    return {entry.name for entry in settings}


def settings_of_tables(kind: Kind, plugin: str) -> set[str]:
    """Return the keys that a table of a kind may have with a plugin."""
    cls = find(plugin, installed()).load()
    return {"use"} | names(settings_of(cls)) | names(core_settings(kind, cls))


@cache
def known_settings() -> set[str]:
    """Return the keys that any table of what is installed may have, and those of the top level."""
    plugins = [one.load() for rivals in installed().values() for one in rivals]
    own = {key for cls in plugins for key in names(within(cls))}
    core = {key for kind in get_args(Kind) for key in names(core_settings(kind, object))}
    return own | core | names(site_settings()) | names(settings_of(MeterTable)) | names(settings_of(JournalSettings))


def within(cls: type) -> list[Setting]:
    """Return the settings of a class."""
    return list(settings_of(cls)) if attrs.has(cls) else []


@cache
def durations() -> list[str]:
    """Return the settings whose number needs a unit."""
    plugins = [one.load() for rivals in installed().values() for one in rivals]
    of_plugins = [entry for cls in plugins for entry in within(cls)]
    entries = [*of_plugins, *core_settings("sink", object), *core_settings("source", object)]
    return sorted({entry.name for entry in entries if entry.annotation is Duration})


@pytest.mark.parametrize(("page", "words"), sorted(set(COMMANDS)), ids=str)
def test_every_command_of_the_pages_is_one(page: Path, words: str) -> None:
    """Each `btcore ...` of the documentation is understood by the command line."""
    given = shlex.split(words)
    assert make_parser(given, cli.COMMANDS).parse_args(given).command == given[0]


def test_there_are_commands_to_look_at() -> None:
    """The pages that tell how to begin have some."""
    assert {str(page) for page, _ in COMMANDS} >= {"README.md", "docs/using.md", "docs/service.md", "docs/meters.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_toml_of_the_pages_is_toml(page: Path) -> None:
    """What is to be written into a site.toml can be read, and a number that is a duration has its unit."""
    for text in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL):
        tomli.loads(text)
        assert not re.search(rf"^#? ?({'|'.join(durations())}) = [1-9]", text, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_table_of_the_pages_has_settings_that_there_are(page: Path) -> None:
    """Each key of a site.toml on a page is a setting of the plugin that its table is for, or of every such table."""
    for text in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL):
        site = tomli.loads(text)
        if not site.keys() & {"build-system", "project"}:  # a pyproject.toml
            assert site.keys() - {*get_args(Kind), *SINGLE_TABLES} - {one.name for one in site_settings()} == set()
            for kind in get_args(Kind):
                for name, table in site.get(kind, {}).items():
                    use = table.get("use", name)
                    assert use in MADE_ON_THE_PAGE or table.keys() - settings_of_tables(kind, use) == set()
            if isinstance(site.get("journal"), dict):
                assert site["journal"].keys() <= names(settings_of(JournalSettings))
            assert site.get("metrics", {}).keys() <= names(settings_of(MetricsSettings))
            assert {key for meter in site.get("meters", {}).values() for key in meter} <= names(settings_of(MeterTable))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_in_a_sentence_is_one(page: Path) -> None:
    """What a sentence tells to write, `interval = "5m"`, is a setting of some table."""
    written = set(re.findall(r"`(\w+) = [^`]*`", page.read_text()))
    btmon = OPTIONS.keys() if page == FROM_BTMON else set()
    assert written - known_settings() - NO_SETTINGS - btmon == set()


@pytest.mark.parametrize("kind", ["source", "sink"])
def test_every_setting_of_the_core_has_a_row(kind: Kind) -> None:
    """The tables of docs/using.md have what every source's and every sink's table may have, and nothing else."""
    (rows,) = re.findall(rf"^### What every {kind}'s table may have\n(.*?)(?=^#)", USING, re.MULTILINE | re.DOTALL)
    keys = {key for row in re.findall(r"^\| (`[^|]*) \|", rows, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)}
    assert keys == names(core_settings(kind, object))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_the_pages_leads_somewhere(page: Path) -> None:
    """A link to a file of the tree is to one that there is, or to a page that the manual writes from the code."""
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    from_code = {str(ROOT / "docs" / name) for name in written()}
    there = [link for link in links if "://" in link or (page.parent / link).exists()]
    assert [link for link in links if link not in there and str(page.parent / link) not in from_code] == []


def test_the_unit_runs_what_there_is() -> None:
    """Its command is understood; it is not started again where that would not help, and is where it would."""
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(packaged_file("btcore.service"))
    service = unit["Service"]
    for key in ("ExecStart", "ExecReload"):
        program, *words = service[key].split()
        assert program == "/opt/btcore/bin/btcore"
        assert str(make_parser(words, cli.COMMANDS).parse_args(words).file) == "/etc/btcore/site.toml"
    codes = set(map(int, service["RestartPreventExitStatus"].split()))
    assert (codes, UNAVAILABLE in codes) == ({USAGE, CONFIGURATION}, False)
    assert (service["Restart"], service["StateDirectory"]) == ("on-failure", "btcore")
