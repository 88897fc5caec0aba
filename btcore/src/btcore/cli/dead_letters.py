# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore dead-letters`: what a sink will never take: listed, retried once the cause is gone, or dropped.

`list --json` writes a list of `{"id", "sink", "serial", "start", "end", "reason", "readings"}`, oldest first.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from btcore.cli import FAILING, OK, add_config_option, config_of, write_lines
from btcore.cli.naming import naming_of
from btcore.config.load import load_site
from btcore.config.site import Site
from btcore.control.client import NotRunning, ask_once
from btcore.logs.handler import say
from btcore.runtime import state_directory
from btcore.runtime.at_rest import mending_at_rest
from btcore.text import plural

ACTIONS = ("list", "show", "retry", "drop")

MAX_ROWS = 50
"""Dead letters of a sink that are listed one by one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("action", choices=ACTIONS, help="retry: deliver them again; drop: forget them")
    parser.add_argument("sink", nargs="?", metavar="SINK", help="only those of this sink, such as roof")
    add_config_option(parser)
    parser.add_argument("--id", action="append", default=[], metavar="ID", help="only this one; may be repeated")
    parser.add_argument("--meter", action="append", default=[], metavar="SERIAL", help="only those of this meter")
    parser.add_argument("--all", action="store_true", help="with drop: those of all sinks")
    parser.add_argument("--json", action="store_true", help="write JSON")


def main(args: argparse.Namespace) -> int:
    """List, show, retry or drop dead letters. Raises Unavailable."""
    if args.action == "drop" and not (args.sink or args.id or args.meter or args.all):
        args.usage("drop: name a sink, --id or --meter, or say --all")
    if args.action == "show" and not args.id:
        args.usage("show: name one by --id")
    site = load_site(config_of(args))
    state_directory.check(site.state, site.file)
    found, is_running = _ask(site, args)
    letters = found["letters"]
    if args.id and not letters:
        say(f"there is no dead letter {', '.join(args.id)}; btcore dead-letters list shows those that there are")
        return FAILING
    if args.json:
        write_lines([json.dumps(letters, indent=2, ensure_ascii=False)])
    elif args.action == "list":
        write_lines(_rows(letters))
    elif args.action == "show":
        write_lines(line for one in letters for line in _details(one))
    else:
        say(_done(args.action, len(letters), is_running=is_running))
    return OK


def _ask(site: Site, args: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Return the answer, and whether the program runs."""
    asked = {
        "action": args.action,
        "sink": args.sink,
        "ids": args.id,
        "meters": [*map(naming_of(site).serial, args.meter)],
    }
    try:
        return ask_once(site.state, "dead-letters", **asked), True
    except NotRunning:
        with mending_at_rest(site) as mending:
            return dict(next(mending.dead_letters(asked))), False


def _rows(letters: list[dict[str, Any]]) -> Iterator[str]:
    if not letters:
        yield "no dead letters"
    for sink, count in Counter(one["sink"] for one in letters).items():
        own = [one for one in letters if one["sink"] == sink]
        yield f"{sink}: {plural(count, 'dead letter')}, from {own[0]['start']} to {own[-1]['end']}"
        for reason, times in Counter(one["reason"] for one in own).most_common():
            yield f"  {times} times: {reason}"
        for one in own[:MAX_ROWS]:
            yield f"    {one['id']}  meter {one['serial']}  {one['start']} to {one['end']}  {one['reason']}"
        if count > MAX_ROWS:
            yield f"    and {count - MAX_ROWS} more: --json lists all"


def _details(letter: dict[str, Any]) -> Iterator[str]:
    yield f"dead letter {letter['id']} of {letter['sink']}"
    yield f"    meter    {letter['serial']}"
    yield f"    time     {letter['start']} to {letter['end']}"
    yield f"    reason   {letter['reason']}"
    yield f"    readings {', '.join(map(str, letter['readings']))} (offsets in the journal)"


def _done(action: str, count: int, *, is_running: bool) -> str:
    what = plural(count, "dead letter")
    if action == "drop":
        return f"dropped {what}"
    if not count:
        return "there are no such dead letters"
    when = "now; those that are refused again stay, with the new reason" if is_running else "when btcore runs again"
    return f"{what} will be delivered again, {when}"
