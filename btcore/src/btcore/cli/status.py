# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore status`: how a site is, asked of the program that runs it, or of the journal if none does.

Of the configuration only `state` is needed where the program runs: it may have keys that a person's shell has not.
"""

import argparse
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from btcore.cli import FAILING, OK, UNAVAILABLE, add_config, config_of, standard_output, write_lines
from btcore.config.load import load_site, load_state
from btcore.config.site import Site
from btcore.control.client import NotRunning, ask_once
from btcore.runtime import state_directory
from btcore.runtime.at_rest import journal_at_rest
from btcore.status import SiteStatus
from btcore.status.at_rest import status_at_rest
from btcore.status.report import answer

INTERVAL = 2.0
"""Seconds between two looks of `--watch`."""

CLEAR = "\x1b[H\x1b[2J"
"""Clears a terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON, for a program")
    parser.add_argument("--watch", action="store_true", help=f"show it again every {INTERVAL:.0f} s, until Ctrl-C")


def main(args: argparse.Namespace) -> int:
    """Show the status; return 0 if all is well, 1 if something fails, 69 if the site does not run."""
    file = config_of(args)
    state = load_state(file)
    state_directory.check(state, file)
    while True:
        found = _ask(state, file)
        if args.watch and standard_output().isatty():
            standard_output().write(CLEAR)
        write_lines(_lines(found, as_json=args.json))
        if not args.watch:
            break
        time.sleep(INTERVAL)
    status = found["status"]
    if not status["running"]:
        return UNAVAILABLE
    return OK if status["ok"] else FAILING


def _ask(state: Path, file: Path) -> dict[str, Any]:
    """Return the status with its lines. Raises ConfigurationError, Unavailable."""
    try:
        return ask_once(state, "status")
    except NotRunning:
        return answer(_at_rest(load_site(file)))


def _at_rest(site: Site) -> SiteStatus:
    with journal_at_rest(site) as journal:
        return status_at_rest(site, journal, datetime.now(UTC))


def _lines(found: dict[str, Any], *, as_json: bool) -> Iterator[str]:
    if as_json:
        yield json.dumps(found["status"], ensure_ascii=False)
    else:
        yield from found["lines"]
