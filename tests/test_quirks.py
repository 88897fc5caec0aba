# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of golden/QUIRKS.md, with their numbers: what btmon 3.4.0 made of each, and what is so."""

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest
from helpers.golden_streams import RECORDED_AT, VALUE_NAMES, btmon_values, golden_readings

from btcore.calculate.samples import between, over
from btcore.calculate.transition import NoSample, Transition, transition_between
from btcore.decode.brultech import FORMATS, pack
from btcore.formats import Number
from btcore.records import Reading, Sample
from btcore.settings import Polarity


def ecm(secs: int, at: float = 0, **counters: int) -> Reading:
    """Return a reading of an ECM-1240, received `at` seconds after START."""
    raw = pack("ecm1240bin", "312345", {"secs": secs, **counters})
    return Reading(RECORDED_AT + timedelta(seconds=at), FORMATS["ecm1240bin"], "312345", raw)


def gem(secs: int, at: float = 0, **counters: int) -> Reading:
    """Return a reading of a GEM, received `at` seconds after START."""
    raw = pack("gem48pbin", "01021234", {"secs": secs, **counters})
    return Reading(RECORDED_AT + timedelta(seconds=at), FORMATS["gem48pbin"], "01021234", raw)


def sample_of(older: Reading, newer: Reading, polarity: Polarity = "btmon") -> Sample:
    """Return the sample between two readings that must have one."""
    sample = between(older, newer, polarity)
    assert isinstance(sample, Sample)
    return sample


def powers(sample: Sample, channel: str = "ch1") -> tuple[Number, ...]:
    """Return net, positive and negative power."""
    return tuple(sample.values[f"{channel}_{kind}"] for kind in ("w", "pw", "nw"))


def test_a1_net_power_of_a_channel_that_ran_both_ways() -> None:
    """10 s with 100 Ws positive and 900 Ws negative are -80 W, as the energy says; btmon has +100."""
    sample = sample_of(ecm(1000), ecm(1010, 10, ch1_aws=1000, ch1_pws=100))
    assert powers(sample) == (-80.0, 10.0, 90.0)
    assert pytest.approx(-0.2222, abs=1e-4) == sample.values["ch1_dwh"]


def test_a1_balanced_flow_is_no_power() -> None:
    """500 Ws one way and 500 Ws the other are 0 W and 0 Wh; btmon has +100 W."""
    sample = sample_of(ecm(1000), ecm(1010, 10, ch1_aws=1000, ch1_pws=500))
    assert (powers(sample), sample.values["ch1_dwh"]) == ((0.0, 50.0, 50.0), 0.0)


def test_a2_a_load_is_positive_by_default_and_negative_as_btmon_has_it() -> None:
    """A channel whose polarized counter never moves consumes 100 W; `polarity = "btmon"` gives -100 W."""
    readings = ecm(1000), ecm(1010, 10, ch1_aws=1000)
    vendor, btmon = sample_of(*readings, "brultech"), sample_of(*readings, "btmon")
    assert (powers(vendor), powers(btmon)) == ((100.0, 100.0, 0.0), (-100.0, 0.0, 100.0))
    assert pytest.approx([0.2778, -0.2778], abs=1e-4) == [vendor.values["ch1_dwh"], btmon.values["ch1_dwh"]]


def test_a3_the_other_polarity_only_exchanges_the_directions() -> None:
    """The example of A1 the other way round is +80 W; btmon has +100 W again."""
    sample = sample_of(ecm(1000), ecm(1010, 10, ch1_aws=1000, ch1_pws=100, aux1_ws=1000), "brultech")
    assert powers(sample) == (80.0, 90.0, 10.0)
    assert sample.values["aux1_w"] == 100.0


def test_a3_pure_generation_is_negative() -> None:
    """Where all energy went into the polarized counter, the vendor's sign is negative."""
    assert powers(sample_of(ecm(1000), ecm(1010, 10, ch1_aws=1000, ch1_pws=1000), "brultech")) == (-100.0, 0.0, 100.0)


@pytest.mark.parametrize("polarity", ["brultech", "btmon"])
def test_a4_an_idle_channel_has_no_sign(polarity: Polarity) -> None:
    """No value of an idle meter is -0.0."""
    idle = {"ch1_aws": 5000, "ch1_pws": 2500, "ch2_aws": 7200}
    sample = sample_of(ecm(1000, **idle), ecm(1010, 10, **idle), polarity)
    assert str(sample.values["ch1_w"]) == "0.0"
    assert "-0.0" not in {str(value) for value in sample.values.values()}


A5 = {
    "absolute": ({"ch1_aws": 2**40 - 600}, {"ch1_aws": 400}, -100.0),
    "polarized": ({"ch1_pws": 2**40 - 600}, {"ch1_pws": 400, "ch1_aws": 1000}, 100.0),
    "both": ({"ch1_aws": 2**40 - 600, "ch1_pws": 2**40 - 600}, {"ch1_aws": 400, "ch1_pws": 400}, 100.0),
}


@pytest.mark.parametrize(("before", "after", "watts"), A5.values(), ids=A5)
@pytest.mark.parametrize("make", [ecm, gem])
def test_a5_a7_energy_of_a_counter_that_wraps_is_exact(
    make: Callable[..., Reading], before: dict[str, int], after: dict[str, int], watts: float
) -> None:
    """1000 Ws over the end of a 40-bit counter are 0.2778 Wh, on an ECM and on a GEM, whichever counter wraps."""
    sample = sample_of(make(1000, **before), make(1010, 10, **after))
    assert [sample.values["ch1_w"], sample.values["ch1_dwh"]] == pytest.approx([watts, watts / 360])


