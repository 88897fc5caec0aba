# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore nats`: makes the stream that a configuration names, looks for gaps, answers for an archive, cleans up.

What is done is in other rooms (`stream.py`, `finding.py`, `answering.py`, `cleaning.py`); here are the arguments.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event

from btcore import API, BtcoreError, Command, Configuration, LoadConfiguration, Table
from btmon_nats.answering import Answering
from btmon_nats.cleaning import clean_up
from btmon_nats.connection import Connection
from btmon_nats.finding import add_gap_arguments, find_gaps
from btmon_nats.journal.url import parse
from btmon_nats.login import Login
from btmon_nats.refusals import meaning
from btmon_nats.sink import Nats
from btmon_nats.source import NatsStream
from btmon_nats.stream import StreamPlan, make_buckets, set_up
from btmon_nats.subjects import MAX_PARTITIONS, PARTITIONS, all_subjects

UNITS = {"h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}

MAX_REPLICAS = 5
"""JetStream's own limit."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `btcore nats`."""
    parser.add_argument(
        "action",
        choices=("setup", "gaps", "answer", "leftovers"),
        help="setup: make the stream, or change it; gaps: what of a house has not come to the archive; answer: tell"
        " houses what the archive has, until Ctrl-C; leftovers: what streams and sinks that were removed have left in"
        " the cluster",
    )
    parser.add_argument("--config", type=Path, default=Path("site.toml"), metavar="FILE", help="the configuration")
    parser.add_argument("--table", metavar="NAME", help="the sink or source whose stream it is, if there are several")
    parser.add_argument(
        "--replicas", type=_between(1, MAX_REPLICAS), default=3, metavar="N", help="servers that have each message (3)"
    )
    parser.add_argument(
        "--partitions",
        type=_between(1, MAX_PARTITIONS),
        metavar="N",
        help=f"parts that are read apart, once and for all ({PARTITIONS}, or as the journal's URL says)",
    )
    parser.add_argument("--max-age", type=_amount, default=0, metavar="T", help="drop what is older: 30d (never)")
    parser.add_argument("--max-bytes", type=_amount, default=0, metavar="SIZE", help="refuse more: 500GB (never)")
    parser.add_argument(
        "--sink",
        metavar="NAME",
        help="with answer: the sink that knows what is stored; with leftovers --remove: remove this one though readings"
        " wait for it",
    )
    parser.add_argument("--remove", action="store_true", help="with leftovers: remove what nobody uses")
    add_gap_arguments(parser)


def run(args: argparse.Namespace, load: LoadConfiguration) -> int:
    """Do it; return the exit code. Raises BtcoreError."""
    configuration = load(args.config)
    if args.action == "gaps":
        return find_gaps(args, configuration)
    login, partitions = _find(configuration, args.table)
    if args.action == "leftovers":
        return clean_up(args, configuration, login)
    if args.action == "answer":
        connection = Connection(login, "btcore nats answer")
        Answering(connection, login.stream, _find_sink(configuration, args.sink), _say).run(Event())
        return 0
    return _set_up(args, login, args.partitions or partitions)


def _set_up(args: argparse.Namespace, login: Login, partitions: int) -> int:
    plan = StreamPlan(login.stream, partitions, args.replicas, float(args.max_age), args.max_bytes)
    connection = Connection(login, "btcore nats setup")
    try:
        done = connection.use(lambda stream: set_up(stream, plan))
        connection.use(lambda stream: make_buckets(stream, plan), 4 * login.timeout)
    except Exception as error:  # noqa: BLE001 - whatever the client meets
        raise meaning(error, plan.name, login.address, connection.denials.take()) from None
    finally:
        connection.close()
    sys.stdout.write(f"stream {plan.name} at {login.address}: {done}\n{describe(plan)}")
    return 0


def describe(plan: StreamPlan) -> str:
    """Return what a stream is, a line for each of its properties."""
    age = f"{plan.max_age / UNITS['d']:g} days" if plan.max_age else "for ever"
    size = f"{plan.max_bytes / UNITS['GB']:g} GB; more is refused" if plan.max_bytes else "as much as there is room"
    lines = {
        "subjects": all_subjects(plan.name),
        "partitions": plan.partitions,
        "replicas": plan.replicas,
        "kept": age,
        "size": size,
    }
    return "".join(f"  {name:<11} {value}\n" for name, value in lines.items())


NATS = Command(
    api=API,
    help="make the stream of NATS JetStream, and find what has not come to the archive",
    add_arguments=add_arguments,
    run=run,
)


def _find(configuration: Configuration, name: str | None) -> tuple[Login, int]:
    """Return where the stream is, and how many partitions it is to have unless that is said."""
    tables = {one.name: one.instance for one in configuration.tables if isinstance(one.instance, Nats | NatsStream)}
    if name is None and configuration.journal.partition(":")[0] in ("nats", "tls"):
        journal = parse(configuration.journal)
        return journal.login, journal.partitions
    found = [one for table, one in tables.items() if name in (None, table, table.partition(".")[2])]
    if not tables:
        raise BtcoreError(f'{configuration.file} has no stream: add [sink.NAME] with use = "nats"')
    if len({one.stream for one in found}) != 1:
        raise BtcoreError(f"expected --table with one of {', '.join(tables)}")
    return found[0], PARTITIONS


def _find_sink(configuration: Configuration, name: str | None) -> Table:
    """Return the sink that knows which readings are stored: each of them, so one with the schema `counters`."""
    known = [
        one
        for one in configuration.tables
        if one.kind == "sink"
        and hasattr(one.instance, "find_stored")
        and not isinstance(one.instance, Nats)
        and getattr(one.instance, "schema", "counters") == "counters"
    ]
    found = [one for one in known if name in (None, one.name, one.name.partition(".")[2])]
    if not known:
        raise BtcoreError(f"{configuration.file} has no sink that stores each reading, such as sql or sqlite")
    if len(found) != 1:
        raise BtcoreError(f"expected --sink with one of {', '.join(one.name for one in known)}")
    return found[0]


def _say(text: str) -> None:
    sys.stderr.write(f"btcore nats answer: {text}\n")
    sys.stderr.flush()


def _between(low: int, high: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected a number from {low} to {high}, found {text!r}")
        return int(text)

    return convert


def _amount(text: str) -> int:
    for unit, factor in UNITS.items():
        number = text.removesuffix(unit)
        if number != text and number.isdecimal():
            return int(number) * factor
    units = ", ".join(UNITS)
    raise argparse.ArgumentTypeError(f"expected a number with one of {units}, such as 30d or 500GB, found {text!r}")
