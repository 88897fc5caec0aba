# SPDX-License-Identifier: GPL-3.0-or-later
"""Which flow on a channel counts where nobody has said: the one that the meter has counted more of, and it is told."""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from helpers.configured_sink import deliver_entries, sink_from_toml
from hypothesis import given
from hypothesis import strategies as st
from servers.pvoutput import PVOutputServer

from btcore import ChannelRef, Number, Polarity, Sample, pack
from btcore.journal import Entry
from btmon_pvoutput.flows import DirectionSetting
from btmon_pvoutput.measures import Measures

MakeSample = Callable[..., Sample]
EVERY = 300
POLARITIES: tuple[Polarity, ...] = ("brultech", "btmon")


def measures(polarity: Polarity, direction: DirectionSetting = "auto") -> Measures:
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
    both_ways = [(after[0] - after[1], before[0] - before[1]), (after[1], before[1])]
    if polarity == "btmon":
        both_ways.reverse()
    values: dict[str, Number] = {}
    for sign, (last, first) in zip("pn", both_ways, strict=True):
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
    flows = {f"{name}_{kind}": number for name in ("ch1", "ch2") for kind, number in (("pw", 3.0), ("nw", 4.0))}
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
        both_ways = [(after[0] - after[1], before[0] - before[1]), (after[1], before[1])]
        flows_of = [(last / 3600, (last - first) / EVERY) for last, first in both_ways]
        assert found["generation_w"] in [watts for _, watts in flows_of]
        if found["generation_wh"] is not None:
            assert (found["generation_wh"], found["generation_w"]) in flows_of
            assert found["generation_wh"] == max(energy for energy, _ in flows_of)
            sent.append(found["generation_wh"])
    assert sent == sorted(sent)


# --- what is told, and what `auto` makes of what contradicts it

KWH = 3_600_000


def told(house: Measures, *samples: Sample, level: int = logging.INFO) -> list[str]:
    """Return what is told of these samples, each given twice."""
    for sample in (*samples, *samples):
        house.quantities(sample)
    return [text for found, text in house.directions.notices() if found >= level]


def after(exported: float, imported: float, *, export: int = 0, import_: int = 0) -> tuple[Flow, Flow]:
    """Return the counters, in Ws, of a channel that has counted so many kWh, before and after so many W flowed."""
    one, other = round(imported * KWH), round(exported * KWH)
    return (one + other, other), (one + other + (export + import_) * EVERY, other + export * EVERY)


@pytest.mark.parametrize("polarity", POLARITIES)
def test_what_was_chosen_is_told_once_with_the_numbers(make_sample: MakeSample, polarity: Polarity) -> None:
    """And how to fix it."""
    sample = make_sample(serial="01000777", **calculated("ch1", *after(5123, 12, export=900), polarity))
    assert told(measures(polarity), sample) == [
        (
            "generation: 01000777_ch1 has counted 5,123 kWh as export and 12 kWh as import: export is sent;"
            " generation_direction fixes it"
        )
    ]


@pytest.mark.parametrize(
    ("exported", "imported", "level", "words"),
    [
        (0, 0, logging.INFO, "has counted nothing yet: export is sent until more is counted as import;"),
        (0.028, 0.0011, logging.INFO, "has counted 0.028 kWh as export and 0.0011 kWh as import: export is sent;"),
        (500, 251, logging.WARNING, "500 kWh as export and 251 kWh as import: they are close, and export is sent"),
        (300, 301, logging.WARNING, "301 kWh as import and 300 kWh as export: they are close, and import is sent"),
        (500, 249, logging.INFO, "export is sent; generation_direction fixes it"),
    ],
)
def test_two_counters_that_are_close_are_doubtful(
    make_sample: MakeSample, exported: float, imported: float, level: int, words: str
) -> None:
    """One may overtake the other: it is told what to write."""
    sample = make_sample(serial="01000777", **calculated("ch1", *after(exported, imported), "brultech"))
    house = measures("brultech")
    house.quantities(sample)
    ((found, text),) = house.directions.notices()
    assert (found, words in text) == (level, True)
    assert level == logging.INFO or 'Write generation_direction = "export" or "import"' in text


@pytest.mark.parametrize("polarity", POLARITIES)
def test_a_channel_whose_life_says_otherwise_is_sent_as_it_flows(make_sample: MakeSample, polarity: Polarity) -> None:
    """503 kWh of a load, from before the panels were there: their power is sent, not 0, and it is told."""
    house = measures(polarity)
    night, morning, evening = (
        make_sample(serial="01000777", **calculated("ch1", *counters, polarity))
        for counters in (
            after(0.028, 503, import_=5),
            after(0.028, 503.001, export=2187),
            after(3, 503.001, import_=5),
        )
    )
    sent = [house.quantities(sample) for sample in (night, morning, evening)]
    watts = [found["generation_w"] for found in sent]
    assert watts == pytest.approx([5, 2187, 0])
    # the counter of the load was sent at night; the panels' is less, and PVOutput refuses energy that falls
    assert [found["generation_wh"] for found in sent] == [pytest.approx(503_000, abs=1), None, None]
    (warning,) = (text for level, text in house.directions.notices() if level == logging.WARNING)
    assert warning == (
        "generation: 01000777_ch1 has counted 503 kWh as import and 0.21 kWh as export, but 2,187 W flow as export now"
        " and 0 W as import: the power of export is sent, and its energy once its counter is the larger one, as"
        ' PVOutput refuses energy that falls. To send both now, write generation_direction = "export"; if import is'
        ' generation, write generation_direction = "import"'
    )
    # once the panels have counted more, their counter is the greater one
    found = house.quantities(make_sample(serial="01000777", **calculated("ch1", *after(504, 503.002), polarity)))
    assert found["generation_wh"] == pytest.approx(504_000)


