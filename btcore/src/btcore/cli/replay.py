# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore replay`: delivers to a sink again what the journal still holds, while the program runs or stands still."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from threading import Event
from typing import Any

import attrs

from btcore.cli import FAILING, OK, UNAVAILABLE, add_config_option, config_of, write_lines
from btcore.cli.naming import naming_of
from btcore.config.load import load_site
from btcore.config.site import Site
from btcore.control.client import NotRunning, ask
from btcore.errors import Stop, Unavailable
from btcore.journal.partitions import partitioned
from btcore.journal.retry import ShuttingDown
from btcore.logs.handler import say, set_up
from btcore.mending.commands import raise_if_unanswerable
from btcore.mending.redelivery import deliver_at_rest
from btcore.replay.requests import Request
from btcore.replay.spans import add_span_arguments, parse_span
from btcore.runtime import state_directory
from btcore.runtime.at_rest import mending_at_rest
from btcore.runtime.signals import stop_on_signals
from btcore.status import ReplayStatus
from btcore.status.report import replay_line
from btcore.text import describe_error, format_duration, plural
from btcore.values.channels import parse_channel
from btcore.values.invalid_value import InvalidValue

WIDTH = 30
"""Characters of the progress bar."""

COUNTS = ("delivered", "refused", "stored", "missing")

NOTHING = (
    "the journal has no such readings that this sink had before, or passed over; --dry-run without --from shows all"
)

PATIENCE = 60.0
"""Seconds to wait for the running program's next answer."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("sink", metavar="SINK", help="the sink, such as roof")
    add_config_option(parser)
    add_span_arguments(parser)
    parser.add_argument("--meter", action="append", default=[], metavar="SERIAL", help="only this meter; repeatable")
    parser.add_argument("--channel", default="", metavar="CHANNEL", help="only this channel, such as 399999_ch1 or ch1")
    parser.add_argument("--gaps", action="store_true", help="only what the sink does not have, where it can be asked")
    parser.add_argument("--dry-run", action="store_true", help="show how much it would be, and deliver nothing")
    parser.add_argument("--json", action="store_true", help="write the result as JSON")


def main(args: argparse.Namespace) -> int:
    """Deliver again; return 0 if all was taken, 1 if some was refused. Raises Unavailable."""
    site = load_site(config_of(args))
    state_directory.check(site.state, site.file)
    request = _request(site, args)
    progress = ProgressBar()
    found: list[Mapping[str, Any]] = []
    for answer in _answers(site, args, request):
        progress.show(answer)
        progress.explain(answer)
        if "preview" in answer or answer["replay"]["finished"]:
            found.append(answer)
    progress.clear()
    for one in found:
        if "replay" in one and not any(one["replay"][count] for count in COUNTS):
            say(f"{one['sink']}: {NOTHING}")
    write_lines([json.dumps(found, indent=2)] if args.json else map(_line, found))
    if not found:
        say("btcore ended before all was delivered again; the rest is delivered when it runs")
        return UNAVAILABLE
    return FAILING if any(one.get("replay", {}).get("refused") for one in found) else OK


def _request(site: Site, args: argparse.Namespace) -> Request:
    since, until = parse_span(args, datetime.now(UTC))
    names = naming_of(site)
    try:
        channel = str(parse_channel(args.channel, names)) if args.channel else ""
    except InvalidValue as error:
        args.usage(f"--channel: {error}")
    return Request(
        since=since,
        until=until,
        meters=tuple(map(names.serial, args.meter)),
        channel=channel,
        gaps=args.gaps,
        find_only=args.gaps and args.dry_run,
    )


def _answers(site: Site, args: argparse.Namespace, request: Request) -> Iterator[Mapping[str, Any]]:
    asked = {"sink": args.sink, "request": attrs.asdict(request), "dry_run": _is_preview(request, args)}
    try:
        yield from ask(site.state, "replay", PATIENCE, **asked)
    except NotRunning:
        yield from _at_rest(site, args, request)
    except KeyboardInterrupt:
        say("the running btcore goes on with it; `btcore status` shows how far it is")
        raise


def _at_rest(site: Site, args: argparse.Namespace, request: Request) -> Iterator[Mapping[str, Any]]:
    redaction = set_up(quiet=True, secrets=site.secrets)
    with mending_at_rest(site) as mending:
        if request.gaps:
            raise_if_unanswerable(mending.sinks_of(args.sink))
        if _is_preview(request, args):
            yield from mending.replay({"sink": args.sink, "request": attrs.asdict(request), "dry_run": True})
            return
        if partitioned(mending.journal) is not None:
            raise Unavailable("the journal's partitions are delivered by programs that run: start one, and ask again")
        stop = Event()
        stop_on_signals(stop)
        for sink in mending.sinks_of(args.sink):
            try:
                for status in deliver_at_rest(site, mending.journal, sink, request, stop, redaction.redact):
                    yield {"sink": sink.table, "replay": attrs.asdict(status)}
            except ShuttingDown:
                raise Unavailable("stopped; the rest is delivered again when btcore runs") from None
            except Stop as error:
                raise Unavailable(f"{sink.table} stopped: {redaction.redact(describe_error(error))}") from None


def _is_preview(request: Request, args: argparse.Namespace) -> bool:
    """Whether nothing but the journal is asked; a dry run for gaps asks the sink."""
    return bool(args.dry_run) and not request.gaps


def _line(answer: Mapping[str, Any]) -> str:
    if "replay" in answer:
        status = ReplayStatus(**answer["replay"])
        return f"{answer['sink']}: {replay_line(status)}"
    found = answer["preview"]
    counts = f"{plural(found['readings'], 'reading')}, {plural(found['samples'], 'sample')}"
    span = f", from {found['first']} to {found['last']}" if found["readings"] else ""
    meters = "".join(f"\n    meter {serial}: {plural(count, 'reading')}" for serial, count in found["meters"].items())
    return f"{answer['sink']}: would deliver {counts}{span}{meters}"


class ProgressBar:
    """Shows on a terminal how far a replay has come: its share, the rate, the time that is left."""

    def __init__(self) -> None:
        """Begin now."""
        self._began = time.monotonic()
        self._is_shown = sys.stderr.isatty()
        self._explained = ""

    def show(self, answer: Mapping[str, Any]) -> None:
        """Show it."""
        if self._is_shown and "replay" in answer:
            sys.stderr.write(f"\r\x1b[K{bar(ReplayStatus(**answer['replay']), time.monotonic() - self._began)}")
            sys.stderr.flush()

    def explain(self, answer: Mapping[str, Any]) -> None:
        """Say why it waits, or what was refused, once."""
        why = answer.get("replay", {}).get("last_error", "")
        if why and why != self._explained and not answer["replay"]["finished"]:
            self.clear()
            say(f"{answer['sink']}: {why}")
        self._explained = why

    def clear(self) -> None:
        """Remove it."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")


def bar(status: ReplayStatus, seconds: float) -> str:
    """Return the bar of a replay that has run for so many seconds."""
    share = status.examined / status.total if status.total else 0.0
    rate = status.examined / seconds if seconds else 0.0
    left = f", {format_duration((status.total - status.examined) / rate)} left" if rate else ""
    filled = round(WIDTH * min(share, 1.0))
    return f"[{'#' * filled}{'.' * (WIDTH - filled)}] {share:.0%}, {rate:.0f} readings/s{left}; {replay_line(status)}"
