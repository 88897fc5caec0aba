# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore plugins`: lists the installed plugins, or the settings of one; with `--check`, what is wrong with each.

A plugin that cannot be loaded is listed with the reason. `--json` writes a list of `{"name", "kinds", "distribution",
"version", "summary", "error"}`; `error` is null unless the plugin is broken. With a NAME the list has only that plugin,
and also `"settings"` and `"core_settings"` (by kind: what the core adds to its tables): lists of `{"name", "type",
"default", "required", "help", "choices"}`. With `--check` it is a list of `{"name", "distribution", "version",
"faults"}`, and the exit code is 69 if there is any fault.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence

from btcore.classes import frozen
from btcore.cli import OK, UNAVAILABLE, write_lines
from btcore.cli.looking import look
from btcore.config.site import core_settings
from btcore.discovery import Installed, PluginError, find, installed, kinds_of
from btcore.settings import Kind
from btcore.text import plain
from btcore.values import template
from btcore.values.declarations import faults_of, name_faults
from btcore.values.describe import Setting, first_line, settings_of, toml_text


@frozen
class PluginInfo:
    """What is known about one installed plugin; `error` is the reason if it cannot be loaded."""

    name: str
    distribution: str
    version: str
    kinds: tuple[Kind, ...] = ()
    summary: str = ""
    error: str | None = None
    settings: tuple[Setting, ...] = ()
    core: tuple[tuple[Kind, tuple[Setting, ...]], ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the entry of the plugin in the list."""
        names = ("name", "kinds", "distribution", "version", "summary", "error")
        return {name: getattr(self, name) for name in names}

    def as_json_with_settings(self) -> dict[str, object]:
        """Return the entry with all settings, for a plugin that was named."""
        return {
            **self.as_json(),
            "settings": [entry.as_json() for entry in self.settings],
            "core_settings": {kind: [entry.as_json() for entry in settings] for kind, settings in self.core},
        }


Checked = tuple[str, Installed, list[str]]
"""A name, the plugin that has it, and what is wrong with that."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="show the settings of this plugin")
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.add_argument("--check", action="store_true", help="load each plugin, and say what is wrong with it")


def main(args: argparse.Namespace) -> int:
    """List the plugins, or show the settings of one. Raises PluginError if no plugin has that name."""
    if args.check:
        return _check(args)
    if args.name is None:
        plugins = [inspect_plugin(rivals) for rivals in installed().values()]
        lines = [json.dumps([one.as_json() for one in plugins], indent=2)] if args.json else _rows(plugins)
        write_lines(lines)
        return OK
    one = inspect_plugin([find(args.name, installed())])
    lines = [json.dumps([one.as_json_with_settings()], indent=2)] if args.json else _details(one)
    write_lines(lines)
    return UNAVAILABLE if one.error else OK


def _check(args: argparse.Namespace) -> int:
    known = installed()
    if args.name is not None and args.name not in known:
        find(args.name, known)
    asked = [(name, rivals) for name, rivals in known.items() if args.name in (None, name)]
    checked = [(name, rivals[0], check_plugin(rivals)) for name, rivals in asked]
    write_lines([_checked_json(checked)] if args.json else _checked_lines(checked))
    return UNAVAILABLE if any(faults for _, _, faults in checked) else OK


def _checked_json(checked: Iterable[Checked]) -> str:
    facts = [
        {"name": name, "distribution": plugin.distribution, "version": plugin.version, "faults": faults}
        for name, plugin, faults in checked
    ]
    return json.dumps(facts, indent=2)


def check_plugin(rivals: Sequence[Installed]) -> list[str]:
    """Return what is wrong with the plugin of a name; `rivals` are all that claim it."""
    try:
        plugin = find(rivals[0].name, {rivals[0].name: tuple(rivals)})
    except PluginError as error:
        return [str(error)]
    seen = look(lambda: list(faults_of(plugin, core_settings)))
    return [*name_faults(plugin.name), *seen.faults, *(fault for faults in seen.found for fault in faults)]


def _checked_lines(checked: Iterable[Checked]) -> Iterator[str]:
    for name, _, faults in checked:
        if not faults:
            yield f"{plain(name)}: ok"
        yield from (plain(f"{name}: {fault}") for fault in faults)


def inspect_plugin(rivals: Iterable[Installed]) -> PluginInfo:
    """Load the plugin of a name; return what it is, or why it cannot be used."""
    plugin, *others = rivals
    seen = look(lambda: _inspect(plugin, others))
    return (
        seen.found[0]
        if seen.found
        else PluginInfo(plugin.name, plugin.distribution, plugin.version, error=seen.faults[0])
    )


def _inspect(plugin: Installed, others: Iterable[Installed]) -> PluginInfo:
    facts = (plugin.name, plugin.distribution, plugin.version)
    try:
        cls = find(plugin.name, {plugin.name: (plugin, *others)}).load()
        settings = settings_of(cls)
    except PluginError as error:
        return PluginInfo(*facts, error=str(error))
    except Exception as error:  # noqa: BLE001 - a stranger's annotations and default factories
        return PluginInfo(*facts, error=f"cannot read its settings ({type(error).__name__}: {error})")
    kinds = kinds_of(cls)
    core = tuple((kind, core_settings(kind, cls)) for kind in kinds)
    return PluginInfo(*facts, kinds, first_line(cls), None, settings, core)


def _rows(plugins: Iterable[PluginInfo]) -> Iterator[str]:
    rows = [(one.name, " ".join(one.kinds), f"{one.distribution} {one.version}", _about(one)) for one in plugins]
    return _columns([("NAME", "KIND", "FROM", "WHAT IT DOES"), *rows])


def _about(one: PluginInfo) -> str:
    return f"broken: {one.error}" if one.error else one.summary


def _columns(rows: list[tuple[str, ...]]) -> Iterator[str]:
    rows = [tuple(map(plain, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _details(one: PluginInfo) -> Iterator[str]:
    yield f"{one.name}: {_about(one)}"
    yield f"{' and '.join(one.kinds) or 'plugin'} of {one.distribution} {one.version}"
    if one.settings:
        yield from ("", *_settings(one.settings))
    for kind, core in one.core:
        if core:
            yield from ("", f"Further settings of every {kind}:", "", *_settings(core))
    for kind in one.kinds:
        yield from ("", f"Example for site.toml, as a {kind}:", "")
        yield template.table(kind, one.name, one.settings).rstrip()


def _settings(settings: Iterable[Setting]) -> Iterator[str]:
    return _columns([("SETTING", "TYPE", "DEFAULT", "WHAT IT IS"), *map(_setting_row, settings)])


def _setting_row(entry: Setting) -> tuple[str, ...]:
    default = "(required)" if entry.required else "" if entry.plain_default is None else toml_text(entry.plain_default)
    choices = f" ({entry.type_and_choices})" if entry.choices else ""
    return entry.name, entry.type, default, entry.help + choices
