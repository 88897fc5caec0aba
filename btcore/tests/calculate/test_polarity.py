# SPDX-License-Identifier: GPL-3.0-or-later
"""Signs: each polarity is the other with directions exchanged, and net is positive less negative."""

from itertools import pairwise

from helpers.counter_readings import (
    ABS,
    DAY,
    POLARITIES,
    Usage,
    any_usage,
    counter_starts,
    reading_at,
    readings_after,
    sample_between,
)
from helpers.property_tests import hundred_examples
from hypothesis import given
from hypothesis import strategies as st

from btcore import Polarity
from btcore.calculate.samples import over


@hundred_examples
@given(counter_starts, any_usage())
def test_the_two_polarities_exchange_directions(start: dict[str, int], step: Usage) -> None:
    """Btmon's sign is the vendor's with positive and negative exchanged, and the net negated; auxiliaries have none."""
    first, last = readings_after(start, [step])
    vendor, btmon = (sample_between(first, last, polarity).values for polarity in POLARITIES)
    for name in ("ch1", "ch2"):
        assert [vendor[f"{name}_{kind}"] for kind in ("pw", "nw", "pwh", "nwh")] == [
            btmon[f"{name}_{kind}"] for kind in ("nw", "pw", "nwh", "pwh")
        ]
        assert [vendor[f"{name}_{kind}"] for kind in ("w", "wh", "dwh")] == [
            None if value is None else -value for value in (btmon[f"{name}_{kind}"] for kind in ("w", "wh", "dwh"))
        ]
    assert [vendor[f"aux1_{kind}"] for kind in ("w", "wh", "dwh")] == [
        btmon[f"aux1_{kind}"] for kind in ("w", "wh", "dwh")
    ]


@hundred_examples
@given(counter_starts, any_usage(), st.sampled_from(POLARITIES))
def test_net_is_positive_less_negative(start: dict[str, int], step: Usage, polarity: Polarity) -> None:
    """Net power and energy are the positive less the negative, exactly, and each is what passed in its direction."""
    first, last = readings_after(start, [step])
    made = sample_between(first, last, polarity)
    for name, (one, other) in {"ch1": step.ch1, "ch2": step.ch2}.items():
        w, pw, nw, wh, pwh, nwh = (made.values[f"{name}_{kind}"] for kind in ("w", "pw", "nw", "wh", "pwh", "nwh"))
        assert [pw, nw] == [way / step.seconds for way in ((one, other) if polarity == "btmon" else (other, one))]
        assert w == (pw or 0) - (nw or 0)
        assert wh == (None if pwh is None or nwh is None else pwh - nwh)
    assert made.values["aux1_wh"] == (last.get("aux1_ws") or 0) / 3600


@hundred_examples
@given(
    counter_starts,
    st.lists(any_usage() | st.builds(Usage, st.integers(1, 60)), max_size=4),
    st.sampled_from(POLARITIES),
)
def test_no_value_is_a_negative_zero(start: dict[str, int], steps: list[Usage], polarity: Polarity) -> None:
    """Nothing is ever -0.0, in samples of one interval or of several, with channels idle or not."""
    series = readings_after(start, [*steps, Usage(10)])
    made = [sample_between(*pair, polarity) for pair in pairwise(series)] + [over(series, polarity)]
    assert not [label for each in made if each for label, value in each.values.items() if str(value) == "-0.0"]


@hundred_examples
@given(st.integers(0, 1 << 40), st.integers(1, 600), st.integers(0, 25_000))
def test_without_polarized_counters_all_is_consumption(before: int, seconds: int, watts: int) -> None:
    """A packet format that has only absolute counters tells no direction: everything is consumption."""
    after = (before + watts * seconds) % (1 << 40)
    series = [
        reading_at(DAY, 0, ABS, ch1_aws=before % (1 << 40)),
        reading_at(DAY + seconds, seconds, ABS, ch1_aws=after),
    ]
    vendor, btmon = (sample_between(series[0], series[1], polarity).values for polarity in POLARITIES)
    assert [watts, watts, 0, after / 3600, after / 3600, 0] == [
        vendor[f"ch1_{kind}"] for kind in ("w", "pw", "nw", "wh", "pwh", "nwh")
    ]
    assert [-watts, 0, watts] == [btmon[f"ch1_{kind}"] for kind in ("w", "pw", "nw")]
    assert watts * seconds / 3600 == vendor["ch1_dwh"]


def test_the_two_counters_may_be_read_a_moment_apart() -> None:
    """A polarized counter slightly ahead of its absolute one is taken as it is; the net is that of the counters."""
    made = sample_between(reading_at(DAY), reading_at(DAY + 10, 10, ch1_aws=1000, ch1_pws=1003), "btmon")
    assert [made.values[f"ch1_{kind}"] for kind in ("pw", "nw", "w", "dwh")] == [100.3, -0.3, 100.6, 1006 / 3600]
