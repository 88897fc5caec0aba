# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore init`: writes a commented site.toml from the installed plugins, some of them switched on.

With `--interactive` it asks which, and with which settings; the questions are in `interview.py`.
"""

import argparse
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import attrs

from btcore.cli import INTERRUPTED, OK, USAGE, add_seconds, write_text
from btcore.cli.interview import Interview
from btcore.cli.new_file import write_new
from btcore.cli.plugins import PluginInfo, inspect_plugin
from btcore.cli.questions import confirm
from btcore.config.site import core_settings, default_state, site_settings
from btcore.discovery import Installed, PluginError, find, installed
from btcore.doctor.trial import TableText
from btcore.errors import ConfigurationError, Unavailable
from btcore.logs.handler import say
from btcore.runtime import state_directory
from btcore.settings import Kind
from btcore.values import template
from btcore.values.describe import Setting

ACTIVE: Mapping[Kind, tuple[str, ...]] = {"source": ("tcp-server",), "sink": ("sqlite",)}
"""The plugins that are switched on by default."""

ON_A_TERMINAL = ("print",)
"""The sinks that are also switched on at a terminal; a service has none."""

LISTEN = 10.0
"""Seconds for which sources are listened to; a meter sends every few seconds."""

BESIDE = "state"
"""The state directory where the usual one belongs to another configuration: beside the file."""

SYSTEM, STATE = Path("/etc"), "/var/lib/btcore"
"""Where the configuration of a service is, and the directory that the service can write to."""

INTRODUCTION = """\
# The configuration of btcore. After each change, run btcore check, then btcore run.
#
# A line that begins with # and a space is a comment. A line that begins with # alone is a setting or a table that is
# switched off; it shows the default or an example. Remove the # to switch it on.
#
# [source.NAME] defines where readings come from, [sink.NAME] where they go. NAME is the name of a plugin. To have
# several tables of one plugin, choose a NAME for each and set the plugin:
#
#   [sink.roof]
#   use = "pvoutput"
#
# Durations are "500ms", "30s", "5m", "1h", "7d". A path that does not begin with / or ~ is relative to this file.
# Any text, such as a key or a password, can be kept in an environment variable or in another file:
# api_key = { env = "NAME_OF_A_VARIABLE" } or api_key = { file = "/run/secrets/key" }
"""

HEADINGS: Mapping[Kind, str] = {
    "source": "Sources: where readings come from",
    "sink": "Sinks: where readings go",
    "decoder": "Decoders: which packets are understood; without a table, those of Brultech's meters",
}

METERS = """\
# ---- Meters: needed only if serial numbers do not identify the meters: two meters send the same serial number, a
# meter changes its own, or a meter is replaced. The log of btcore run then says what to write here:
#   serial     the serial number that every sink gets; default: the name in this table
#   sends      the serial numbers in the meter's packets
#   source     the source that receives it, panel of [source.panel]; address: its network address within that source
#   replaces   the serial numbers of the meters that it replaces
#   kind       ecm1220, ecm1240 or gem: packets of another kind are another meter's

#[meters]
#garage = { serial = "399998", sends = "000000" }
"""

CHANNELS = """\
# ---- Channels: names that every sink can use: SERIAL_CHANNEL = "name". The serial number of a GEM has eight digits,
# with leading zeros (01000777_ch1), that of an ECM six (399999_ch1). The log of btcore run lists the meters.

#[channels]
#399999_ch1 = "solar"

# ---- Tariff: what energy costs, for sinks that show money. docs/using.md has times of day, tiers and later rates.

#[tariff]
#currency = "EUR"
#price = 0.30                     # a kWh from the grid
#export_price = 0.08              # what a kWh to the grid earns
#standing_charge = 12.50          # a month
"""


STORES = "What {} stored can be read back, as a source too: btcore plugins NAME has the settings."
"""About plugins that are sinks in the first place."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "plugins", nargs="*", metavar="PLUGIN", help="switch on these plugins instead of the default ones"
    )
    parser.add_argument(
        "-o",
        "--output",
        default="site.toml",
        metavar="FILE",
        help="the file to write (default: site.toml; -: standard output)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")
    parser.add_argument("-i", "--interactive", action="store_true", help="ask what is connected, and where readings go")
    add_seconds(parser, LISTEN, "with --interactive: how long to listen for a meter")


def main(args: argparse.Namespace) -> int:
    """Write the file. Raises PluginError for a plugin that is not installed, Unavailable for a failed write."""
    if args.interactive and (args.plugins or args.output == "-"):
        args.usage("--interactive asks which plugins to use, and writes a file: leave out PLUGIN and --output -")
    if args.interactive:
        return _interview(args, Path(args.output))
    is_service = args.output != "-" and _is_service(Path(args.output))
    is_terminal = sys.stdout is not None and sys.stdout.isatty() and not is_service
    text = site_text(args.plugins, installed(), terminal=is_terminal, service=is_service)
    if args.output == "-":
        write_text([text], encoding="utf-8")  # TOML's, whatever the terminal's is
        return OK
    return _write(args, Path(args.output), text)


def _is_service(file: Path) -> bool:
    return SYSTEM in file.absolute().parents


