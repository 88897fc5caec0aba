# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore service`: prints what makes a service of the program: a unit of systemd, a Dockerfile, a compose file.

Nothing is installed. The files themselves are in the folder `packaging`.
"""

import argparse
import sys
from importlib import resources
from pathlib import Path

from btcore.cli import OK, write_lines
from btcore.text import quoted

PROGRAM = "/opt/btcore/bin/btcore"
"""The program in the packaged units."""

SITES = {"btcore.service": "/etc/btcore/site.toml", "btcore-user.service": "%h/.config/btcore/site.toml"}
"""The configuration in the packaged units."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("action", choices=["print"], help="print it to standard output")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--user", action="store_true", help="a unit of your own, instead of one of the system")
    kind.add_argument("--dockerfile", action="store_true", help="a Dockerfile instead of a unit")
    kind.add_argument("--compose", action="store_true", help="a compose file instead of a unit")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration that the unit names")


def main(args: argparse.Namespace) -> int:
    """Print it."""
    name = "Dockerfile" if args.dockerfile else "compose.yaml" if args.compose else _unit_name(user=args.user)
    text = packaged_file(name)
    if name in SITES:
        program = Path(sys.executable).with_name("btcore")
        text = fill_unit(text, name, program if program.exists() else None, args.config)
    elif args.config is not None:
        args.usage("--config is for a unit: in a container the configuration is /etc/btcore/site.toml")
    write_lines(text.splitlines())
    return OK


def packaged_file(name: str) -> str:
    """Return a file of the folder `packaging`."""
    return (resources.files("btcore") / "packaging" / name).read_text(encoding="utf-8")


def fill_unit(text: str, name: str, program: Path | None, config: Path | None) -> str:
    """Put the program and the configuration into a unit, where they are not those of the packaged one."""
    if config is not None:
        text = text.replace(SITES[name], _unit_word(config.absolute()))
    return text if program is None else text.replace(PROGRAM, _unit_word(program))


def _unit_name(*, user: bool) -> str:
    return "btcore-user.service" if user else "btcore.service"


def _unit_word(path: Path) -> str:
    """Write a path as a word of a command in a unit, where `%` and `$` have a meaning (systemd.service(5))."""
    text = str(path).replace("%", "%%").replace("$", "$$")
    return text if all(one.isalnum() or one in "/._-+%$" for one in text) else quoted(text)
