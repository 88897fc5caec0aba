# SPDX-License-Identifier: GPL-3.0-or-later
"""The times in a file: with a zone or without, and never twice the same for one meter. Pure."""

import re
from datetime import UTC, datetime, timedelta

from btcore.classes import define, field
from btcore.imports.options import ImportOptions

EXPECTED = "expected one such as 2023-11-14 22:13:30, or seconds since 1970"

_SECONDS = re.compile(r"\d{9,11}(?:\.\d+)?")
FIRST, LAST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


@define
class FileTimes:
    """Reads the times of readings, in the order of a file.

    In autumn an hour of local time comes twice. A time that goes back, and would not do so in the second of the two
    hours, is in that one. Several readings of a meter in one second are a microsecond apart, so that each has a key of
    its own, and has the same one when the file is imported again.
    """

    options: ImportOptions
    _last: dict[str, datetime] = field(factory=dict)
    _given: dict[str, datetime] = field(factory=dict)

    def read(self, serial: str, text: str) -> datetime:
        """Return the time of a meter's next reading. Raises ValueError."""
        time = self._in_utc(_parse(text, self.options.time_format), self._last.get(serial))
        if not FIRST <= time < LAST:
            raise ValueError(f"{text!r} is not between {FIRST:%Y} and {LAST:%Y}")
        given = self._given.get(serial)
        is_same = given is not None and self._last[serial] == time
        self._last[serial] = time
        self._given[serial] = given + timedelta(microseconds=1) if given is not None and is_same else time
        return self._given[serial]

    def _in_utc(self, time: datetime, last: datetime | None) -> datetime:
        if time.tzinfo is not None:
            return time.astimezone(UTC)
        first, second = (self._local(time.replace(fold=fold)) for fold in (0, 1))
        # in the hour that is left out in spring, the second one is earlier
        return second if last is not None and first < last <= second else first

    def _local(self, time: datetime) -> datetime:
        zone = self.options.zone
        return (time if zone is None else time.replace(tzinfo=zone)).astimezone(UTC)


def _parse(text: str, time_format: str) -> datetime:
    text = text.strip()
    try:
        if time_format:
            return datetime.strptime(text, time_format)  # noqa: DTZ007 - whose zone the options have
        if _SECONDS.fullmatch(text):
            return datetime.fromtimestamp(float(text), UTC)
        return datetime.fromisoformat(text.replace("/", "-"))
    except (ValueError, OverflowError):
        expected = f"expected one such as {time_format}" if time_format else EXPECTED
        raise ValueError(f"{text[:40]!r} is no time; {expected}") from None
