# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus's text format, read by Prometheus's own parser."""

import math
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from btcore.serve import Family, format_families

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(value=TEXTS, number=st.floats() | st.integers(-(1 << 80), 1 << 80))
def test_every_label_and_number_comes_out_as_it_went_in(value: str, number: float) -> None:
    """Quotes, backslashes, line breaks, letters of all languages, NaN and infinite numbers."""
    family = Family("energy_watts", "gauge", "power", (((("name", value),), number),))
    (metric,) = text_string_to_metric_families(format_families([family]))
    (sample,) = metric.samples
    assert sample.labels == {"name": value}
    assert sample.value == float(number) or (math.isnan(number) and math.isnan(sample.value))


@given(TEXTS)
def test_a_help_text_is_one_line(text: str) -> None:
    """Whatever is in it, the metric behind it is read."""
    family = Family("energy_watts", "gauge", text, (((), 1.5),))
    (metric,) = text_string_to_metric_families(format_families([family]))
    assert [sample.value for sample in metric.samples] == [1.5]


def test_what_is_not_known_has_no_sample() -> None:
    """A value of None is left out, and a metric of which none is known; a time is in seconds since 1970."""
    unknown = Family("a", "gauge", "nothing", (((), None),))
    known = Family("b_total", "counter", "a time", (((), datetime.fromtimestamp(17.5, UTC)), ((("x", "y"),), None)))
    assert format_families([unknown, known]) == "# HELP b_total a time\n# TYPE b_total counter\nb_total 17.5\n"
