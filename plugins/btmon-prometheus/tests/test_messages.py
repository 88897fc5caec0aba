# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of remote-write, read by a reader of their own."""

import pytest
from helpers.remote_write import Written, read_varint, unsnapped, written
from hypothesis import given
from hypothesis import strategies as st

from btmon_prometheus.messages import snappy, varint, write_request

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
LABELS = st.dictionaries(TEXTS, TEXTS, max_size=5).map(lambda labels: tuple(labels.items()))
SAMPLES = st.dictionaries(st.integers(0, (1 << 63) - 1), st.floats(allow_nan=False), min_size=1, max_size=5)


@given(st.integers(0, (1 << 64) - 1))
def test_a_number_comes_back(number: int) -> None:
    """Each byte but the last says that more follow."""
    assert read_varint(varint(number), 0) == (number, len(varint(number)))


@given(st.dictionaries(LABELS, SAMPLES, max_size=4))
def test_series_come_back_in_order(series: dict[tuple[tuple[str, str], ...], dict[int, float]]) -> None:
    """Labels by name and samples by time, as the protocol asks."""
    expected = [Written(tuple(sorted(labels)), tuple(sorted(samples.items()))) for labels, samples in series.items()]
    assert written(snappy(write_request(series))) == expected


def test_a_label_without_text_is_left_out() -> None:
    """To Prometheus it is the same, and the protocol forbids it."""
    assert written(snappy(write_request({(("b", ""), ("a", "x")): {1: 2.0}}))) == [Written((("a", "x"),), ((1, 2.0),))]


@pytest.mark.parametrize("size", [0, 1, 60, 61, 255, 256, 257, 65_535, 65_536, 65_537, 200_000])
def test_data_of_every_size_comes_back(size: int) -> None:
    """At the edges of what one piece can hold, too."""
    data = bytes(at * 7 % 251 for at in range(size))
    assert unsnapped(snappy(data)) == data
