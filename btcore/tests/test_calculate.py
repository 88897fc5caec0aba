"""Calculation: energy is exact however a span is cut, and power is only told where it is known.

What btmon calculated, and where it was wrong, is in `tests/test_golden_values.py` of the workspace.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import isfinite

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import FORMATS, Channel, Format, Number, Polarity, Reading, Sample
from btcore.calculate import JITTER, MOST_WATTS, Passed, Skip, between, over, passage

START = datetime(2026, 6, 21, 6, tzinfo=UTC)
ECM, GEM, ABS = FORMATS["ecm1240bin"], FORMATS["gem48pbin"], FORMATS["gem32abin"]
SECONDS = 1 << 24
DAY = 86_400
quick = settings(max_examples=100, deadline=None)
POLARITIES: tuple[Polarity, ...] = ("brultech", "btmon")


def reading(secs: int, at: float = 0, form: Format = ECM, /, **values: Number) -> Reading:
    """Make a reading of a meter that shows these values, and zeros for all else, received `at` seconds after START."""
    numbers = tuple({"secs": secs % SECONDS, **values}.get(label, 0) for label in form.labels)
    return Reading(START + timedelta(seconds=at), form, "312345", b"", numbers=numbers)


def sample(older: Reading, newer: Reading, polarity: Polarity = "brultech") -> Sample:
    """Return the sample between two readings that must have one."""
    made = between(older, newer, polarity)
    assert isinstance(made, Sample)
    return made


def powers(made: Sample) -> dict[str, Number]:
    """Return all powers that are known."""
    return {label: value for label, value in made.values.items() if label.endswith("w") and value is not None}


def energies(made: Sample | None) -> dict[str, Number]:
    """Return all energies of the interval."""
    assert made is not None
    return {label: value for label, value in made.values.items() if label.endswith("_dwh")}


def added(samples: Sequence[Sample]) -> dict[str, Number]:
    """Add up the energies of samples."""
    return {label: sum(made.values[label] or 0 for made in samples) for label in energies(samples[0])}


# --- a meter that counts ----------------------------------------------------------------------------------------------

WIDTH = {counter: 32 if counter.startswith("aux") else 40 for counter in ECM.labels if counter.endswith("s")}


@attrs.frozen
class Step:
    """What passes a meter in some seconds: Ws one way and the other through ch1 and ch2, and through aux1."""

    seconds: int
    ch1: tuple[int, int] = (0, 0)
    ch2: tuple[int, int] = (0, 0)
    aux1: int = 0

    @property
    def counted(self) -> dict[str, int]:
        """By how much each counter rises."""
        ways = {"ch1": self.ch1, "ch2": self.ch2}
        rises = {f"{name}_aws": sum(both) for name, both in ways.items()}
        return rises | {f"{name}_pws": both[0] for name, both in ways.items()} | {"aux1_ws": self.aux1}


def run(start: dict[str, int], steps: Sequence[Step], at: float = 0, flag: int = 0) -> list[Reading]:
    """Return the readings of a meter that begins with these counters: one at the beginning, and one after each step."""
    shown, made = dict(start), [reading(start["secs"], at, flag=flag, **without_secs(start))]
    for step in steps:
        at += step.seconds
        shown["secs"] += step.seconds
        shown |= {name: (shown.get(name, 0) + rise) % (1 << WIDTH[name]) for name, rise in step.counted.items()}
        made.append(reading(shown["secs"], at, flag=flag, **without_secs(shown)))
    return made


def without_secs(counters: dict[str, int]) -> dict[str, int]:
    """Return the energy counters."""
    return {name: value for name, value in counters.items() if name != "secs"}


def put_in(steps: Sequence[Step]) -> dict[str, float]:
    """Return the energy that passed, in the vendor's sign, in Wh."""
    circuits = {"ch1_dwh": [step.ch1 for step in steps], "ch2_dwh": [step.ch2 for step in steps]}
    net = {label: sum(other - one for one, other in ways) / 3600 for label, ways in circuits.items()}
    aux = {f"aux{i}_dwh": sum(step.aux1 for step in steps) / 3600 if i == 1 else 0.0 for i in range(1, 6)}
    return net | aux


ways = st.tuples(st.integers(0, 25_000), st.integers(0, 25_000))
"""W one way and the other."""


