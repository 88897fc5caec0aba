# SPDX-License-Identifier: GPL-3.0-or-later
"""What a browser or another program asks for, read from the address: channels, from when to when, in which steps."""

from collections.abc import Sequence
from datetime import datetime
from math import isfinite
from time import time

from starlette.datastructures import QueryParams

from btmon_dashboard.history import QueryError
from btmon_dashboard.spans import DAY

LAST = 32_503_680_000
"""The beginning of the year 3000: no page asks for a later time."""

MAX_CHANNELS = 64
"""The most channels of a question."""


def parse_span(query: QueryParams) -> tuple[float, float]:
    """Return from when to when, in seconds since 1970; the last day where nothing is said. Raises QueryError."""
    end = parse_moment("to", query.get("to", ""), time())
    start = parse_moment("from", query.get("from", ""), end - DAY)
    if not start < end:
        raise QueryError("from: expected a time before `to`")
    return start, end


def parse_channels(query: QueryParams) -> Sequence[tuple[str, str]]:
    """Return the serial number and the channel of each that is asked for. Raises QueryError."""
    given = query.getlist("channel")
    if not 0 < len(given) <= MAX_CHANNELS:
        raise QueryError(f"channel: expected SERIAL_CHANNEL, up to {MAX_CHANNELS} times")
    return [(serial, channel) for serial, _, channel in (one.rpartition("_") for one in given)]


def parse_moment(key: str, text: str, default: float) -> float:
    """Return seconds since 1970 of a number, or of a time of ISO 8601, local without a zone. Raises QueryError."""
    try:
        moment = _moment(text) if text else default
        if isfinite(moment) and 0 <= moment < LAST:
            return moment
    except (ValueError, OverflowError, OSError):
        pass
    raise QueryError(f"{key}: expected seconds since 1970, or a time such as 2026-06-21T06:00, found {text!r:.40}")


def _moment(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        # a `+` in an address is a blank
        return datetime.fromisoformat(text.replace(" ", "+", 1) if text[-6:-5] == " " else text).timestamp()
