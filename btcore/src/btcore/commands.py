# SPDX-License-Identifier: GPL-3.0-or-later
"""What a distribution gives `btcore` to have a command of its own, and what that command is told of a configuration.

How commands are found, and which there are, belongs to `cli/extensions.py`.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from btcore.settings import Kind, Polarity


@attrs.frozen
class Table:
    """A source, sink or decoder of a configuration: `name` is its table (`sink.roof`), `instance` that of its plugin.

    `polarity` is the sign of the samples that a sink gets.
    """

    name: str
    kind: Kind
    instance: object = attrs.field(repr=False)
    polarity: Polarity = "brultech"


@attrs.frozen
class Configuration:
    """A configuration without mistakes: its file, its tables in their order, and the names of channels.

    `channels` maps `SERIAL_CHANNEL` to the name in [channels]. Nothing is opened.
    """

    file: Path
    tables: tuple[Table, ...]
    channels: Mapping[str, str] = attrs.field(factory=dict)


LoadConfiguration = Callable[[Path], Configuration]
"""Loads a configuration. What it raises is for the core, which reports every mistake with its line."""


@attrs.frozen(kw_only=True)
class Command:
    """A command that a distribution adds: entry point of the group `btcore.commands`, by the command's name.

    `api` is the version of the plugin interface that it is written for (`btcore.API`). `help` is one line without a
    full stop, beginning with a verb. `add_arguments` adds the arguments to the command's parser; `btcore` adds none.
    `run` does the work and returns the exit code: 0 for success. It writes data to standard output, all else to
    standard error. A `BtcoreError` that it raises is reported in one line. `arguments.usage(why)` ends with the usage.
    """

    api: int
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, LoadConfiguration], int]
