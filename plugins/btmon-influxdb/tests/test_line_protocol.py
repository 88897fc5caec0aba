# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a channel is called, a line says it, and the real servers read it back."""

import itertools
import math

import pytest
from helpers.line_protocol import Line, read_lines
from helpers.property_tests import examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from servers.time_series_servers import InfluxDB, VictoriaMetrics, post

from btcore.testing import wait_for
from btmon_influxdb.line_protocol import Point, finite_fields, plain_field, plain_name, write_line

NAMES = st.text(st.sampled_from(" ,=\"'\\\n\r\t\0#{}()ab9éß日😀\u2028\x85") | st.characters(), min_size=1, max_size=12)
POINTS = st.lists(
    st.builds(
        Point,
        measurement=NAMES.filter(lambda name: name[0] not in "#_").map("m".__add__),
        tags=st.dictionaries(NAMES.map("tag".__add__), NAMES, max_size=3),
        fields=st.dictionaries(
            NAMES.map("of".__add__), st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=3
        ),
        key=st.integers(1_000_000_000_000_000, 1_700_000_000_000_000),
    ),
    min_size=1,
    max_size=4,
)
HOSTILE = Point(
    'm ,="\\', {"tag ,=\"'\\": 'a,b=c "d" \\', "tag\n": "x\ny 1\nz f=1 2"}, {'of,= "': 1.5}, 1_700_000_000_000_000
)
NUMBERS = itertools.count()
real = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def expected(point: Point) -> Line:
    """Return what is to be read of a point."""
    return Line(
        plain_name(point.measurement),
        {plain_name(tag): plain_name(text) for tag, text in point.tags.items()},
        {plain_field(field): value for field, value in point.fields.items()},
        point.key,
    )


@given(POINTS)
@example([HOSTILE])
def test_a_line_says_what_the_point_is(points: list[Point]) -> None:
    """A point is one line, which a reader of the protocol takes for that point, between any others."""
    assert read_lines("\n".join(map(write_line, points))) == [expected(point) for point in points]


@given(NAMES)
def test_a_name_stays_what_it_is_unless_no_database_can_keep_it(name: str) -> None:
    """Only backslashes and characters that cannot be printed are replaced."""
    kept = plain_name(name)
    assert len(kept) <= len(name)
    assert kept == name or "\\" in name or not name.isprintable()


@given(st.dictionaries(NAMES, st.none() | st.integers(-(1 << 63), 1 << 63) | st.floats()))
def test_fields_are_finite_floats(values: dict[str, float | None]) -> None:
    """What is not known, not a number or infinite is left out; an integer becomes a float; no zero is negative."""
    found = finite_fields(values)
    assert found == {name: float(it) for name, it in values.items() if it is not None and math.isfinite(it)}
    assert all(type(value) is float and str(value) != "-0.0" for value in found.values())


def lines_of(points: list[Point]) -> str:
    """Return a request."""
    return "".join(f"{write_line(point)}\n" for point in points)


def values_of(points: list[Point]) -> set[tuple[str, tuple[tuple[str, str], ...], int, str, float]]:
    """Return what a database is to hold of points; of two for one value, the later one."""
    found = {
        (
            line.measurement,
            tuple(sorted((tag, text) for tag, text in line.tags.items() if text)),
            line.time,
            field,
        ): value
        for line in map(expected, points)
        for field, value in line.fields.items()
    }
    return {(*what, value) for what, value in found.items()}


@pytest.mark.servers
@real
@given(points=POINTS)
@example(points=[HOSTILE])
def test_influxdb_reads_back_what_was_written(influxdb: InfluxDB, points: list[Point]) -> None:
    """Measurement, tags, field, time and value of each point are in the database, and nothing else."""
    influxdb.query('DROP DATABASE "names"')
    influxdb.query('CREATE DATABASE "names"')
    post(f"{influxdb.url}/write?db=names&precision=u", lines_of(points))
    assert influxdb.points("names") == values_of(points)


@pytest.mark.servers
@real
@given(points=POINTS)
@example(points=[HOSTILE])
def test_victoriametrics_reads_back_what_was_written(victoria: VictoriaMetrics, points: list[Point]) -> None:
    """Name, labels, time and value of each point are in the database, and nothing else."""
    name = f"names{next(NUMBERS)}"
    post(f"{victoria.url}/api/v2/write?db={name}&precision=us", lines_of(points))
    written = {
        (f"{measurement}_{field}", tuple(sorted({**dict(tags), "db": name}.items())), time // 1000)
        for measurement, tags, time, field, _ in values_of(points)
    }
    wait_for(lambda: exported(victoria, name) == written, f"{written} in VictoriaMetrics", patience=10)


def exported(victoria: VictoriaMetrics, database: str) -> set[tuple[str, tuple[tuple[str, str], ...], int]]:
    """Return name, labels and time of what VictoriaMetrics holds with a label `db`."""
    return {
        (labels["__name__"], tuple(sorted((label, it) for label, it in labels.items() if label != "__name__")), time)
        for series in victoria.export(f'{{db="{database}"}}')
        for labels in [series["metric"]]
        for time in series["timestamps"]
    }
