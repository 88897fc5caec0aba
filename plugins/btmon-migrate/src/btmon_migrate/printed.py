# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what btmon printed, and what btcore prints in its layout: readings, and other lines of the log between them."""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache

import attrs

MAX_READINGS = 10_000
"""Readings that are kept, the last ones: a meter has as many in a day."""

MAX_LINE = 1000
"""Characters of a line that are looked at."""

LINE = re.compile(r"(?P<at>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)(?P<colon>:?) (?P<text>.*)")
TITLE = re.compile(r"(?P<title>[^:]+):\s*(?P<value>\S.*)")
NUMBER = r"(?:-?\d+(?:\.\d+)?|\?|none)"
POWER = re.compile(rf"({NUMBER})KWh \(\s*({NUMBER})W\)(?: \(\s*({NUMBER})A\))?")
PLAIN = re.compile(rf"({NUMBER})([VA]?)")


@attrs.frozen
class Printed:
    """One reading as it was printed: its time as this computer's clock shows it, and each number by what it is of.

    `numbers` has `("Ch1 Watts", "KWh")`, `("Ch1 Watts", "W")`, `("Voltage", "V")`, `("t1", "")`, as texts. `line` is
    the line in which it begins.
    """

    at: datetime
    serial: str
    line: int
    numbers: dict[tuple[str, str], str] = attrs.field(factory=dict, repr=False)


@attrs.frozen
class Remark:
    """Another line of the log."""

    at: datetime
    text: str


@attrs.define
class Log:
    """What is in a log. `dropped` readings were more than are kept."""

    readings: deque[Printed] = attrs.field(factory=lambda: deque(maxlen=MAX_READINGS))
    remarks: deque[Remark] = attrs.field(factory=lambda: deque(maxlen=MAX_READINGS))
    dropped: int = 0


def read_log(lines: Iterable[str]) -> Log:
    """Read a log. Lines that are none of btmon's are skipped."""
    log, reading = Log(), None
    for number, line in enumerate(lines, 1):
        found = LINE.match(line[:MAX_LINE].rstrip())
        at = _time(found["at"]) if found else None
        if found is None or at is None:
            continue
        title = TITLE.fullmatch(found["text"]) if found["colon"] else None
        if title and title["title"] == "Serial":
            reading = Printed(at, title["value"].strip(), number)
            log.dropped += len(log.readings) == MAX_READINGS
            log.readings.append(reading)
        elif title and reading is not None and reading.at == at:
            reading.numbers.update(_numbers(title["title"].strip(), title["value"].strip()))
        else:
            log.remarks.append(Remark(at, found["text"]))
    return log


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y/%m/%d %H:%M:%S")  # noqa: DTZ007 - the clock on the wall, as it was printed
    except ValueError:
        return None


def _numbers(title: str, text: str) -> Mapping[tuple[str, str], str]:
    if power := POWER.fullmatch(text):
        numbers = zip(("KWh", "W", "A"), power.groups(), strict=True)
        return {_key(title, unit): number for unit, number in numbers if number is not None}
    if plain := PLAIN.fullmatch(text):
        return {_key(title, plain[2]): plain[1]}
    return {}


@lru_cache(maxsize=1000)
def _key(title: str, unit: str) -> tuple[str, str]:
    """Return a key that all readings share: a day has ten thousand, with a hundred numbers each."""
    return title, unit
