# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference pages, written from the code: every setting, every command, every plugin. Nothing in them is by hand.

They are written when the manual is built, and are not kept: so they cannot be of another version than the program.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import get_args

from btcore.channel_descriptions import ChannelDescription
from btcore.cli import COMMANDS
from btcore.cli.arguments import make_parser
from btcore.cli.extensions import extensions
from btcore.cli.plugins import PluginInfo, inspect_plugin
from btcore.config.meters import MeterTable
from btcore.config.metrics import MetricsSettings
from btcore.config.site import JournalSettings, core_settings, site_settings
from btcore.discovery import installed
from btcore.settings import Kind
from btcore.values.describe import Setting, settings_of, toml_text

CONFIGURATION, COMMAND_LINE, OVERVIEW = "reference/configuration.md", "reference/commands.md", "plugins/index.md"

WRITTEN = "This page is written from the program itself."

TABLES: Mapping[str, tuple[str, type]] = {
    "[meters]": ("A table for each meter that needs one: `house = { serial = … }`.", MeterTable),
    "[channels]": ("A name, or a table of these settings, for each channel: `01000777_ch1 = …`.", ChannelDescription),
    "[journal]": ("Where readings are kept. `journal = …` at the top is short for `use` alone.", JournalSettings),
    "[metrics]": ("A port for Prometheus, and for a health check.", MetricsSettings),
}
"""Tables of the core, and the classes that have their settings."""

HEADINGS: Mapping[Kind, str] = {"source": "Sources", "sink": "Sinks", "decoder": "Decoders"}


@cache
def written() -> dict[str, str]:
    """Return the text of each page that is written from the code, by its place in the manual."""
    return {CONFIGURATION: configuration(), COMMAND_LINE: commands(), OVERVIEW: overview()}


# --- settings


def configuration() -> str:
    """Return the page of all settings: of the site, of every source and sink, and of each plugin."""
    return "\n".join([*_of_the_core(), *_of_the_plugins()]) + "\n"


def _of_the_core() -> Iterator[str]:
    yield from (
        "# All settings",
        "",
        WRITTEN,
        "[Using btcore](../using.md) explains the settings and when to use them.",
    )
    yield from ("", "## The top of the file", "", "Before the first table.", "", *_rows(site_settings()))
    for heading, (text, cls) in TABLES.items():
        yield from ("", f"## `{heading}`", "", text, "", *_rows(settings_of(cls)))
    for kind in get_args(Kind):
        if core := core_settings(kind, object):
            yield from ("", f"## Every `[{kind}.NAME]`", "")
            yield from (f"Each {kind} may have these beside those of its plugin.", "", *_rows(core))


def _of_the_plugins() -> Iterator[str]:
    for kind, heading in HEADINGS.items():
        yield from ("", f"## {heading}")
        for one in of_kind(kind):
            yield from ("", f"### {kind} `{one.name}`", "", f"{_sentence(one)} {_from(one, '../plugins/')}", "")
            yield from _rows(one.settings) if one.settings else ("It has no settings of its own.",)
            if own := _other_defaults(one, kind):
                yield from ("", f"Its own defaults, of what every {kind} has: {own}.")


def _other_defaults(one: PluginInfo, kind: Kind) -> str:
    """Return the settings of the core for which a plugin has another default."""
    usual = {entry.name: entry.plain_default for entry in core_settings(kind, object)}
    mine = dict(one.core).get(kind, ())
    changed = [entry for entry in mine if entry.plain_default != usual.get(entry.name)]
    return ", ".join(f"`{entry.name} = {toml_text(entry.plain_default)}`" for entry in changed)


def of_kind(kind: Kind) -> list[PluginInfo]:
    """Return the installed plugins of a kind, by name. A broken one is an error: then the page would lack it."""
    found = [inspect_plugin(rivals) for rivals in installed().values()]
    if broken := [one.error for one in found if one.error]:
        raise ValueError("; ".join(broken))
    return [one for one in found if kind in one.kinds]


def _rows(settings: Iterable[Setting]) -> Iterator[str]:
    yield from ("| setting | what it is |", "|---|---|")
    for entry in settings:
        facts = f"*{cell(entry.type_and_choices)}; {_default(entry)}*"
        yield f"| `{entry.name.rstrip('_')}` | {cell(entry.help)}<br>{facts} |"


