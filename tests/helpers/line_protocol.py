# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads InfluxDB's line protocol by its documented rules, strictly: for tests of what writes it."""

import re

import attrs

TOKEN = r"(?:\\.|[^\\,= ])+"
MEASUREMENT = r"(?:\\[, ]|[^\\, ])+"
LINE = re.compile(rf"({MEASUREMENT})((?:,{TOKEN}={TOKEN})*) ({TOKEN}=[^,= ]+(?:,{TOKEN}=[^,= ]+)*) (\d+)")
PAIR = re.compile(rf"({TOKEN})=({TOKEN})")
FLOAT = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


@attrs.frozen
class Line:
    """A point as it was read; its tags and fields in the order of the line."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, float]
    time: int


def read_lines(text: str) -> list[Line]:
    """Read the lines of a request. Raises ValueError for one that a server would not take."""
    return [_read_line(line) for line in text.split("\n") if line]


def _read_line(line: str) -> Line:
    found = LINE.fullmatch(line)
    if found is None or line.startswith("#"):
        raise ValueError(line)
    measurement, tags, fields, time = found.groups()
    return Line(
        _unescape(measurement),
        {_unescape(tag): _unescape(text) for tag, text in PAIR.findall(tags)},
        {_unescape(field): _number(value) for field, value in PAIR.findall(fields)},
        int(time),
    )


def _number(text: str) -> float:
    if not FLOAT.fullmatch(text):
        raise ValueError(text)
    return float(text)


def _unescape(text: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", text)
