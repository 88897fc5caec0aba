"""`btcore init`: write a commented site.toml from the installed plugins, some of them switched on."""

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
"""What is switched on where nothing else is asked for."""

ON_A_TERMINAL = ("print",)
"""The sinks that are switched on as well where a person sits at a terminal; a service has none."""

SYSTEM, STATE = Path("/etc"), "/var/lib/btcore"
"""Where the configuration of a service is, and the directory that the service may write."""

INTRODUCTION = """\
# The configuration of btcore. After every change: btcore check, then btcore run.
#
# A line that begins with # and a space is a comment. One that begins with # alone is a setting, or a whole table,
# that is switched off; it shows the default, or an example. To switch it on, take away the #.
#
# [source.NAME] tells where readings come from, [sink.NAME] where they go. NAME is the plugin's name, or one of your
# own together with the plugin's, so that there may be several of a kind:
#
#   [sink.roof]
#   use = "pvoutput"
#
# Durations are "500ms", "30s", "5m", "1h", "7d". A path that does not begin with / or ~ is beside this file.
# A key or a password can be kept elsewhere, as any text can:
# api_key = { env = "NAME_OF_A_VARIABLE" } or api_key = { file = "/run/secrets/key" }
"""

HEADINGS: Mapping[Kind, str] = {
    "source": "Sources: where readings come from",
    "sink": "Sinks: where readings go",
    "decoder": "Decoders: what packets are understood; without any such table, those of Brultech's meters",
}

METERS = """\
# ---- Meters: only where a serial number does not tell whose readings they are. Two meters may send the same one, or
# one may change its own, or be replaced; the log of btcore run then tells what to write here:
#   serial     the serial number that it goes by, everywhere; without it, its name here
#   sends      the serial numbers that its packets show
#   source     the source that it comes by, [source.NAME], and address, the network address within it
#   replaces   the serial numbers of the meters in whose place it is

#[meters]
#garage = { serial = "399998", sends = "000000" }
"""

CHANNELS = """\
# Names for channels, which every sink may use: SERIAL_CHANNEL = "name". A GEM's serial number has eight digits, zeros
# in front included (01000777_ch1), an ECM's six (399999_ch1); the log of btcore run tells those that it hears.

#[channels]
#399999_ch1 = "solar"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("plugins", nargs="*", metavar="PLUGIN", help="switch these on, in place of the usual ones")
    parser.add_argument("--output", default="site.toml", metavar="FILE", help="default: site.toml; -: standard output")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def main(args: argparse.Namespace) -> int:
    """Write the file. Raises PluginError for a plugin that is not there, Unavailable when it cannot be written."""
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
        say(f"btcore init: {args.output} is there already; --force writes over it")
        return USAGE
    except OSError as error:
        raise Unavailable(f"{args.output} cannot be written: {error.strerror}") from None
    say(f"{args.output} is written. Next: btcore check {args.output}")
    return OK


def site_text(
    wanted: Collection[str],
    among: Mapping[str, tuple[Installed, ...]],
    *,
    terminal: bool = False,
    service: bool = False,
) -> str:
    """Return a site.toml with a table for each of some plugins, the wanted ones switched on.

    Where nothing of a kind is wanted, the usual ones of that kind are on, at a `terminal` with those that show
    something there. For a `service`, files are where it may write. Raises PluginError.
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
        yield from ("#", f"# Every [{kind}.NAME] may also have:", "#", *template.setting_comments(core))
    yield ""


def _tables(
    kind: Kind, plugins: list[PluginInfo], wanted: Collection[str], usual: Collection[str], *, service: bool
) -> Iterator[str]:
    mine = [one for one in plugins if kind in one.kinds]
    on = [one.name for one in mine if one.name in wanted] or usual
    for one in sorted(mine, key=lambda one: one.name not in on):
        settings = map(_for_a_service, one.settings) if service else one.settings
        yield template.table(kind, one.name, settings, about=one.summary, active=one.name in on)


def _for_a_service(entry: Setting) -> Setting:
    """Put the file of an example where a service may write: beside its configuration it may not."""
    is_relative = entry.annotation is Path and entry.example and not entry.example.startswith(("/", "~", '"', "'"))
    return attrs.evolve(entry, example=f"{STATE}/{entry.example}") if is_relative else entry
