# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore init`: writes a commented site.toml from the installed plugins, some of them switched on."""

import argparse
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import attrs

from btcore.cli import OK, USAGE, write_text
from btcore.cli.plugins import PluginInfo, inspect_plugin
from btcore.config.site import core_settings, site_settings
from btcore.discovery import Installed, PluginError, find, installed
from btcore.errors import Unavailable
from btcore.logs.handler import say
from btcore.settings import Kind
from btcore.values import template
from btcore.values.describe import Setting

ACTIVE: Mapping[Kind, tuple[str, ...]] = {"source": ("tcp-server",), "sink": ("sqlite",)}
"""The plugins that are switched on by default."""

ON_A_TERMINAL = ("print",)
"""The sinks that are also switched on at a terminal; a service has none."""

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
        "--output",
        default="site.toml",
        metavar="FILE",
        help="the file to write (default: site.toml; -: standard output)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")


def main(args: argparse.Namespace) -> int:
    """Write the file. Raises PluginError for a plugin that is not installed, Unavailable for a failed write."""
    is_service = args.output != "-" and SYSTEM in Path(args.output).absolute().parents
    is_terminal = sys.stdout is not None and sys.stdout.isatty() and not is_service
    text = site_text(args.plugins, installed(), terminal=is_terminal, service=is_service)
    if args.output == "-":
        write_text([text], encoding="utf-8")  # TOML's, whatever the terminal's is
        return OK
    try:
        with Path(args.output).open("w" if args.force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        say(f"btcore init: {args.output} already exists; use --force to overwrite it")
        return USAGE
    except OSError as error:
        raise Unavailable(f"cannot write {args.output}: {error.strerror}") from None
    say(f"wrote {args.output}. Next: btcore check {args.output}")
    return OK


def site_text(
    wanted: Collection[str],
    among: Mapping[str, tuple[Installed, ...]],
    *,
    terminal: bool = False,
    service: bool = False,
) -> str:
    """Return a site.toml with a table for each of some plugins, the wanted ones switched on.

    If no plugin of a kind is wanted, the default ones of that kind are on; at a `terminal` also those that print there.
    For a `service`, files are in the directory that it can write to. Raises PluginError.
    """
    for name in wanted:
        find(name, among)
    plugins = [inspect_plugin(rivals) for rivals in among.values()]
    for one in plugins:
        if one.name in wanted and one.error:
            raise PluginError(one.error)
    sections = [INTRODUCTION, "\n".join(_top())]
    for kind, heading in HEADINGS.items():
        usual = (*ACTIVE.get(kind, ()), *(ON_A_TERMINAL if kind == "sink" and terminal else ()))
        sections += ["\n".join(_heading(kind, heading)), *_tables(kind, plugins, wanted, usual, service=service)]
    return "\n".join([*sections, METERS, CHANNELS])


def _top() -> Iterator[str]:
    for entry in site_settings():
        yield from template.setting(entry)
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


def _for_a_service(entry: Setting) -> Setting:
    """Move the file of an example to a directory that a service can write to: that of its configuration is not."""
    is_relative = entry.annotation is Path and entry.example and not entry.example.startswith(("/", "~", '"', "'"))
    return attrs.evolve(entry, example=f"{STATE}/{entry.example}") if is_relative else entry