def _default(entry: Setting) -> str:
    """Return what holds where a setting is left out."""
    if entry.required:
        return "required"
    if isinstance(entry.default, Path) and entry.default.is_relative_to(Path.home()):  # not that of whoever builds this
        return f"default `~/{entry.default.relative_to(Path.home())}`"
    is_something = entry.plain_default or isinstance(entry.plain_default, int | float)
    return f"default `{cell_code(toml_text(entry.plain_default))}`" if is_something else "may be left out"


def cell(text: str) -> str:
    """Return a text as a cell of a table: what would be markup is shown."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


# --- plugins


def overview() -> str:
    """Return the page of all plugins: what each does, and its page."""
    lines = ["# What there is", "", WRITTEN, "Each plugin has a page: how it is set up, and what to do when it fails."]
    for kind, heading in HEADINGS.items():
        lines += ["", f"## {heading}", "", "| plugin | what it does | package |", "|---|---|---|"]
        lines += [f"| `{one.name}` | {cell(one.summary)} | {_package(one, '')} |" for one in of_kind(kind)]
    return "\n".join(lines) + "\n"


def _sentence(one: PluginInfo) -> str:
    return cell(one.summary)


def _from(one: PluginInfo, folder: str) -> str:
    return f"(Package {_package(one, folder)}.)"


def _package(one: PluginInfo, folder: str) -> str:
    """Return a link to the page of a plugin's package; the core has none."""
    return "`btcore`" if one.distribution == "btcore" else f"[{one.distribution}]({folder}{one.distribution}.md)"


# --- commands


@cache
def commands() -> str:
    """Return the page of the command line: each command with all of its options."""
    lines = ["# The command line", "", WRITTEN, "`btcore COMMAND --help` shows the same. Exit codes: [Using"]
    lines[-1] += " btcore](../using.md#running-it)."
    for name in command_names():
        for words, parser in _with_inner(name, command_parser(name)):
            lines += _command(words, parser)
    return "\n".join(lines) + "\n"


def command_names() -> list[str]:
    """Return the commands: those of the core, then those that other packages add."""
    return [*COMMANDS, *(name for name in extensions() if name not in COMMANDS)]


def command_parser(name: str) -> argparse.ArgumentParser:
    """Return what reads the arguments of a command."""
    return _inner(make_parser([name], COMMANDS))[name]


def _inner(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the commands within a command, by name."""
    groups = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]  # noqa: SLF001
    return {name: inner for group in groups for name, inner in group.choices.items()}


def _with_inner(words: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield words, parser
    for name, inner in _inner(parser).items():
        yield from _with_inner(f"{words} {name}", inner)


def _command(words: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield from ("", f"{'##' if ' ' not in words else '###'} {words}", "", parser.description or "", "")
    yield from ("```text", _usage(parser), "```", "")
    shown = [one for one in parser._actions if one.help != argparse.SUPPRESS and "--help" not in one.option_strings]  # noqa: SLF001
    rows = [one for one in shown if not isinstance(one, argparse._SubParsersAction)]  # noqa: SLF001
    if rows:
        yield from ("| argument | what it is |", "|---|---|", *map(_argument, rows))


def _usage(parser: argparse.ArgumentParser) -> str:
    """Return how a command is written; its further lines begin where they would without `usage: `."""
    first = "usage: "
    return parser.format_usage().rstrip().removeprefix(first).replace("\n" + " " * len(first), "\n")


def _argument(action: argparse.Action) -> str:
    value = action.metavar if isinstance(action.metavar, str) else (action.dest or "").upper()
    if action.choices is not None and not action.metavar:
        value = f"{{{','.join(map(str, action.choices))}}}"
    takes = action.nargs != 0 and value
    names = [f"{name} {value}" if takes else name for name in action.option_strings] or [value]
    text = (action.help or "") % {"default": action.default, "prog": ""} if "%" in (action.help or "") else action.help
    return f"| {'<br>'.join(f'`{cell_code(name)}`' for name in names)} | {cell(text or '')} |"


def cell_code(text: str) -> str:
    """Return a text as code in a cell."""
    return text.replace("|", "\\|")
