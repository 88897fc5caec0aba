# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of all commands, as argparse reads them, of which only the one that is asked for is imported.

What a command is and what it does is its own module's.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NoReturn

from btcore.logs.handler import say
from btcore.version import __version__


class Parser(argparse.ArgumentParser):
    """Reads arguments. Its errors contain no control characters of an argument, which could steer a terminal."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End, with a message on stderr."""
        if message:
            say(message.rstrip("\n"))
        sys.exit(status)


def read_arguments(words: Sequence[str], names: Mapping[str, str]) -> argparse.Namespace:
    """Return the arguments, with `main`, which runs the command. Exits where they are wrong, or ask for help.

    `names` are the core's own commands, each with its help.
    """
    args, unknown = make_parser(words, names).parse_known_args(words)
    if unknown:  # reported with the usage of the command; argparse would show that of the program
        args.usage(f"unrecognized arguments: {' '.join(unknown)}")
    return args


def make_parser(words: Sequence[str], names: Mapping[str, str]) -> Parser:
    """Return the parser of these words: it knows the names of all commands, and the arguments of the one in them."""
    parser = Parser(prog="btcore", description="Reads Brultech energy monitors and delivers to databases and services.")
    parser.add_argument("--version", action="version", version=f"btcore {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in names.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name in words:  # a command's module is imported only when it is asked for
            module = import_module(f"btcore.cli.{name.replace('-', '_')}")
            module.add_arguments(command)
            command.set_defaults(main=module.main, usage=command.error)
    if not words or words[0] not in names:
        _add_extensions(parser, commands, words, names)
    return parser


def _add_extensions(
    parser: Parser, commands: "argparse._SubParsersAction[Parser]", words: Sequence[str], names: Mapping[str, str]
) -> None:
    """Add the commands of other distributions; only the one that is asked for is imported, or all for the list."""
    extensions = import_module("btcore.cli.extensions")
    found = {name: one for name, one in extensions.extensions().items() if name not in names}
    if words and not words[0].startswith("-") and words[0] not in found:
        parser.error(extensions.describe_unknown(words[0], {*names, *found}))
    for name, extension in found.items():
        asked = name in words[:1]
        command = commands.add_parser(name, help=None if asked or words[:1] == ["--version"] else extension.help)
        if asked:
            extensions.add_extension(extension, command)
            command.set_defaults(usage=command.error)
