# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore nats gaps`: what of a house has not come to the archive, found, and with `--fill` published again.

The readings are those of the house's own journal. Publishing is left to `btcore replay`, which asks the sink the same.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice

from btcore import FORMATS, BtcoreError, Configuration, Format, Reading
from btmon_nats.connection import Connection
from btmon_nats.gaps import Gaps
from btmon_nats.holdings import Holdings
from btmon_nats.messages import EPOCH
from btmon_nats.questions import MAX_ASKED
from btmon_nats.sink import Nats

INCOMPLETE = 1
"""The exit code where something is missing, and is not filled."""


def add_gap_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `btcore nats gaps`."""
    parser.add_argument(
        "--hours", type=_hours, default=24.0, metavar="N", help="with gaps: how many hours back it looks (24)"
    )
    parser.add_argument("--fill", action="store_true", help="with gaps: publish again what is missing, nothing else")
    parser.add_argument("--json", action="store_true", help="with gaps and leftovers: write JSON")


def find_gaps(args: argparse.Namespace, configuration: Configuration) -> int:
    """Show the gaps, and fill them if that is wanted; return the exit code. Raises BtcoreError."""
    table, sink = _sink(configuration, args.table)
    since = (datetime.now(UTC) - timedelta(hours=args.hours)).replace(microsecond=0)
    gaps = count(configuration, sink, (since - EPOCH) // timedelta(microseconds=1))
    if args.json:
        sys.stdout.write(json.dumps({"hours": list(gaps.rows()), **gaps.totals()}, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(gaps.lines()) + "\n")
    if not gaps.missing.total():
        return 0
    words = ["replay", table, "--gaps", "--from", since.isoformat()]
    if not args.fill:
        sys.stderr.write("btcore nats gaps: --fill publishes again what is in neither\n")
        return INCOMPLETE
    sys.stdout.flush()
    command = [sys.executable, "-m", "btcore", *words, "--config", str(configuration.file)]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - btcore itself


def count(configuration: Configuration, sink: Nats, since: int) -> Gaps:
    """Return the gaps of what the journal has from a key on. Raises BtcoreError."""
    gaps, connection = Gaps(), Connection(sink, "btcore nats gaps")
    holdings = Holdings(connection, sink.stream, sink.publisher)
    readings = (_reading(*one) for one in configuration.journalled(since=since))
    try:
        for some in _portions(readings):
            gaps.add(some, holdings.in_stream(some), holdings.in_archive(some))
    finally:
        connection.close()
    return gaps


def _portions(readings: Iterator[Reading]) -> Iterator[Sequence[Reading]]:
    while some := list(islice(readings, MAX_ASKED)):
        yield some


def _reading(serial: str, key: int, form: str) -> Reading:
    known = FORMATS.get(form) or _unknown(form)
    return Reading(EPOCH + timedelta(microseconds=key), known, serial, b"", numbers=(0,) * len(known.labels))


@lru_cache(maxsize=64)
def _unknown(name: str) -> Format:
    return Format(name=name, labels=(), channels=(), unpack=_no_numbers, seconds_bits=0)


def _no_numbers(_raw: bytes) -> tuple[()]:
    """Unpack nothing: only what identifies a reading is needed."""
    return ()


def _sink(configuration: Configuration, name: str | None) -> tuple[str, Nats]:
    sinks = {one.name: one.instance for one in configuration.tables if isinstance(one.instance, Nats)}
    found = [(table, one) for table, one in sinks.items() if name in (None, table, table.partition(".")[2])]
    if not sinks:
        raise BtcoreError(f'{configuration.file} has no sink nats: add [sink.NAME] with use = "nats"')
    if len(found) != 1:
        raise BtcoreError(f"expected --table with one of {', '.join(sinks)}")
    return found[0]


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not 0 < hours <= 24 * 3660:  # ten years
        raise argparse.ArgumentTypeError(f"expected a number of hours, found {text!r}")
    return hours
