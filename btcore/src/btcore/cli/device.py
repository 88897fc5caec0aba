# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore device`: asks meters for their settings and changes them, through the program that runs, or by itself.

While a program runs, the line is its own: it is asked over the control socket. Else the source is opened here.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from btcore.cli import FAILING, OK, USAGE, add_config_option, config_of, write_lines
from btcore.config.load import load_site
from btcore.config.site import Site, Source
from btcore.control.client import NotRunning, ask_once
from btcore.device.report import list_lines
from btcore.device.settings import check_loss, read_changes
from btcore.errors import Unavailable
from btcore.logs.handler import say, set_up
from btcore.runtime import state_directory
from btcore.runtime.at_rest import journal_at_rest, source_at_rest
from btcore.status.at_rest import status_at_rest
from btcore.workers.devices import DeviceRequests

TIMEOUT = 240.0
"""Seconds that the running program may take: another command may come first, and a poll, and every answer late."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the sources and the meters that were heard")
    show = actions.add_parser("show", help="show the settings of a meter")
    change = actions.add_parser("set", help="change settings of a meter: shows old and new, and asks")
    for action in (show, change):
        action.add_argument(
            "target", metavar="METER", help="serial number of the meter, or the name of a source that has only one"
        )
        action.add_argument(
            "--device",
            default="",
            metavar="NAME",
            help='which meter of the line: device byte of an ECM ("fc", "fd", "fe", "ff"), serial number of a GEM',
        )
    change.add_argument(
        "changes", nargs="+", metavar="NAME=VALUE", help="interval=10, format=gem48ptbin, clock=now, ..."
    )
    change.add_argument("--yes", action="store_true", help="do not ask, for scripts")
    change.add_argument(
        "--yes-lose-counters", action="store_true", help="change the calibration too, which spoils what was counted"
    )
    for action in (listing, show, change):
        add_config_option(action)
        action.add_argument("--json", action="store_true", help="print it as JSON, for a program")


def main(args: argparse.Namespace) -> int:
    """Do what is asked; return 0, or 1 if the meter does not have what was set."""
    site = load_site(config_of(args))
    state_directory.check(site.state, site.file)
    set_up(quiet=True, secrets=site.secrets)
    if args.action == "list":
        found = _list(site)
        _write(found, {"sources": found["sources"]}, as_json=args.json)
        return OK
    if args.action == "show":
        found = _request(site, args, "show")
        _write(found, {**found["device"], "source": found["source"]}, as_json=args.json)
        return OK
    return _set(site, args)


def _set(site: Site, args: argparse.Namespace) -> int:
    # a mistake is told before any meter is asked
    check_loss(read_changes(args.changes), may_lose=args.yes_lose_counters)
    if not args.yes:
        write = say if args.json else _write_line
        for line in _request(site, args, "plan")["lines"]:
            write(line)
        if not sys.stdin.isatty():
            say("btcore device set: nothing was changed: there is no terminal to ask; --yes changes it without asking")
            return USAGE
        say("Change it? [y/N]")
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            say("nothing was changed")
            return OK
    found = _request(site, args, "set")
    _write(found, {**found["device"], "source": found["source"], "changes": found["changes"]}, as_json=args.json)
    return FAILING if any(row["confirmed"] is False for row in found["changes"]) else OK


def _request(site: Site, args: argparse.Namespace, action: str) -> dict[str, Any]:
    """Ask the running program, or the meter by its source. Raises Unavailable."""
    request = {"target": args.target, "device": args.device.lower()}
    if action != "show":
        request |= {"changes": args.changes, "may_lose": args.yes_lose_counters}
    try:
        return ask_once(site.state, f"device-{action}", TIMEOUT, **request)
    except NotRunning:
        source = _source(site, args.target)
        with source_at_rest(site, source) as worker:
            requests = DeviceRequests([worker])
            return dict(next(iter(requests.handlers()[f"device-{action}"](request))))


def _source(site: Site, target: str) -> Source:
    """Return the source that has a meter, by its name, or by what the journal knows. Raises Unavailable."""
    named = [source for source in site.sources if target in {source.name, source.table}]
    if named or len(site.sources) == 1:
        return (named or list(site.sources))[0]
    names = [one["name"] for one in _at_rest(site) if any(meter["serial"] == target for meter in one["meters"])]
    found = [source for source in site.sources if source.name in names]
    if len(found) != 1:
        known = ", ".join(source.name for source in site.sources)
        raise Unavailable(f"which source has meter {target} is not known: name the source instead ({known})")
    return found[0]


def _list(site: Site) -> dict[str, Any]:
    try:
        return ask_once(site.state, "device-list")
    except NotRunning:
        sources = _at_rest(site)
        return {"sources": sources, "lines": [*list_lines(sources)]}


def _at_rest(site: Site) -> list[dict[str, Any]]:
    """Return the sources and their meters as the journal knows them. Raises Unavailable."""
    now = datetime.now(UTC)
    with journal_at_rest(site) as journal:
        status = status_at_rest(site, journal, now)
    return [
        {
            "name": source.name,
            "plugin": source.plugin,
            "state": source.state,
            "meters": [_meter(one.serial, one.last, now) for one in source.meters],
        }
        for source in status.sources
    ]


def _meter(serial: str, last: datetime | None, now: datetime) -> dict[str, Any]:
    heard = {"heard": last and last.isoformat(), "heard_for": last and (now - last).total_seconds()}
    return {"serial": serial, "family": "", "format": "", "stream": "", **heard, "clock": None, "clock_error": None}


def _write(found: dict[str, Any], values: dict[str, Any], *, as_json: bool) -> None:
    lines: Iterable[str] = [json.dumps(values, ensure_ascii=False)] if as_json else found["lines"]
    write_lines(lines)


def _write_line(line: str) -> None:
    write_lines([line])