def test_after_real_power_was_sent_one_way_it_is_not_turned(make_sample: MakeSample) -> None:
    """A battery that is charged at night through a clamp the other way round: told once, and no more."""
    house = measures("brultech")
    day, night = (
        make_sample(serial="01000777", **calculated("ch1", *counters, "brultech"))
        for counters in (after(12, 5123, import_=3000), after(12, 5124, export=2000))
    )
    house.quantities(day)
    list(house.directions.notices())
    assert told(house, night, day, night) == [
        (
            "generation: 01000777_ch1 has counted 5,124 kWh as import and 12 kWh as export, and import is sent, but"
            " 2,000 W flow as export now and 0 W as import; if the panels generate now, write"
            ' generation_direction = "export"'
        )
    ]
    assert house.quantities(night)["generation_w"] == 0


def test_the_usual_flow_is_kept_and_the_doubt_told(make_sample: MakeSample) -> None:
    """A clamp that was turned after years: 0 W is sent, but not in silence."""
    sample = make_sample(serial="01000777", **calculated("ch1", *after(5123, 12, import_=2187), "brultech"))
    house = measures("brultech")
    assert told(house, sample, level=logging.WARNING) == [
        (
            "generation: 01000777_ch1 has counted 5,123 kWh as export and 12 kWh as import, and export is sent, but"
            " 2,187 W flow as import now and 0 W as export; if the panels generate now, write"
            ' generation_direction = "import"'
        )
    ]
    assert house.quantities(sample)["generation_w"] == 0


def test_a_fixed_direction_that_stands_still_is_doubted_too(make_sample: MakeSample) -> None:
    """Of the house it may be the clamp at the grid."""
    flows = calculated("ch1", *after(5123, 12, import_=2187), "brultech")
    flows |= calculated("ch2", *after(700, 5000, export=2187), "brultech")
    house = measures("brultech", "export")
    sample = make_sample(serial="01000777", **flows)
    assert told(house, sample) == [
        (
            "generation: on 01000777_ch1 2,187 W flow as import now and 0 W as export, and export is sent; if the"
            ' panels generate now, write generation_direction = "import"'
        )
    ]
    assert told(measures("brultech", "import"), sample)[-1] == (
        "consumption: on 01000777_ch2 2,187 W flow as export now and 0 W as import, and import is sent; if it lies"
        " between the grid and the house, name it as grid; if that is what the house uses, write"
        ' consumption_direction = "export"'
    )


def test_a_channel_that_does_not_tell_directions_apart_is_no_reason_to_doubt(make_sample: MakeSample) -> None:
    """There is nothing to choose."""
    sample = make_sample(format="gem48abin", ch1_pwh=12.0, ch1_nwh=0.0, ch1_pw=3000.0, ch1_nw=0.0)
    assert told(measures("brultech"), sample) == []


# --- the whole way


def panels(polarized: bool) -> Iterator[Entry]:
    """Yield what a GEM sends from the night to noon, each minute: 3 W are used, then 2 kW generated; 503 kWh before."""
    used, generated = 503 * KWH, 100_000
    for at in range(0, 8 * 3600 + 1, 60):
        used, generated = used + 60 * 3, generated + (60 * 2000 if at > 4 * 3600 else 0)
        one, other = (generated, used) if polarized else (used, generated)
        values = {"secs": 5000 + at, "volts": 240.0, "ch1_aws": one + other, "ch1_pws": one}
        raw = pack("gem48pbin", "01000777", values)
        yield Entry((1_717_200_000 + at) * 1_000_000, "roof", "01000777", "gem48pbin", raw)


@pytest.mark.servers
@pytest.mark.parametrize("polarity", POLARITIES)
@pytest.mark.parametrize("polarized", [True, False], ids=["btmon's way", "the other way"])
def test_generation_is_never_zero_in_silence(
    tmp_path: Path, polarity: str, polarized: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whichever way round the clamp sits, and whatever the channel measured before: sent as it flows, or told."""
    caplog.set_level(logging.INFO)
    with PVOutputServer(clock=lambda: 1_717_230_000) as server:
        table = f"""[sink.roof]
use = "pvoutput"
api_key = "{server.key}"
system_id = "12345"
generation = "01000777_ch1"
zone = "UTC"
url = "{server.url}"
polarity = "{polarity}"
"""
        worker = deliver_entries(sink_from_toml(tmp_path, table), panels(polarized), tmp_path)
    watts = [int(status["v2"]) for status in server.accepted]
    energies = [int(status["v1"]) for status in server.accepted if "v1" in status]
    assert (worker.stop_reason, worker.dead_letters, len(watts)) == ("", 0, 96)
    assert energies == sorted(energies)
    mismatches = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    if polarized:
        assert set(watts[50:]) == {2000}
        assert (
            [text for text in mismatches if "the power of export is sent, and its energy once" in text]
            == mismatches
            != []
        )
    else:
        assert set(watts[50:]) == {3}
        assert [text for text in mismatches if 'write generation_direction = "import"' in text] == mismatches != []