@st.composite
def passing(draw: st.DrawFn, most: int = 3600) -> Step:
    """Draw a step, at powers that a panel may have."""
    seconds = draw(st.integers(1, most))
    one, other = (tuple(watts * seconds for watts in draw(ways)) for _ in range(2))
    return Step(seconds, (one[0], one[1]), (other[0], other[1]), draw(st.integers(0, 25_000)) * seconds)


def anywhere(bits: int) -> st.SearchStrategy[int]:
    """Draw a counter, often about to wrap."""
    return st.integers(0, (1 << bits) - 1) | st.integers(1, 1 << (bits - 20)).map(lambda left: (1 << bits) - left)


counters = st.fixed_dictionaries({"secs": anywhere(24), **{name: anywhere(WIDTH[name]) for name in Step(1).counted}})
histories = st.lists(passing(), min_size=1, max_size=12)


# --- however a span is cut --------------------------------------------------------------------------------------------


@quick
@given(counters, histories, st.data())
def test_energy_is_the_same_however_it_is_cut(start: dict[str, int], steps: list[Step], data: st.DataObject) -> None:
    """Energy over any cuts of a span adds up to what passed, with wraps of every counter anywhere."""
    series = run(start, steps)
    cuts = sorted({0, len(steps), *data.draw(st.sets(st.integers(0, len(steps))))})
    chosen = [series[place] for place in cuts]
    expected = pytest.approx(put_in(steps), abs=1e-6)
    assert expected == energies(sample(series[0], series[-1]))
    assert expected == added([sample(*pair) for pair in pairwise(chosen)])
    assert expected == energies(over(chosen))
    assert expected == energies(over(series))


@quick
@given(counters, histories)
def test_mean_power_over_a_span_is_its_energy_by_its_length(start: dict[str, int], steps: list[Step]) -> None:
    """Power over a span is energy by time, also where the span was added up because a counter wrapped within it."""
    made = over(run(start, steps))
    assert made is not None
    length = sum(step.seconds for step in steps)
    assert length == made.seconds
    expected = {label.replace("dwh", "w"): wh * 3600 / length for label, wh in put_in(steps).items()}
    assert pytest.approx(expected, abs=1e-6) == {label: made.values[label] for label in expected}
    for name in ("ch1", "ch2"):
        net, positive, negative = (made.values[f"{name}_{kind}"] for kind in ("w", "pw", "nw"))
        assert positive is not None
        assert negative is not None
        assert pytest.approx(positive - negative, abs=1e-6) == net


def test_a_counter_may_wrap_more_than_once_within_a_span() -> None:
    """An auxiliary counter that wraps twice between the ends of a span is counted whole."""
    steps = [Step(DAY, aux1=10_000 * DAY) for _ in range(12)]
    made = over(run({"secs": 5_000_000}, steps))
    assert put_in(steps) == pytest.approx(energies(made))
    assert put_in(steps)["aux1_dwh"] * 3600 > 2 * (1 << 32)


def test_a_span_may_be_longer_than_the_seconds_counter() -> None:
    """Over a year of daily readings, in which the seconds wrap once, length, power and energy are exact."""
    steps = [Step(DAY, (0, 500 * DAY)) for _ in range(365)]
    made = over(run({"secs": 10_000_000}, steps))
    assert made is not None
    assert (made.seconds, made.values["ch1_w"]) == (365 * DAY, 500.0)


@quick
@given(counters, st.integers(1, 3 * SECONDS))
def test_the_seconds_counter_may_wrap_within_a_gap(start: dict[str, int], gap: int) -> None:
    """The length of a gap of any size is the meter's, also where its seconds counter wrapped, even several times."""
    first, last = run(start, [Step(gap, ch1=(0, 1000 * gap % (1 << 40)))])
    assert gap == sample(first, last).seconds


@quick
@given(st.integers(DAY, SECONDS - DAY), passing(), st.floats(-300, DAY / 2), st.floats(0.9999, 1.0001))
def test_arrival_times_do_not_measure(secs: int, step: Step, delay: float, drift: float) -> None:
    """Delays, a clock that was set and clocks that drift change nothing: the meter's seconds count."""
    first, last = run({"secs": secs}, [step])
    last.time = first.time + timedelta(seconds=step.seconds * drift + delay)
    made = sample(first, last)
    assert step.seconds == made.seconds
    assert pytest.approx(put_in([step])) == energies(made)


