# SPDX-License-Identifier: GPL-3.0-or-later
"""What `nox -s bench` prints and writes: the table, the JSON, the charts. Nothing is measured here."""

import xml.etree.ElementTree as ET

from bench.chart import Chart
from bench.rows import Must, Row, comparison, markdown, reckoned, table
from bench.timing import Spread

FAST = Row("framing", "µs", Spread(2.0, 1.0, 3.0), Must(80, times=True), 162.0, 81.0)
SLOW = Row("waiting", "ms", Spread(25.0, 20.0, 30.0), Must(20, is_cost=True))
MANY = Row("packets", "/s", Spread(9000.0, 8000.0, 9500.0), Must(10_000))
RECKONED = reckoned("packets", "/s", [(9000.0, 0.5), (8000.0, 0.5), (9500.0, 1.0)], Must(10_000))
SLOW_HERE = reckoned("start", "ms", [(150.0, 0.5), (120.0, 0.5), (300.0, 0.25)], Must(100, is_cost=True))


def test_a_row_is_written_as_the_contract_says() -> None:
    """A record has the keys that other programs read."""
    record = FAST.record()
    assert list(record) == ["work", "unit", "median", "low", "high", "peer", "ratio", "must"]
    assert (record["ratio"], record["must"]) == (81.0, ">= 80 x")


def test_a_row_says_whether_what_must_be_is_reached() -> None:
    """A cost may be no more, a rate no less, and a ratio no less than what must be."""
    assert [one.verdict for one in (FAST, SLOW, MANY)] == ["met", "missed", "missed"]


def test_what_is_reckoned_is_for_the_machine_where_what_must_be_was_set() -> None:
    """Half as fast a machine does half as many, and takes twice as long; the record keeps what was measured."""
    assert [(one.there, one.verdict) for one in (RECKONED, SLOW_HERE)] == [(16_000.0, "reckoned"), (75.0, "reckoned")]
    assert [one.record()["median"] for one in (RECKONED, SLOW_HERE)] == [9000.0, 150.0]


def test_tables_have_all_rows() -> None:
    """Each row is in both tables; a comparison says how many times as good it is now."""
    assert all(one.work in table([FAST, SLOW]) and one.work in markdown([FAST, SLOW]) for one in (FAST, SLOW))
    assert "2.00 x" in comparison([SLOW], [{"work": "waiting", "median": 50.0}])
    assert "not measured before" in comparison([MANY], [])


def test_a_chart_is_a_picture_with_all_its_points() -> None:
    """The SVG is well-formed, has a circle for each point, and escapes what it is told."""
    chart = Chart("cost < all & none", "sinks", "µs", [(1.0, 150.0), (10.0, 170.5), (1000.0, 0.0)], is_log=True)
    root = ET.fromstring(chart.svg())
    assert len(root.findall("{http://www.w3.org/2000/svg}circle")) == 3