def test_a6_an_auxiliary_counter_that_wraps() -> None:
    """1000 Ws over the end of a 32-bit counter are 100 W and 0.2778 Wh; the cumulative Wh begin again."""
    sample = sample_of(ecm(1000, aux1_ws=2**32 - 600), ecm(1010, 10, aux1_ws=400))
    assert tuple(sample.values[f"aux1_{kind}"] for kind in ("w", "dwh", "wh")) == (100.0, 1000 / 3600, 400 / 3600)


def test_a7_an_absolute_counter_of_a_gem_that_wraps_costs_nothing() -> None:
    """ch7 from 1099511627176 to 400 is 1000 Ws more, and no channel's interval is lost."""
    sample = sample_of(gem(1000, ch7_aws=1099511627176), gem(1010, 10, ch7_aws=1000 - 600, ch1_aws=50))
    assert (sample.values["ch7_w"], sample.values["ch1_w"]) == (-100.0, -5.0)


def test_a8_a_polarized_counter_that_drops_alone_is_unknown() -> None:
    """A polarized counter from 5000 to 0 while the absolute one rises by 1000 tells no direction, after any time."""
    for gap in (10, 20 * 86_400):
        sample = sample_of(gem(1000, ch1_aws=9000, ch1_pws=5000), gem(1000 + gap, gap, ch1_aws=10_000))
        assert (powers(sample), sample.values["ch1_dwh"]) == ((None, None, None), None)
        assert sample.values["ch1_nwh"] == 10_000 / 3600


def test_a9_a_restart_without_a_flag_is_noticed() -> None:
    """Seconds from 5000 to 8, aws from 36000000 to 8000: no power, the 8000 Ws since; btmon has -65553.36 W."""
    sample = sample_of(ecm(5000, ch1_aws=36_000_000), ecm(8, 10, ch1_aws=8000))
    assert (sample.seconds, sample.reset, powers(sample)) == (None, True, (None, None, None))
    assert sample.values["ch1_dwh"] == -8000 / 3600


def test_a10_seconds_that_restart_alone_leave_the_energy() -> None:
    """A GEM that restarts but keeps its counters: the energy is exact, the power unknown; btmon has 0.002 W."""
    older, newer = golden_readings("gem48pbin_reset.default")[5:7]
    sample = sample_of(older, newer)
    assert (transition_between(older, newer), sample.seconds, sample.values["ch2_w"]) == (Transition.REBOOT, None, None)
    assert pytest.approx(9.277, abs=1e-3) == sample.values["ch2_dwh"]


@pytest.mark.parametrize("name", [name for name in VALUE_NAMES if "_same_second" in name])
def test_a11_equal_seconds_are_no_sample_and_lose_no_energy(name: str) -> None:
    """A packet with the same seconds counter gives no sample; the next one's has the energy counted between them."""
    series = golden_readings(name)
    assert [transition_between(series[2], series[3]), transition_between(series[4], series[5])] == [
        NoSample.DUPLICATE
    ] * 2
    sample = over(series[2:5], "btmon")
    assert sample is not None
    older, newer = (int(series[place].get("ch2_aws") or 0) for place in (2, 4))
    consumed = (sample.values["ch2_pw"] or 0) + (sample.values["ch2_nw"] or 0)
    assert pytest.approx(newer - older) == consumed * 11
    assert (series[2], series[4], 11) == (sample.older, sample.newer, sample.seconds)


def test_a12_nothing_is_changed_by_calculating() -> None:
    """Readings are the same after a calculation, and the same again gives the same."""
    older, newer = golden_readings("ecm1240bin_steady.default")[:2]
    before = older.values, newer.values
    first, second = sample_of(older, newer), sample_of(older, newer)
    assert before == (older.values, newer.values)
    assert first.values == second.values


def test_a13_an_idle_channel_has_no_energy_at_all() -> None:
    """The energy of an idle channel is exactly 0, where btmon has 1.4551915228366852e-11 Wh."""
    name = "gem48ptbin_steady.default"
    pair = next(pair for pair in btmon_values(name)["calculated"] if pair["newer"] == 6)
    assert abs(pair["added"]["ch1_dwh"]) == 1.4551915228366852e-11
    older, newer = golden_readings(name)[5:7]
    assert sample_of(older, newer).values["ch1_dwh"] == 0.0


def test_a15_pulses_are_passed_on() -> None:
    """Pulse counters are passed on, as in btmon; a sample has beside them what was counted in the meter's life."""
    older, newer = golden_readings("gem48pbin_steady.default")[:2]
    sample = sample_of(older, newer)
    assert [label for label in sample.values if label.startswith("p")] == [f"p{n}_total" for n in range(1, 5)]
    assert newer.get("p1") == sample.get("p1") == sample.get("p1_total")


@pytest.mark.parametrize("make", [ecm, gem])
def test_c1_packets_of_the_same_second_keep_their_order(make: Callable[..., Reading]) -> None:
    """Five packets a second apart, two of them received in the same second, are -1000 W four times."""
    times = [0.0, 1.0, 2.5, 2.5, 4.0]
    series = [make(1000 + i, at, ch1_aws=10_000 + 1000 * i) for i, at in enumerate(times)]
    assert [sample_of(*pair).values["ch1_w"] for pair in pairwise(series)] == [-1000.0] * 4


def test_c2_a_clock_set_back_loses_nothing() -> None:
    """Packets that are received at earlier times than the ones before are measured by the meter's own clock."""
    sample = sample_of(ecm(900_000), ecm(900_010, -3600, ch1_aws=1000))
    assert (sample.seconds, sample.values["ch1_w"]) == (10, -100.0)