def test_packets_may_be_late_by_more_and_more_while_the_seconds_wrap() -> None:
    """Where the arrivals over a whole span tell little of its length, the intervals in it still do."""
    series = [reading(SECONDS - 95 + 10 * place, 15 * place, ch1_aws=1000 * place) for place in range(20)]
    made = over(series)
    assert made is not None
    assert (sample(series[0], series[-1]).seconds, (made.seconds, made.values["ch1_w"])) == (None, (190, 100.0))


@pytest.mark.parametrize("days", [30, 100, 400])
def test_a_meter_s_clock_may_drift_in_a_long_gap(days: int) -> None:
    """A young meter that loses a minute a week, not heard for a long time, did not restart."""
    length = days * (DAY - 9)
    assert length == sample(reading(10), reading(10 + length, days * DAY)).seconds


def test_a_clock_may_be_set_back_by_a_year() -> None:
    """Though arrivals tell that the next packet of an idle house came a year before, it is the next."""
    older, newer = reading(9_000_000, ch1_aws=50), reading(9_000_010, -365 * DAY, ch1_aws=50)
    assert (sample(older, newer).seconds, sample(older, newer).values["ch1_w"]) == (10, 0.0)


# --- signs ------------------------------------------------------------------------------------------------------------


@quick
@given(counters, passing())
def test_the_two_polarities_exchange_directions(start: dict[str, int], step: Step) -> None:
    """Btmon's sign is the vendor's with positive and negative exchanged, and the net negated; auxiliaries have none."""
    first, last = run(start, [step])
    vendor, btmon = (sample(first, last, polarity).values for polarity in POLARITIES)
    for name in ("ch1", "ch2"):
        assert [vendor[f"{name}_{kind}"] for kind in ("pw", "nw", "pwh", "nwh")] == [
            btmon[f"{name}_{kind}"] for kind in ("nw", "pw", "nwh", "pwh")
        ]
        assert [vendor[f"{name}_{kind}"] for kind in ("w", "wh", "dwh")] == [
            -(btmon[f"{name}_{kind}"] or 0) for kind in ("w", "wh", "dwh")
        ]
    assert [vendor[f"aux1_{kind}"] for kind in ("w", "wh", "dwh")] == [
        btmon[f"aux1_{kind}"] for kind in ("w", "wh", "dwh")
    ]


@quick
@given(counters, passing(), st.sampled_from(POLARITIES))
def test_net_is_positive_less_negative(start: dict[str, int], step: Step, polarity: Polarity) -> None:
    """Net power and energy are the positive less the negative, exactly, and each is what passed in its direction."""
    first, last = run(start, [step])
    made = sample(first, last, polarity)
    for name, (one, other) in {"ch1": step.ch1, "ch2": step.ch2}.items():
        w, pw, nw, wh, pwh, nwh = (made.values[f"{name}_{kind}"] for kind in ("w", "pw", "nw", "wh", "pwh", "nwh"))
        assert [pw, nw] == [way / step.seconds for way in ((one, other) if polarity == "btmon" else (other, one))]
        assert (w, wh) == ((pw or 0) - (nw or 0), (pwh or 0) - (nwh or 0))
    assert made.values["aux1_wh"] == (last.get("aux1_ws") or 0) / 3600


@quick
@given(counters, st.lists(passing() | st.builds(Step, st.integers(1, 60)), max_size=4), st.sampled_from(POLARITIES))
def test_no_value_is_a_negative_zero(start: dict[str, int], steps: list[Step], polarity: Polarity) -> None:
    """Nothing is ever -0.0, in samples of one interval or of several, with channels idle or not."""
    series = run(start, [*steps, Step(10)])
    made = [sample(*pair, polarity) for pair in pairwise(series)] + [over(series, polarity)]
    assert not [label for each in made if each for label, value in each.values.items() if str(value) == "-0.0"]


