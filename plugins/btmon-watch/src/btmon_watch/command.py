# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore watch`: its arguments, one picture or many, and what keys do."""

import argparse
import sys
import time
from io import TextIOWrapper
from pathlib import Path

import attrs
from rich.console import Console

from btcore import API, Command, Configuration, LoadConfiguration
from btmon_watch.feed import COUNTING_INTERVAL, Feed, look
from btmon_watch.picture import Picture, View, draw, local_now
from btmon_watch.plain import ERRORS
from btmon_watch.site import Site
from btmon_watch.terminal import Terminal, terminal

TICK = 1.0
"""Seconds after which the picture is drawn again, whatever happens: its clock goes on."""

COUNTING_SECONDS = 30.0
"""For how long `--once` waits for today's energy."""

PIPE_COLUMNS = 80
MIN_COLUMNS, MIN_ROWS = 2, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `btcore watch`."""
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the configuration (default: site.toml)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the same as FILE")
    parser.add_argument("--once", action="store_true", help="print one picture, and end")


def run(args: argparse.Namespace, load: LoadConfiguration) -> int:
    """Watch until a key ends it; without a terminal, print one picture. Raises BtcoreError."""
    if args.file is not None and args.config is not None:
        args.usage("expected one configuration, found FILE and --config")
    configuration = load(args.file or args.config or Path("site.toml"))
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors=ERRORS)  # where the locale has no bars
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    is_watched = console.is_terminal and not console.is_dumb_terminal and sys.stdin.isatty()
    if args.once or not is_watched:
        _print_once(configuration, console)
        return 0
    try:
        with terminal(console) as screen:
            _watch(configuration, screen)
    except (KeyboardInterrupt, OSError):  # the latter: the terminal is gone
        pass
    return 0


WATCH = Command(
    api=API,
    help="show in the terminal what is measured now, and how the site is; q leaves",
    add_arguments=add_arguments,
    run=run,
)


def _print_once(configuration: Configuration, console: Console) -> None:
    columns = console.width if console.is_terminal else PIPE_COLUMNS
    site = _complete(configuration)
    for line in draw(site, View(columns), local_now()).lines:
        console.print(line, no_wrap=True, crop=False, overflow="ignore")


def _complete(configuration: Configuration) -> Site:
    """Ask until today's energy is counted, which takes some seconds on a small computer. Raises BtcoreError."""
    until = time.monotonic() + COUNTING_SECONDS
    while not (site := look(configuration.ask)).is_complete and time.monotonic() < until:
        time.sleep(COUNTING_INTERVAL)
    return site


def _watch(configuration: Configuration, screen: Terminal) -> None:
    feed = Feed(configuration.ask, screen.wake)
    feed.start()
    view = View(PIPE_COLUMNS)
    try:
        while True:
            columns, rows = screen.size
            view = attrs.evolve(view, columns=max(columns - 1, MIN_COLUMNS), rows=max(rows, MIN_ROWS))
            site, failure = feed.last()
            picture = draw(site, view, local_now(), failure)
            screen.draw(picture.lines)
            for key in screen.wait(TICK):
                if key == "leave":
                    return
                view = turned(view, key, picture)
    finally:
        feed.stop()


def turned(view: View, key: str, picture: Picture) -> View:
    """Return what is looked at after a key."""
    if key in {"health", "now"}:
        return attrs.evolve(view, is_health=key == "health", scroll=0)
    page = max((view.rows or 1) // 2, 1)
    steps = {"up": -1, "down": 1, "page up": -page, "page down": page, "first": -view.scroll, "last": sys.maxsize}
    return attrs.evolve(view, scroll=min(max(view.scroll + steps[key], 0), picture.max_scroll))
