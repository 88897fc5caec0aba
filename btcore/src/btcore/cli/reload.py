# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore reload`: the running program reads its configuration again, and restarts what has changed."""

import argparse
import json
from typing import Any

from btcore.cli import CONFIGURATION, OK, add_config, config_of, write_lines
from btcore.config.load import load_site, load_state
from btcore.control.client import NotRunning, ask_once
from btcore.logs.handler import say
from btcore.runtime import state_directory

TIMEOUT = 90.0
"""Seconds to wait for the answer: sinks finish their calls under way first."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON, for a program")


def main(args: argparse.Namespace) -> int:
    """Ask for it; return 0 if the configuration is in use now, 78 if it has a mistake and the old one stays in use."""
    answer = _ask(args)
    if args.json:
        write_lines([json.dumps(answer, ensure_ascii=False)])
    else:
        write_lines([*answer.get("changes", []), *answer.get("pending", [])])
        for text in (*answer.get("problems", []), *answer.get("warnings", [])):
            say(text)
    return OK if answer["reloaded"] else CONFIGURATION


def _ask(args: argparse.Namespace) -> dict[str, Any]:
    """Return the answer of the running program. Raises ConfigurationError, NotRunning, Unavailable."""
    file = config_of(args)
    state = load_state(file)
    state_directory.check(state, file)
    try:
        return ask_once(state, "reload", TIMEOUT)
    except NotRunning as error:
        load_site(file)  # a mistake is told first
        raise NotRunning(f"{error}; if the setting `state` has changed, restart the program") from None