@quick
@given(st.integers(0, 1 << 40), st.integers(1, 600), st.integers(0, 25_000))
def test_without_polarized_counters_all_is_consumption(before: int, seconds: int, watts: int) -> None:
    """A packet format that has only absolute counters tells no direction: everything is consumption."""
    after = (before + watts * seconds) % (1 << 40)
    series = [
        reading(DAY, 0, ABS, ch1_aws=before % (1 << 40)),
        reading(DAY + seconds, seconds, ABS, ch1_aws=after),
    ]
    vendor, btmon = (sample(series[0], series[1], polarity).values for polarity in POLARITIES)
    assert [watts, watts, 0, after / 3600, after / 3600, 0] == [
        vendor[f"ch1_{kind}"] for kind in ("w", "pw", "nw", "wh", "pwh", "nwh")
    ]
    assert [-watts, 0, watts] == [btmon[f"ch1_{kind}"] for kind in ("w", "pw", "nw")]
    assert watts * seconds / 3600 == vendor["ch1_dwh"]


def test_the_two_counters_may_be_read_a_moment_apart() -> None:
    """A polarized counter slightly ahead of its absolute one is taken as it is; the net is that of the counters."""
    made = sample(reading(DAY), reading(DAY + 10, 10, ch1_aws=1000, ch1_pws=1003), "btmon")
    assert [made.values[f"ch1_{kind}"] for kind in ("pw", "nw", "w", "dwh")] == [100.3, -0.3, 100.6, 1006 / 3600]


# --- wrapped or restarted ---------------------------------------------------------------------------------------------

NARROW = Format(
    name="narrow",
    labels=("secs", "ch1_aws", "ch1_pws", "ch2_aws", "aux1_ws"),
    channels=(
        Channel("ch1", "ch1_aws", "ch1_pws", 40),
        Channel("ch2", "ch2_aws", None, 24),
        Channel("aux1", "aux1_ws", None, 32, directional=False),
    ),
    unpack=tuple,
)
"""A meter of another kind, with a counter of 24 bits."""


@quick
@given(
    st.sampled_from([("ch1_aws", 40), ("ch2_aws", 24), ("aux1_ws", 32)]),
    st.integers(0, 1 << 40),
    st.integers(0, 1 << 40),
    st.integers(1, SECONDS - 1),
)
def test_a_fall_is_a_wrap_where_that_is_possible(
    counter: tuple[str, int], before: int, after: int, seconds: int
) -> None:
    """A counter that fell has wrapped if that takes no more than 1 MW, else restarted: energy from zero, no power."""
    label, bits = counter
    name, _, _ = label.partition("_")
    before, after = sorted((before % (1 << bits), after % (1 << bits)), reverse=True)
    made = sample(reading(0, 0, NARROW, **{label: before}), reading(seconds, seconds, NARROW, **{label: after}))
    rise, most = (after - before) % (1 << bits), MOST_WATTS * seconds
    watts = rise / seconds if rise <= most else None
    energy = rise if rise <= most else after if after <= most else None
    assert (watts, None if energy is None else energy / 3600) == (made.values[f"{name}_w"], made.values[f"{name}_dwh"])
    assert (seconds, False) == (made.seconds, made.reset)


def test_a_rise_that_is_not_possible_is_unknown() -> None:
    """More than 1 MW was not measured: neither power nor energy is told, but what the counter shows."""
    made = sample(reading(DAY), reading(DAY + 1, 1, ch1_aws=MOST_WATTS + 1, aux1_ws=MOST_WATTS))
    assert [made.values[f"ch1_{kind}"] for kind in ("w", "dwh", "wh")] == [None, None, (MOST_WATTS + 1) / 3600]
    assert made.values["aux1_w"] == MOST_WATTS
    late = sample(reading(DAY), reading(DAY + 1, 1000, ch1_aws=MOST_WATTS + 1))
    assert late.values["ch1_w"] is None


def test_a_channel_that_restarted_alone_counts_from_zero() -> None:
    """Where one channel's counters fell and no other's, its energy counts from zero, in both directions."""
    made = sample(
        reading(DAY, ch1_aws=9000, ch1_pws=5, ch2_aws=50), reading(DAY + 10, 10, ch1_aws=3600, ch1_pws=720, ch2_aws=60)
    )
    assert [made.values[f"ch1_{kind}"] for kind in ("w", "pw", "nw", "dwh")] == [None, None, None, 0.6]
    assert made.values["ch2_w"] == 1.0


