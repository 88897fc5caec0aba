# SPDX-License-Identifier: GPL-3.0-or-later
"""Points, and the text that a database reads them from: InfluxDB's line protocol. Pure.

All values are floats: the first write of a field fixes its type, so one counter without `.0` would shut out all others.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

import attrs

from btcore import Number

_UNWRITABLE = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+")
"""Line breaks, which end a point, and other characters that no name has."""

_IN_MEASUREMENT = re.compile("([, ])")
_IN_NAME = re.compile("([,= ])")


@attrs.frozen
class Point:
    """The values of one series at one moment. `key` is the time in microseconds since 1970."""

    measurement: str
    tags: Mapping[str, str]
    fields: Mapping[str, float]
    key: int


def plain_name(text: str) -> str:
    """Return a name as the databases can keep it.

    Line breaks and control characters become blanks. A backslash becomes a slash: each database has rules of its own
    for one that stands before another special character, and none can keep it at the end.
    """
    return _UNWRITABLE.sub(" ", text).replace("\\", "/")


def plain_field(text: str) -> str:
    """Return the name of a field as the databases can keep it: VictoriaMetrics takes none with a quotation mark."""
    return plain_name(text).replace('"', "'")


def finite_fields(values: Mapping[str, Number]) -> dict[str, float]:
    """Return the values that are known, as floats; the protocol has no null, no NaN and no infinity."""
    known = {name: float(value) for name, value in values.items() if value is not None}
    return {name: value + 0.0 for name, value in known.items() if abs(value) < float("inf")}  # +0.0: never -0.0


def write_line(point: Point) -> str:
    """Return the line of a point, which has a field at least, without a line break; its time is in microseconds."""
    measurement = _measurement(point.measurement)
    tags = "".join(f",{_name(tag)}={_name(text)}" for tag, text in sorted(point.tags.items()) if text)
    fields = ",".join(f"{_field(field)}={value!r}" for field, value in point.fields.items())
    return f"{measurement}{tags} {fields} {point.key}"


@lru_cache(maxsize=1000)
def _measurement(text: str) -> str:
    return _IN_MEASUREMENT.sub(r"\\\1", plain_name(text))


@lru_cache(maxsize=10_000)
def _name(text: str) -> str:
    """Return a name as it is written; the same ones come in every reading."""
    return _IN_NAME.sub(r"\\\1", plain_name(text))


@lru_cache(maxsize=10_000)
def _field(text: str) -> str:
    return _name(plain_field(text))
