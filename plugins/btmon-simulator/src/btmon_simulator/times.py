# SPDX-License-Identifier: GPL-3.0-or-later
"""Times as a configuration writes them. No clock and no waiting here."""

from datetime import datetime

FIRST_YEAR = 2000
LAST_YEAR = 2199
"""A GEM's clock begins in 2000; a year far above that is a typing mistake."""


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 time, aware; without an offset it is this computer's. Raises ValueError: what was expected."""
    expected = f"expected a time like 2026-06-21T06:00:00 or 2026-06-21T06:00:00+02:00, not {text!r}"
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(expected) from None
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise ValueError(f"{expected}: its year must be {FIRST_YEAR} to {LAST_YEAR}")
    return time if time.tzinfo else time.astimezone()


def validate_start(_instance: object, _attribute: object, text: str) -> None:
    """Refuse a setting that is neither empty nor a time: raises ValueError with what was expected."""
    if text:
        parse_time(text)