def _interview(args: argparse.Namespace, file: Path) -> int:
    """Ask, and write the file once all is answered."""
    if file.exists() and not args.force:  # before the questions
        return _refuse(file)
    if not os.access(file.parent, os.W_OK | os.X_OK):
        why = "this user may not write into it" if file.parent.is_dir() else "there is no such directory"
        raise Unavailable(f"cannot write {file}: {file.parent.absolute()}: {why}")
    is_service = _is_service(file)
    try:
        interview = Interview(args.seconds, ACTIVE["source"] + ACTIVE["sink"], ON_A_TERMINAL if is_service else ())
        tables = interview.hold()
        top = {"state": BESIDE} if _has_other_state(file) else {}
        text = site_text((), installed(), service=is_service, chosen=tables, top=top)
        if not confirm(f"Write {file}?"):
            say("nothing was written")
            return OK
    except KeyboardInterrupt:
        say("\nnothing was written")
        return INTERRUPTED
    return _write(args, file, text, private=interview.has_secrets)


def _has_other_state(file: Path) -> bool:
    """Whether the usual state directory belongs to another configuration already."""
    try:
        state_directory.check(default_state(), file)
    except ConfigurationError:
        return True
    return False


def _write(args: argparse.Namespace, file: Path, text: str, *, private: bool = False) -> int:
    """Write the file: all of it, or nothing. Raises Unavailable."""
    try:
        write_new(file, text, overwrite=args.force, private=private)
    except FileExistsError:
        return _refuse(file)
    except OSError as error:
        raise Unavailable(f"cannot write {file}: {error.strerror}") from None
    say(f"wrote {file}. Next: btcore check {file}")
    return OK


def _refuse(file: Path) -> int:
    say(f"btcore init: {file} already exists; use --force to overwrite it")
    return USAGE


def site_text(
    wanted: Collection[str],
    among: Mapping[str, tuple[Installed, ...]],
    *,
    terminal: bool = False,
    service: bool = False,
    chosen: Sequence[TableText] = (),
    top: Mapping[str, object] = MappingProxyType({}),
) -> str:
    """Return a site.toml with a table for each of some plugins, the wanted ones switched on.

    If no plugin of a kind is wanted, the default ones of that kind are on; at a `terminal` also those that print there.
    For a `service`, files are in the directory that it can write to. Where tables are `chosen`, these are on, and no
    other; `top` are settings of the top level. Raises PluginError.
    """
    for name in wanted:
        find(name, among)
    plugins = [inspect_plugin(rivals) for rivals in among.values()]
    for one in plugins:
        if one.name in wanted and one.error:
            raise PluginError(one.error)
    sections = [INTRODUCTION, "\n".join(_top(top))]
    for kind, heading in HEADINGS.items():
        usual = (*ACTIVE.get(kind, ()), *(ON_A_TERMINAL if kind == "sink" and terminal else ()))
        on = [table for table in chosen if table.kind == kind]
        sections += ["\n".join(_heading(kind, heading)), *_chosen(on, plugins, service=service)]
        left = [one for one in plugins if one.name not in {table.plugin for table in on}]
        sections += _tables(kind, left, wanted, () if chosen else usual, service=service)
    return "\n".join([*sections, METERS, CHANNELS])


def _top(values: Mapping[str, object]) -> Iterator[str]:
    for entry in site_settings():
        yield from template.setting(entry, values)
    yield ""


def _heading(kind: Kind, heading: str) -> Iterator[str]:
    yield f"# ---- {heading}"
    core = core_settings(kind, object)
    if core:
        yield from ("#", f"# Further settings of every [{kind}.NAME]:", "#", *template.setting_comments(core))
    yield ""


def _tables(
    kind: Kind, plugins: list[PluginInfo], wanted: Collection[str], usual: Collection[str], *, service: bool
) -> Iterator[str]:
    mine = [one for one in plugins if kind in one.kinds]
    if kind == "source":
        stores = [one.name for one in mine if "sink" in one.kinds]
        mine = [one for one in mine if one.name not in stores]
        if stores:
            yield "\n".join(template.comment(STORES.format(" and ".join(stores)))) + "\n"
    on = [one.name for one in mine if one.name in wanted] or usual
    for one in sorted(mine, key=lambda one: one.name not in on):
        settings = map(_for_a_service, one.settings) if service else one.settings
        yield template.table(kind, one.name, settings, about=one.summary, active=one.name in on)


def _chosen(tables: Iterable[TableText], plugins: Sequence[PluginInfo], *, service: bool) -> Iterator[str]:
    """Write the tables that were chosen, each with all settings of its plugin."""
    for table in tables:
        plugin = next(one for one in plugins if one.name == table.plugin)
        paths = {entry.name for entry in plugin.settings if entry.annotation is Path} if service else set()
        values = {key: _below_state(value) if key in paths else value for key, value in table.settings.items()}
        use = {} if table.name == table.plugin else {"use": table.plugin}
        settings, about = plugin.settings, plugin.summary
        yield template.table(table.kind, table.name, settings, about=about, values={**use, **values})


def _below_state(value: object) -> object:
    return f"{STATE}/{value}" if isinstance(value, str) and not value.startswith(("/", "~")) else value


def _for_a_service(entry: Setting) -> Setting:
    """Move the file of an example to a directory that a service can write to: that of its configuration is not."""
    is_relative = entry.annotation is Path and entry.example and not entry.example.startswith(("/", "~", '"', "'"))
    return attrs.evolve(entry, example=f"{STATE}/{entry.example}") if is_relative else entry
