"""A time as a person types it for a span of readings: ISO 8601, a date, or how long ago. Pure."""

import re
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from btcore.records import to_microseconds
from btcore.values.durations import parse_duration
from btcore.values.invalid_value import ConversionContext, InvalidValue

EXPECTED = "expected a time (2026-11-01T12:00), a date (2026-11-01), seconds since 1970, or how long ago (-7d, -12h)"

AGO = re.compile(r"-\s*(\d.*)")

LAST = datetime(2200, 1, 1, tzinfo=UTC)
"""Later times are mistakes."""


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
