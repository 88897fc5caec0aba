# SPDX-License-Identifier: GPL-3.0-or-later
"""What flows one way, from what the core calculates: watts and a counter, always of the same direction."""

from datetime import UTC, datetime
from itertools import pairwise

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore import FORMATS, ChannelRef, Number, Polarity, Reading, Sample, pack
from btcore.calculate.samples import between
from btmon_services.selection import (
    Direction,
    Flow,
    describe_channels,
    direction_among,
    direction_by_type,
    flow_one_way,
    is_circuit,
)

DIRECTIONS: tuple[Direction, ...] = ("import", "export")


def samples(format: str, energies: list[tuple[int, int]], polarity: Polarity) -> list[Sample]:
    """Make samples of a meter whose ch1 counted so many Ws each way, ten seconds each."""
    readings, used, generated = [], 0, 0
    for at, (one, other) in enumerate([(0, 0), *energies]):
        used, generated = used + one, generated + other
        values = {"secs": 10 * at, "ch1_aws": used + generated, "ch1_pws": generated, "aux1_ws": used}
        time = datetime.fromtimestamp(1_700_000_000 + 10 * at, UTC)
        serial = "312345" if format.startswith("ecm") else "01021234"
        readings.append(Reading(time, FORMATS[format], serial, pack(format, serial, values)))
    made = [between(older, newer, polarity) for older, newer in pairwise(readings)]
    return [sample for sample in made if isinstance(sample, Sample)]


ENERGIES = st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 100_000)), min_size=1, max_size=5)


@given(ENERGIES, st.sampled_from(["btmon", "brultech"]))
def test_each_direction_rises_by_what_flowed_that_way(energies: list[tuple[int, int]], polarity: Polarity) -> None:
    """Whatever the site's sign, import counts what was used and export what was generated; neither ever falls."""
    made = samples("ecm1240bin", energies, polarity)
    for index, direction in enumerate(DIRECTIONS):
        found = [flow_one_way(sample, "ch1", direction, polarity) for sample in made]
        expected = [sum(one[index] for one in energies[: count + 1]) / 3600 for count in range(len(energies))]
        assert [one.energy for one in found] == pytest.approx(expected)
        assert [one.watts for one in found] == pytest.approx([one[index] / 10 for one in energies])


@given(ENERGIES, st.sampled_from(["btmon", "brultech"]), st.sampled_from(DIRECTIONS))
def test_one_counter_serves_both_directions(
    energies: list[tuple[int, int]], polarity: Polarity, direction: Direction
) -> None:
    """An auxiliary channel, and a meter without polarized counters, count all that flowed, whichever way."""
    aux, absolute = (samples(form, energies, polarity)[-1] for form in ("ecm1240bin", "gem48abin"))
    used, generated = (sum(one[index] for one in energies) for index in (0, 1))
    assert flow_one_way(aux, "aux1", direction, polarity).energy == pytest.approx(used / 3600)
    assert flow_one_way(absolute, "ch1", direction, polarity).energy == pytest.approx((used + generated) / 3600)
    assert flow_one_way(aux, "aux1", direction, polarity).watts == pytest.approx(energies[-1][0] / 10)
    assert flow_one_way(absolute, "ch1", direction, polarity).watts == pytest.approx(sum(energies[-1]) / 10)


def test_a_channel_that_is_not_there_has_no_flow() -> None:
    """What the meter has not is not known."""
    (sample,) = samples("ecm1240bin", [(1, 1)], "btmon")
    assert flow_one_way(sample, "ch9", "import", "btmon") == Flow(None, None)


@pytest.mark.parametrize(("polarity", "sign"), [("brultech", "p"), ("btmon", "n")])
def test_watts_are_never_negative_and_the_counter_is_the_one_that_goes_on(polarity: Polarity, sign: str) -> None:
    """Counters that disagree a little make no -3 W; a meter that began anew, or was swapped, no counter that falls."""
    (sample,) = samples("ecm1240bin", [(1, 1)], polarity)
    values: dict[str, Number] = {f"ch1_{sign}w": -3.0, f"ch1_{sign}wh": 5.0, f"ch1_{sign}wh_total": 4005.0}
    assert flow_one_way(attrs.evolve(sample, calculate=lambda: values), "ch1", "import", polarity) == Flow(0.0, 4005.0)


@pytest.mark.parametrize(("number", "direction"), [(0, "import"), (1, "export"), (2, "import"), (10, "import")])
def test_generation_is_exported(number: int, direction: Direction) -> None:
    """Type 1 of Bidgely and MyEnerSave is generation, 11 that of one circuit; all others are what is used."""
    assert (direction_by_type(number), direction_by_type(11)) == (direction, "export")


def test_a_channel_of_any_meter_generates_on_each() -> None:
    """`ch2` is that of every meter, `312345_ch2` that of one."""
    any_meter, one_meter = ChannelRef("", "ch2"), ChannelRef("312345", "ch2")
    assert direction_among([any_meter], "399999", "ch2") == "export"
    assert direction_among([one_meter], "312345", "ch2") == "export"
    assert direction_among([one_meter], "399999", "ch2") == "import"
    assert direction_among([one_meter], "312345", "ch1") == "import"


@pytest.mark.parametrize(
    ("format", "target"),
    [("ecm1220bin", "ch1, ch2"), ("gem48ptbin", "ch1 to ch48, p1 to p4, t1 to t8")],
)
def test_what_a_meter_has_is_told_shortly(format: str, target: str) -> None:
    """Forty-eight channels do not fill the log."""
    assert describe_channels(samples(format, [(1, 1)], "btmon")[0]) == target


@pytest.mark.parametrize(
    ("label", "circuit"),
    [("ch1", True), ("aux5", True), ("pv1", True), ("t1", False), ("p1", False), ("volts", False), ("ch1_w", False)],
)
def test_what_brultech_s_meters_do_not_have_may_be_a_channel(label: str, circuit: bool) -> None:
    """A meter of another make has names of its own; a sensor of Brultech's is none, nor a single number."""
    assert is_circuit(label) is circuit
