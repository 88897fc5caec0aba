"""Which flow on a channel counts where nobody has said: the one that the meter has counted more of."""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore import ChannelRef, Number, Polarity, Sample
from btmon_pvoutput.measures import Direction, Measures

MakeSample = Callable[..., Sample]
EVERY = 300
POLARITIES: tuple[Polarity, ...] = ("brultech", "btmon")


def measures(polarity: Polarity, direction: Direction = "auto") -> Measures:
    """Measure generation on channel 1 and consumption on channel 2 of any meter."""
    return Measures(
        generation=ChannelRef("", "ch1"),
        generation_direction=direction,
        consumption=ChannelRef("", "ch2"),
        consumption_direction=direction,
        grid=None,
        temperature=None,
        fahrenheit=False,
        polarity=polarity,
    )


def calculated(name: str, before: tuple[int, int], after: tuple[int, int], polarity: Polarity) -> dict[str, Number]:
    """Return what the core calculates of a channel, of its absolute and polarized counters in Ws."""
    ways = [(after[0] - after[1], before[0] - before[1]), (after[1], before[1])]
    if polarity == "btmon":
        ways.reverse()
    values: dict[str, Number] = {}
    for sign, (last, first) in zip("pn", ways, strict=True):
        values[f"{name}_{sign}w"] = (last - first) / EVERY
        values[f"{name}_{sign}wh"] = last / 3600
    return values


@pytest.mark.parametrize("polarity", POLARITIES)
def test_a_generation_channel_that_counts_only_the_absolute_way_is_sent(
    make_sample: MakeSample, polarity: Polarity
) -> None:
    """Where the polarized counter stays at 0, as by the clamp's way round or the meter's settings, nothing is lost."""
    sample = make_sample(**calculated("ch1", (7_200_000, 0), (7_650_000, 0), polarity))
    found = measures(polarity).quantities(sample)
    assert (found["generation_wh"], found["generation_w"]) == (2125.0, 1500.0)


@pytest.mark.parametrize("polarity", POLARITIES)
def test_a_consumption_channel_that_counts_only_the_polarized_way_is_sent(
    make_sample: MakeSample, polarity: Polarity
) -> None:
    """Where the polarized counter is equal to the absolute one, the clamp is turned round, and nothing is lost."""
    sample = make_sample(**calculated("ch2", (7_200_000, 7_200_000), (7_650_000, 7_650_000), polarity))
    found = measures(polarity).quantities(sample)
    assert (found["consumption_wh"], found["consumption_w"]) == (2125.0, 1500.0)


@pytest.mark.parametrize("polarity", POLARITIES)
def test_an_inverter_s_standby_is_not_generation(make_sample: MakeSample, polarity: Polarity) -> None:
    """At night the flow that the channel has counted more of is 0 W, though the inverter uses 5 W."""
    day, night = (36_000_000_000, 35_000_000_000), (36_000_001_500, 35_000_000_000)
    found = measures(polarity).quantities(make_sample(**calculated("ch1", day, night, polarity)))
    assert found["generation_w"] == 0


def test_a_meter_that_has_counted_as_much_of_either_is_taken_as_clamps_usually_sit(make_sample: MakeSample) -> None:
    """Generation is what is exported, consumption what is imported; a new meter at zero has both at 0."""
    flows = {f"{name}_{way}": number for name in ("ch1", "ch2") for way, number in (("pw", 3.0), ("nw", 4.0))}
    equal = dict.fromkeys(("ch1_pwh", "ch1_nwh", "ch2_pwh", "ch2_nwh"), 0.0)
    found = measures("brultech").quantities(make_sample(**flows, **equal))
    assert (found["generation_w"], found["consumption_w"]) == (4.0, 3.0)
    assert (found["generation_wh"], found["consumption_wh"]) == (0.0, 0.0)


def test_what_is_unknown_stays_unknown(make_sample: MakeSample) -> None:
    """Counters that the core could not read are left out, not sent as 0."""
    unknown = dict.fromkeys(("ch1_pw", "ch1_nw", "ch1_pwh", "ch1_nwh"))
    assert measures("brultech").fields(measures("brultech").quantities(make_sample(**unknown))) == {}


Flow = tuple[int, int]
FLOWS: st.SearchStrategy[list[Flow]] = st.lists(
    st.tuples(st.integers(0, 3_000_000), st.integers(0, 3_000_000)), min_size=2, max_size=20
)


def counters(flows: Sequence[Flow]) -> list[Flow]:
    """Add up what flowed one way and the other, in Ws, to the absolute and the polarized counter."""
    totals = accumulate(flows, lambda sums, more: (sums[0] + more[0], sums[1] + more[1]))
    return [(one + other, other) for one, other in totals]


@pytest.mark.parametrize("polarity", POLARITIES)
@given(flows=FLOWS)
def test_the_counter_never_falls_and_the_power_is_that_of_its_own_flow(
    make_sample: MakeSample, polarity: Polarity, flows: list[Flow]
) -> None:
    """However energy flows to and fro, what is sent as a lifetime counter rises; power is an exact average."""
    sent: list[float] = []
    house = measures(polarity)
    for before, after in pairwise(counters(flows)):
        found = house.quantities(make_sample(**calculated("ch1", before, after, polarity)))
        ways = [(after[0] - after[1], before[0] - before[1]), (after[1], before[1])]
        flows_of = [(last / 3600, (last - first) / EVERY) for last, first in ways]
        assert found["generation_w"] in [watts for _, watts in flows_of]
        if found["generation_wh"] is not None:
            assert (found["generation_wh"], found["generation_w"]) in flows_of
            assert found["generation_wh"] == max(energy for energy, _ in flows_of)
            sent.append(found["generation_wh"])
    assert sent == sorted(sent)
