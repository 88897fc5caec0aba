# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore run`: reads the meters and delivers to the sinks."""

import faulthandler
import gc
import logging
from collections.abc import Callable
from contextlib import ExitStack
from threading import Event
from typing import TYPE_CHECKING

from btcore.cli import OK, UNAVAILABLE, add_config, config_of
from btcore.config.load import load_site
from btcore.config.site import Site
from btcore.control.requests import RequestQueue
from btcore.logs.formatter import Formatter
from btcore.logs.handler import set_up
from btcore.runtime.process import share_allocations
from btcore.runtime.service_manager import ServiceManager
from btcore.runtime.signals import stop_on_signals
from btcore.runtime.supervisor import Supervisor

if TYPE_CHECKING:
    import argparse

    from btcore.hook_trace import HookTrace

log = logging.getLogger("btcore")


def add_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declare the options."""
    add_config(parser)
    parser.add_argument(
        "--once", action="store_true", help="exit when all sources have ended and everything is delivered"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent, and send nothing")
    parser.add_argument(
        "--trace", action="store_true", help="log each call of a plugin's hook, and a table of all of them at the end"
    )
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("-v", "--verbose", action="store_true", help="log debug messages too")
    volume.add_argument("-q", "--quiet", action="store_true", help="log warnings and errors only")
    parser.add_argument(
        "--log-format", choices=["text", "json"], default="text", help="log lines of text, or one JSON object a line"
    )


def main(args: "argparse.Namespace") -> int:
    """Run the site until a signal arrives or nothing is left to do."""
    file = config_of(args)
    share_allocations()
    faulthandler.enable(2)  # the watchdog of systemd sends SIGABRT: the log then has what each thread was doing
    redaction = set_up(verbose=args.verbose, quiet=args.quiet, form=args.log_format)

    def load() -> Site:
        site = load_site(file)
        redaction.redact.add(site.secrets)
        return site

    with ExitStack() as last:
        if args.trace:
            from btcore.hook_trace import HookTrace  # noqa: PLC0415 - few ask for it

            trace = last.enter_context(HookTrace())
            last.callback(_log_table, trace)
        return _run(load, redaction, args)


def _log_table(trace: "HookTrace") -> None:
    for line in trace.table():
        log.info("trace: %s", line)


def _run(load: Callable[[], Site], redaction: Formatter, args: "argparse.Namespace") -> int:
    site = load()
    for warning in site.warnings:
        log.warning("%s", warning)
    stop, reloads = Event(), RequestQueue()
    stop_on_signals(stop, reloads.put)
    supervisor = Supervisor(
        site,
        stop,
        once=args.once,
        dry_run=args.dry_run,
        redact=redaction.redact,
        load=load,
        reloads=reloads,
        manager=ServiceManager(),
    )
    gc.freeze()  # what is loaded stays: looking through it for garbage again and again takes 10 % of an import
    return OK if supervisor.run() else UNAVAILABLE
