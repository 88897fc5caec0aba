"""The counter of one direction, from what the core calculates."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore import FORMATS, Polarity, Reading, Sample, pack
from btcore.calculate import between
from btmon_services.streams import Direction, counted, is_circuit

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
    for place, direction in enumerate(DIRECTIONS):
        wh = [counted(sample, "ch1", direction, polarity) for sample in made]
        expected = [sum(one[place] for one in energies[: count + 1]) / 3600 for count in range(len(energies))]
        assert wh == pytest.approx(expected)


@given(ENERGIES, st.sampled_from(["btmon", "brultech"]), st.sampled_from(DIRECTIONS))
def test_one_counter_serves_both_directions(
    energies: list[tuple[int, int]], polarity: Polarity, direction: Direction
) -> None:
    """An auxiliary channel, and a meter without polarized counters, count all that flowed, whichever way."""
    aux, absolute = (samples(form, energies, polarity)[-1] for form in ("ecm1240bin", "gem48abin"))
    used, generated = (sum(one[place] for one in energies) for place in (0, 1))
    assert counted(aux, "aux1", direction, polarity) == pytest.approx(used / 3600)
    assert counted(absolute, "ch1", direction, polarity) == pytest.approx((used + generated) / 3600)


def test_a_channel_that_is_not_there_has_no_counter() -> None:
    """What the meter has not is not known."""
    (sample,) = samples("ecm1240bin", [(1, 1)], "btmon")
    assert counted(sample, "ch9", "import", "btmon") is None


@pytest.mark.parametrize(
    ("label", "circuit"),
    [("ch1", True), ("aux5", True), ("pv1", True), ("t1", False), ("p1", False), ("volts", False), ("ch1_w", False)],
)
def test_what_brultech_s_meters_do_not_have_may_be_a_channel(label: str, circuit: bool) -> None:
    """A meter of another make has names of its own; a sensor of Brultech's is none, nor a single number."""
    assert is_circuit(label) is circuit
