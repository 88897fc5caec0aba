# SPDX-License-Identifier: GPL-3.0-or-later
"""Which readings a database has: it is asked for the times of the first and the last point of each.

The points of a reading are written in one request, from the first to the last, so what has both has all. What a channel
is called, and tags of one's own, do not count: a channel that was renamed is the same channel.
"""

import json
import re
from collections.abc import Sequence

import attrs

from btcore import Reject, Retry
from btcore.web import Answer, Client
from btmon_influxdb.line_protocol import Point, plain_field, plain_name
from btmon_influxdb.points import IDENTIFYING, PointGroup
from btmon_influxdb.writer import REFUSED, Target, quote_name

NOTHING = re.compile(r"\b(database|bucket|table|measurement)\b.{0,100}\bnot found\b", re.IGNORECASE)
"""What a database says of a question about what it does not have at all."""

MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading an answer may raise that is not what it should be."""

MILLISECOND = 1000
"""Microseconds: VictoriaMetrics keeps times in milliseconds."""


@attrs.frozen
class Series:
    """One field of a series, without the tags that may change."""

    measurement: str
    field: str
    tags: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, point: Point) -> "Series":
        """Return the first field of a point."""
        tags = tuple((tag, plain_name(point.tags[tag])) for tag in IDENTIFYING if tag in point.tags)
        return cls(plain_name(point.measurement), plain_field(next(iter(point.fields))), tags)


def find_stored(target: Target, client: Client, groups: Sequence[PointGroup]) -> list[tuple[str, int]]:
    """Return serial number and key of the readings that a database has. Raises Retry, Reject or Stop."""
    if not groups:
        return []
    first, last = min(group.key for group in groups), max(group.key for group in groups)
    ask = _ask_influxql if target.server.has_influxql else _ask_export
    unit = 1 if target.server.has_influxql else MILLISECOND
    needed = {group: {Series.of(point) for point in (group.points[0], group.points[-1])} for group in groups}
    found: dict[Series, set[int]] = {}
    for series in set().union(*needed.values()):
        found[series] = ask(target, client, series, first, last)
    return [
        (group.serial, group.key)
        for group, some in needed.items()
        if all(group.key // unit in found[series] for series in some)
    ]


def _ask_influxql(target: Target, client: Client, series: Series, first: int, last: int) -> set[int]:
    """Ask InfluxDB for the times of a series, in microseconds."""
    conditions = [f"{quote_name(tag)} = {_quote_text(text)}" for tag, text in series.tags]
    conditions += [f"time >= {first}u", f"time <= {last}u"]
    query = f"SELECT {quote_name(series.field)} FROM {quote_name(series.measurement)} WHERE {' AND '.join(conditions)}"  # noqa: S608 - names are quoted
    answer = target.send(client, "/query", data={"db": target.name, "epoch": "u", "q": query})
    if NOTHING.search(answer.line):
        return set()
    _raise_for_answer(target, answer)
    try:
        results = json.loads(answer.body)["results"]
        if error := next((one["error"] for one in results if "error" in one), None):
            raise Retry(f"{target.server.title} answered: {client.redact(str(error))}")
        return {int(row[0]) for one in results for some in one.get("series", ()) for row in some["values"]}
    except MALFORMED:
        raise Retry(f"{target.server.title} answered a query with something else than times") from None


def _ask_export(target: Target, client: Client, series: Series, first: int, last: int) -> set[int]:
    """Ask VictoriaMetrics for the times of a series, in milliseconds."""
    labels = [("__name__", f"{series.measurement}_{series.field}"), *series.tags]
    labels += [("db", target.name)] if target.name else []
    match = ",".join(f"{label}={json.dumps(text, ensure_ascii=False)}" for label, text in labels)
    span = {"start": f"{first / 1e6 - 0.001:.3f}", "end": f"{last / 1e6 + 0.001:.3f}"}
    answer = target.send(client, "/api/v1/export", data={"match[]": f"{{{match}}}", **span})
    _raise_for_answer(target, answer)
    try:
        return {int(at) for line in answer.body.split("\n") if line for at in json.loads(line)["timestamps"]}
    except MALFORMED:
        raise Retry(f"{target.server.title} answered an export with something else than times") from None


def _raise_for_answer(target: Target, answer: Answer) -> None:
    """Return where a question was answered. Raises Retry, Stop, or Reject where the user may write, and not read."""
    if answer.code in REFUSED:
        why = f"{target.server.title} answered {answer.code} to the question what is stored"
        raise Reject(f"{why}: that needs the right to read {target}", whole_batch=True)
    if not answer.ok:
        target.raise_for_answer(answer)


def _quote_text(text: str) -> str:
    """Quote a text for a query of InfluxQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