@pytest.mark.parametrize(
    ("before", "after"), [((9000, 0), (3600, 3700)), ((9000, 5000), (9500, 20)), ((0, 0), (1000, 9000))]
)
def test_counters_that_contradict_each_other_tell_nothing(before: tuple[int, int], after: tuple[int, int]) -> None:
    """Where only one of two counters can have restarted, or one way is more than all, no direction is known."""
    older, newer = ({"ch1_aws": aws, "ch1_pws": pws} for aws, pws in (before, after))
    made = sample(reading(DAY, **older), reading(DAY + 10, 10, **newer))
    assert [made.values[f"ch1_{kind}"] for kind in ("w", "pw", "nw", "dwh")] == [None] * 4


resets = st.tuples(st.integers(60, SECONDS - DAY), st.integers(0, 3600), st.integers(1, 3600))
"""Seconds that a meter was up before, from its last packet to its restart, and from there to its next packet."""


@quick
@given(resets, passing(), passing(600), st.sampled_from([ECM.name, GEM.name]), st.booleans())
def test_a_restart_never_invents_power(
    times: tuple[int, int, int], before: Step, since: Step, name: str, flagged: bool
) -> None:
    """Across a restart with counters at zero no power is told, and no more energy than the counters show."""
    form = FORMATS[name]
    up, gone, back = times
    first = reading(up, 0, form, **before.counted)
    shown = {name: rise * back // since.seconds for name, rise in since.counted.items()}
    last = reading(back, gone + back, form, flag=int(flagged), **shown)
    passed = passage(first, last)
    if passed in {Passed.ON, Skip.DUPLICATE} and (form is GEM or not flagged):
        # the restarted meter shows about what it would show had it gone on, or has the very same seconds
        assert up + gone <= JITTER + (gone + back) / 1000 or up == back
        return
    made = sample(first, last)
    assert (powers(made), made.seconds) == ({}, None)
    for label, energy in energies(made).items():
        assert abs(energy or 0) * 3600 <= shown.get(label.replace("_dwh", "_aws"), shown["aux1_ws"]) + 1e-6
    if made.reset:
        assert pytest.approx(counted_from_zero(shown, form)) == energies(made)


def counted_from_zero(shown: dict[str, int], form: Format) -> dict[str, float]:
    """Return the energy of each channel since a restart."""
    return {
        f"{channel.name}_dwh": (shown.get(channel.absolute, 0) - 2 * shown.get(channel.polarized or "", 0)) / 3600
        for channel in form.channels
    }


@quick
@given(resets, histories, histories)
def test_a_flagged_reset_anywhere_counts_what_came_since(
    times: tuple[int, int, int], before: list[Step], after: list[Step]
) -> None:
    """Over a span with a reset in it, energy is that before the reset and that since, as far as packets told it."""
    up, gone, back = times
    length = sum(step.seconds for step in before)
    since = Step(back, ch1=(back, 2 * back), aux1=3 * back)
    early = run({"secs": up, "ch1_aws": 1 << 35}, before)
    late = run({"secs": back, **since.counted}, after, at=length + gone + back, flag=1)
    made = over(early + late)
    assert pytest.approx(put_in([*before, since, *after]), abs=1e-6) == energies(made)
    assert made is not None
    assert (made.reset, made.seconds, powers(made)) == (True, None, {})


def test_a_restart_that_keeps_the_energy_counters_has_its_energy() -> None:
    """Where only the seconds restarted, the energy is by how much the counters rose, and no power is told."""
    older = reading(5_000_000, ch1_aws=7200, ch1_pws=3600)
    newer = reading(8, 30, ch1_aws=10_800, ch1_pws=3600)
    made = sample(older, newer)
    assert (passage(older, newer), made.reset, made.seconds) == (Passed.REBOOT, False, None)
    assert (powers(made), made.values["ch1_dwh"]) == ({}, 1.0)


def test_counters_that_an_outage_set_back_are_not_counted_from_zero() -> None:
    """A meter that comes back from an outage with counters slightly too low has not measured its whole life again."""
    older = reading(5_000_000, ch1_aws=1_500_000_000)
    newer = reading(10, 7200, ch1_aws=1_499_990_000)
    assert sample(older, newer).values["ch1_dwh"] is None


def test_a_restart_shortly_before_the_seconds_wrap_is_no_wrap() -> None:
    """A meter whose seconds stood a few hours before their wrap, and that is up for 8 s after 10 s, has restarted."""
    assert passage(reading(SECONDS - 40_000, ch1_aws=5000), reading(8, 10, ch1_aws=80)) == Passed.RESET


def test_a_meter_that_restarted_long_ago_has_no_power() -> None:
    """A meter that is up longer than it was before its restart gives itself away by the time since its last packet."""
    made = sample(reading(100, ch1_aws=5000), reading(3600, 7200, ch1_aws=3_600_000))
    assert (powers(made), made.reset, made.values["ch1_dwh"]) == ({}, False, (3_600_000 - 5000) / 3600)


def test_a_reset_count_that_changes_alone_counts_nothing_twice() -> None:
    """Where the reset count changed but counters went on, energy is by how much they rose; one that fell restarted."""
    made = sample(
        reading(500_000, ch1_aws=9_000_000, ch2_aws=50, flag=7),
        reading(500_010, 10, ch1_aws=9_003_600, ch2_aws=36, flag=0),
    )
    assert (powers(made), made.reset, made.seconds) == ({}, True, None)
    assert (made.values["ch1_dwh"], made.values["ch2_dwh"]) == (1.0, 0.01)


def test_a_counter_that_fell_in_a_reset_did_not_wrap() -> None:
    """Where the reset count changed after hours, a lower auxiliary counter restarted, though a wrap were possible."""
    older = reading(500_000, ch1_aws=9_000_000, aux1_ws=90_000, flag=0)
    made = sample(older, reading(510_000, 10_000, ch1_aws=9_003_600, aux1_ws=3600, flag=1))
    assert (made.values["ch1_dwh"], made.values["aux1_dwh"]) == (1.0, 1.0)


def test_two_meters_with_one_serial_number_do_not_add_up_their_lives() -> None:
    """Where the seconds went back further than any restart explains, lower counters are not counted from zero."""
    older, newer = reading(1_000_000, ch1_aws=5 * 10**8), reading(990_000, 10, ch1_aws=4 * 10**8, ch2_aws=2000)
    made = sample(older, newer)
    assert (passage(older, newer), made.values["ch1_dwh"]) == (Passed.REBOOT, None)


# --- readings that make no sample -------------------------------------------------------------------------------------


@quick
@given(st.integers(DAY, SECONDS - DAY), histories, st.data())
def test_duplicates_and_late_packets_disturb_nothing(secs: int, steps: list[Step], data: st.DataObject) -> None:
    """Packets that come twice, or after younger ones, give no sample, and the span is as without them."""
    clean = run({"secs": secs, "ch1_aws": 1 << 36, "ch2_aws": 1 << 38}, steps)
    noisy: list[Reading] = []
    for place, each in enumerate(clean):
        noisy.append(each)
        for again in data.draw(st.lists(st.integers(0, place), max_size=2)):
            copy = clean[again]
            noisy.append(Reading(each.time, copy.format, copy.serial, copy.raw, numbers=copy.numbers))
            assert passage(each, noisy[-1]) is (Skip.DUPLICATE if again == place else Skip.OUT_OF_ORDER)
    expected, actual = over(clean), over(noisy)
    assert expected is not None
    assert actual is not None
    assert (expected.values, expected.seconds) == (actual.values, actual.seconds)


@pytest.mark.parametrize(("older", "newer"), [(1000, 990), (50, 40), (20, 10), (5, SECONDS - 5)])
def test_a_late_packet_is_told_from_a_restart(older: int, newer: int) -> None:
    """A packet from ten seconds before, received right after, is late, also of a young meter and across a wrap."""
    assert passage(reading(older, 0.5, ch1_aws=500), reading(newer, 0.6, ch1_aws=400)) == Skip.OUT_OF_ORDER


def test_seconds_that_went_back_alone_are_not_late() -> None:
    """Where energy rose although the seconds fell, the packet is not from before: only the seconds restarted."""
    older, newer = reading(1_000_000, ch1_aws=5000), reading(990_000, 10, ch1_aws=5500)
    assert passage(older, newer) == Passed.REBOOT
    assert (powers(sample(older, newer)), sample(older, newer).values["ch1_dwh"]) == ({}, 500 / 3600)


@pytest.mark.parametrize("secs", [30, 9000, 500_000, 9_000_000])
def test_a_packet_from_before_a_reset_is_late(secs: int) -> None:
    """A packet with the old reset count that arrives after the first one with the new is no second reset."""
    older, newer = reading(8, 0, ch1_aws=80, flag=1), reading(secs, 1, ch1_aws=10 * secs, flag=0)
    assert passage(older, newer) == Skip.OUT_OF_ORDER


def test_equal_seconds_are_a_duplicate_and_their_energy_is_kept() -> None:
    """A second packet of the same second gives no sample; what it counted is in the next one."""
    series = [reading(DAY), reading(DAY, 0.4, ch1_aws=500), reading(DAY + 1, 1, ch1_aws=3600)]
    assert Skip.DUPLICATE is between(series[0], series[1])
    assert over(series[:2]) is None
    assert over(series).values["ch1_dwh"] == 1.0  # type: ignore[union-attr]


def test_readings_of_two_formats_make_no_sample() -> None:
    """A meter that was set to another packet format begins anew: what came before does not count."""
    series = [reading(990), reading(1000, 10), reading(1010, 20, GEM), reading(1020, 30, GEM, ch1_aws=3600)]
    assert Skip.OTHER_FORMAT is between(series[1], series[2])
    made = over(series)
    assert made is not None
    assert (series[2], 10, 1.0) == (made.older, made.seconds, made.values["ch1_dwh"])
    assert over(series[1:3]) is None


def test_fewer_than_two_readings_make_no_sample() -> None:
    """An interval has two ends."""
    assert over([]) is None
    assert over([reading(1000)]) is None


# --- what is not known ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["ch1_aws", "ch1_pws", "aux1_ws"])
def test_a_counter_that_is_missing_is_unknown(label: str) -> None:
    """Where a whole reading lacks a counter, its channel has no values, and all others have theirs."""
    name = label.partition("_")[0]
    older, newer = reading(DAY), reading(DAY + 10, 10, ch2_aws=100, **{label: None})
    for first, last in ((older, newer), (newer, reading(DAY + 20, 20, ch2_aws=200))):
        made = sample(first, last)
        assert made.values[f"{name}_w"] is made.values[f"{name}_dwh"] is None
        assert made.values["ch2_w"] == 10.0
    assert sample(older, newer).values[f"{name}_wh"] is None


def test_a_span_has_the_energy_that_is_known() -> None:
    """Where a span was added up, energy that is known counts, and power is only told where all of it is known."""
    beyond = 1 << 39  # more than can have passed in ten seconds
    made = over(
        [
            reading(DAY, ch2_aws=8000),
            reading(DAY + 10, 10, ch1_aws=beyond, ch2_aws=100),
            reading(DAY + 20, 20, ch1_aws=beyond + 3600, ch2_aws=3700),
        ]
    )
    assert made is not None
    assert (made.seconds, made.values["ch1_w"], made.values["ch1_dwh"]) == (20, None, 1.0)
    assert (made.values["ch2_w"], made.values["ch2_dwh"]) == (None, 3700 / 3600)
    assert made.values["ch1_wh"] == (beyond + 3600) / 3600


def test_a_span_without_any_known_energy_has_none() -> None:
    """Where no part of a span has an energy, the span has none, and not 0."""
    series = [reading(DAY + i, i, ch1_aws=i % 2 * (1 << 39), ch2_aws=100 - i, ch1_pws=None) for i in range(3)]
    made = over(series)
    assert made is not None
    assert (made.values["ch1_dwh"], made.values["ch1_w"]) == (None, None)


numbers = st.none() | st.integers(0, (1 << 40) - 1) | st.sampled_from([0, 1, (1 << 32) - 1, (1 << 40) - 1])
whatever = st.builds(
    reading,
    st.integers(0, SECONDS - 1) | st.integers(0, 100) | st.integers(SECONDS - 100, SECONDS - 1),
    st.floats(-DAY, 600 * DAY) | st.floats(0, 100),
    flag=st.integers(0, 255),
    ch1_aws=numbers,
    ch1_pws=numbers,
    aux1_ws=numbers,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(whatever, min_size=2, max_size=4), st.sampled_from(POLARITIES))
def test_nothing_that_a_meter_may_send_does_harm(series: list[Reading], polarity: Polarity) -> None:
    """Whatever two readings hold, there is a sample or a reason; seconds are never negative, numbers never infinite."""
    for each in [between(*pair, polarity) for pair in pairwise(series)] + [over(series, polarity)]:
        if isinstance(each, Sample):
            assert each.seconds is None or each.seconds > 0
            assert all(value is None or (isfinite(value) and str(value) != "-0.0") for value in each.values.values())
            assert each.seconds is not None or not powers(each)
