# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore journal`: its integrity, its room on the disk, and a part of it as a capture."""

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from btcore.cli import FAILING, OK, add_config_option, config_of, write_lines, write_text
from btcore.cli.naming import naming_of
from btcore.config.load import load_site
from btcore.config.site import Site
from btcore.control.client import NotRunning, ask
from btcore.errors import Unavailable
from btcore.logs.handler import say
from btcore.replay.spans import add_span_arguments, parse_span
from btcore.runtime import state_directory
from btcore.runtime.at_rest import mending_at_rest
from btcore.text import format_bytes, plural

ACTIONS = ("check", "compact", "export")

PATIENCE = 600.0
"""Seconds to wait for the running program's next answer: a check of a large file takes long."""

Answers = Iterator[Mapping[str, Any]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("action", choices=ACTIONS, help="what to do")
    add_config_option(parser)
    parser.add_argument("-o", "--output", default="-", metavar="FILE", help="with export: the file; -: stdout")
    add_span_arguments(parser)
    parser.add_argument("--meter", action="append", default=[], metavar="SERIAL", help="with export: only this meter")
    parser.add_argument("--json", action="store_true", help="with check: write JSON")


def main(args: argparse.Namespace) -> int:
    """Do it; return 0, or 1 if a check found something. Raises Unavailable."""
    site = load_site(config_of(args))
    state_directory.check(site.state, site.file)
    if args.action == "compact":
        return _compact(site)
    since, until = parse_span(args, datetime.now(UTC))
    words = {"since": since, "until": until, "meters": [*map(naming_of(site).serial, args.meter)]}
    answers = ask_journal(site, {"action": args.action, **words})
    if args.action == "check":
        return _check(next(answers)["faults"], as_json=args.json)
    return _export(answers, args.output)


def ask_journal(site: Site, asked: Mapping[str, Any]) -> Answers:
    """Yield answers about the journal: of the program that runs, or else of the journal itself. Raises Unavailable."""
    try:
        yield from ask(site.state, "journal", PATIENCE, **asked)
    except NotRunning:
        with mending_at_rest(site) as mending:
            yield from mending.look_after(asked)


def _compact(site: Site) -> int:
    try:
        next(ask(site.state, "journal", action="compact"))
    except NotRunning:
        with mending_at_rest(site) as mending:
            before, after = mending.compact()
        say(f"the journal had {format_bytes(before)}, and has {format_bytes(after)} now")
    return OK


def _check(faults: list[str], *, as_json: bool) -> int:
    found = json.dumps({"ok": not faults, "faults": faults}, indent=2)
    write_lines([found] if as_json else faults or ["the journal is in order"])
    return FAILING if faults else OK


def _export(answers: Answers, output: str) -> int:
    readings = left_out = 0

    def lines() -> Iterator[str]:
        nonlocal readings, left_out
        for answer in answers:
            readings += len(answer["lines"])
            left_out += answer["without_packet"]
            yield from answer["lines"]

    _write(lines(), output)
    without = f"; {plural(left_out, 'reading')} without a packet left out" if left_out else ""
    say(f"exported {plural(readings, 'reading')}{without}")
    return OK


def _write(lines: Iterable[str], output: str) -> None:
    if output == "-":
        write_text(lines, encoding="utf-8")
        return
    try:
        with ExitStack() as opened:
            # the consumption of a household is private
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            file = opened.enter_context(os.fdopen(descriptor, "w", encoding="utf-8"))
            file.writelines(lines)
    except OSError as error:
        raise Unavailable(f"cannot write {output}: {error.strerror}") from None
