# SPDX-License-Identifier: GPL-3.0-or-later
"""A span of readings as a person types it: ISO 8601, a date, or how long ago. Pure."""

import re
from argparse import ArgumentParser, Namespace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from btcore.records import to_microseconds
from btcore.values.durations import parse_duration
from btcore.values.invalid_value import ConversionContext, InvalidValue

EXPECTED = "expected a time (2026-11-01T12:00), a date (2026-11-01), seconds since 1970, or how long ago (-7d, -12h)"

AGO = re.compile(r"-\s*(\d.*)")

LAST = datetime(2200, 1, 1, tzinfo=UTC)
"""Later times are mistakes."""


def add_span_arguments(parser: ArgumentParser) -> None:
    """Add the options of a span of readings to a command, for `parse_span`."""
    parser._negative_number_matcher = re.compile(r"-\.?\d")  # noqa: SLF001 - of Python 3.14: `--from -7d` is no option
    time_help = "2026-11-01T12:00 (local time where no zone is given), 2026-11-01, or how long ago: -7d"
    parser.add_argument("--from", dest="since", metavar="T", help=f"the first reading: {time_help}")
    parser.add_argument("--to", dest="until", metavar="T", help="the last reading; a date means its end")


def parse_span(args: Namespace, now: datetime) -> tuple[int | None, int | None]:
    """Return the keys of the first and the last reading that are wanted. Ends with the usage for what is no span."""
    try:
        since = parse_moment(args.since, now) if args.since else None
        until = parse_moment(args.until, now, is_end=True) if args.until else None
    except ValueError as error:
        args.usage(str(error))
    if since is not None and until is not None and since > until:
        args.usage("--from is after --to")
    return since, until


def parse_moment(text: str, now: datetime, *, is_end: bool = False) -> int:
    """Return a time as a key. Raises ValueError with what was expected.

    A time without a zone is local. A date means its beginning; with `is_end`, its end.
    """
    try:
        moment = _moment(text.strip(), now, is_end=is_end).astimezone(UTC)
    except (ValueError, OverflowError, OSError, InvalidValue):
        raise ValueError(f"{text!r} is no time; {EXPECTED}") from None
    if not datetime(1970, 1, 1, tzinfo=UTC) <= moment < LAST:
        raise ValueError(f"{text!r} is not between 1970 and {LAST:%Y}; {EXPECTED}")
    return to_microseconds(moment)


def _moment(text: str, now: datetime, *, is_end: bool) -> datetime:
    if ago := AGO.fullmatch(text):
        return now - timedelta(seconds=parse_duration(ago[1], ConversionContext(Path())))
    if re.fullmatch(r"\d{9,11}(\.\d+)?", text):
        return datetime.fromtimestamp(float(text), UTC)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        day = date.fromisoformat(text)
        midnight: datetime = datetime.combine(day + timedelta(days=is_end), time()).astimezone()
        return midnight - timedelta(microseconds=is_end)
    return datetime.fromisoformat(text)
