# SPDX-License-Identifier: GPL-3.0-or-later
"""What a distribution gives `btcore` to have a command of its own, and what that command is told of a configuration.

How commands are found, and which there are, belongs to `cli/extensions.py`.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from btcore.classes import field, frozen
from btcore.errors import BtcoreError
from btcore.settings import Kind, Polarity


@frozen
class Table:
    """A source, sink or decoder of a configuration: `name` is its table (`sink.roof`), `instance` that of its plugin.

    `polarity` is the sign of the samples that a sink gets.
    """

    name: str
    kind: Kind
    instance: object = field(repr=False)
    polarity: Polarity = "brultech"


def _ask_nobody(question: str) -> Mapping[str, Any]:
    raise BtcoreError(f"nobody can be asked `{question}`: this configuration was not loaded by btcore")


def _without_journal(**_span: int | None) -> Iterator[tuple[str, int, str]]:
    raise BtcoreError("there is no journal: this configuration was not loaded by btcore")


@frozen
class Configuration:
    """A configuration without mistakes: its file, its tables in their order, and the names of channels.

    `channels` maps `SERIAL_CHANNEL` to the name in [channels]. `journal` is the name or the URL of the journal, which
    may contain a password. Nothing is opened.

    `ask` asks the program that runs with it, and returns its answer. To `status`, that is `status`, what `btcore status
    --json` shows, and `lines`, the same for a person. To `now`, it is `meters`, each with its `serial`, the `time` of
    its last reading, `volts`, `channels` (`channel`, `name`, `named`: whether the configuration names it, `watts`,
    `wh_today`: positive is what it consumes; null is not known) and `sensors` (`channel`, `name`, `value`, `unit`).
    `complete` says whether today's energies are known yet; asking again gets on with it. `since` is when they begin, in
    seconds since 1970, as `time` is: midnight, or when a meter was heard first. Raises BtcoreError where no program
    runs, or it does not answer within ten seconds.

    `journalled` yields `serial`, `key` and the name of the packet format of each reading that the journal has, oldest
    first, whether the program runs or not; `since` and `until` are keys, of the first and the last reading that is
    wanted. Raises BtcoreError where there is no journal.
    """

    file: Path
    tables: tuple[Table, ...]
    channels: Mapping[str, str] = field(factory=dict)
    journal: str = field(default="", repr=False)
    ask: Callable[[str], Mapping[str, Any]] = field(default=_ask_nobody, repr=False, eq=False)
    journalled: Callable[..., Iterator[tuple[str, int, str]]] = field(default=_without_journal, repr=False, eq=False)


LoadConfiguration = Callable[[Path], Configuration]
"""Loads a configuration. What it raises is for the core, which reports every mistake with its line."""


@frozen(kw_only=True)
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
