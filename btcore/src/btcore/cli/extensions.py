# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that other distributions add: entry points of the group `btcore.commands`.

A command is imported when it is asked for, or when all are listed. What a command is, is in `commands.py`.
"""

import argparse
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from btcore.classes import frozen
from btcore.commands import Command, Configuration, Table
from btcore.config.load import load_site
from btcore.config.site import Site
from btcore.control.client import ask_once
from btcore.discovery import COMMANDS, Installed, PluginError, installed
from btcore.errors import is_interrupt
from btcore.runtime import state_directory
from btcore.text import describe_error, nearest
from btcore.version import API

GROUP = "btcore.commands"


@frozen
class Extension:
    """A command of another distribution, which is imported when it is asked for."""

    name: str
    rivals: tuple[Installed, ...]

    @property
    def help(self) -> str:
        """What the list of commands has of it."""
        try:
            return self.load().help
        except PluginError as error:
            return f"broken: {error}"

    def load(self) -> Command:
        """Import it. Raises PluginError."""
        (first, *others) = self.rivals
        if others:
            claims = " and ".join(f"{one.distribution} {one.version}" for one in self.rivals)
            raise PluginError(f'two distributions have a command "{self.name}": {claims}; pip uninstall one of them')
        what = f'the command "{self.name}" of {first.distribution} {first.version}'
        try:
            command = first.entry.load()
        except BaseException as error:
            if is_interrupt(error):
                raise
            why = " ".join(describe_error(error).split())
            raise PluginError(f"{what} cannot be imported ({why})") from None
        if not isinstance(command, Command):
            raise PluginError(f"{what} is not a command: {first.entry.value} is not a Command of btcore")
        if command.api != API:
            upgrade = first.distribution if command.api < API else "btcore"
            raise PluginError(
                f"{what} is written for version {command.api} of the plugin interface; this btcore has version {API}:"
                f" pip install --upgrade {upgrade}"
            )
        return command


def extensions() -> dict[str, Extension]:
    """Return the commands of other distributions, by name. Imports nothing of them."""
    return {name: Extension(name, rivals) for name, rivals in installed(GROUP).items()}


def describe_unknown(word: str, known: Collection[str]) -> str:
    """Say what to do where there is no such command: what to install, or which one is meant."""
    if distribution := COMMANDS.get(word):
        return f"the command {word} comes with {distribution}; install it with: pip install {distribution}"
    return f'there is no command "{word}"{nearest(word, known) or "; btcore --help lists them"}'


def add_extension(extension: Extension, parser: argparse.ArgumentParser) -> None:
    """Have a parser run this command. Raises PluginError."""
    command = extension.load()
    parser.description = command.help[:1].upper() + command.help[1:] + "."
    command.add_arguments(parser)
    parser.set_defaults(main=lambda args: command.run(args, load_configuration))


def load_configuration(file: Path) -> Configuration:
    """Load a configuration as a command is given it. Raises ConfigurationError."""
    site = load_site(file)
    tables = (
        *(Table(source.table, "source", source.instance) for source in site.sources),
        *(Table(one.table, "sink", one.instance, one.delivery.polarity or site.polarity) for one in site.sinks),
        *(Table(decoder.table, "decoder", decoder.instance) for decoder in site.decoders),
    )
    journalled = partial(_journalled, site)
    return Configuration(site.file, tables, site.channels, site.journal, partial(_ask, site), journalled)


def _ask(site: Site, question: str) -> Mapping[str, Any]:
    """Ask the program that runs with a configuration. Raises Unavailable, ConfigurationError."""
    state_directory.check(site.state, site.file)
    return ask_once(site.state, question)


def _journalled(site: Site, since: int | None = None, until: int | None = None) -> Iterator[tuple[str, int, str]]:
    """Yield what identifies the readings of the journal. Raises Unavailable, ConfigurationError."""
    from btcore.cli.journal import ask_journal  # noqa: PLC0415 - few commands need it

    state_directory.check(site.state, site.file)
    for answer in ask_journal(site, {"action": "identities", "since": since, "until": until}):
        for serial, key, form in answer["readings"]:
            yield str(serial), int(key), str(form)
