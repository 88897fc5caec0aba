# SPDX-License-Identifier: GPL-3.0-or-later
"""Counters that fell: wrapped or restarted, told apart, and no power where it is not known."""

import pytest
from helpers.counter_readings import (
    DAY,
    ECM,
    GEM,
    SECONDS_MODULUS,
    Usage,
    any_usage,
    energies_of,
    energy_used,
    powers_of,
    reading_at,
    readings_after,
    sample_between,
    usage_histories,
)
from helpers.property_tests import hundred_examples
from hypothesis import example, given
from hypothesis import strategies as st

from btcore import FORMATS, Channel, Format
from btcore.calculate.counters import MAX_WATTS
from btcore.calculate.samples import between, over
from btcore.calculate.transition import JITTER, NoSample, Transition, transition_between

NARROW = Format(
    name="narrow",
    labels=("secs", "ch1_aws", "ch1_pws", "ch2_aws", "aux1_ws", "aux2_ws", "aux3_ws"),
    channels=(
        Channel("ch1", "ch1_aws", "ch1_pws", 40),
        Channel("ch2", "ch2_aws", None, 24),
        Channel("aux1", "aux1_ws", None, 32, directional=False),
        Channel("aux2", "aux2_ws", None, 32, directional=False),
        Channel("aux3", "aux3_ws", None, 32, directional=False),
    ),
    unpack=tuple,
)
"""A meter of another kind, with a counter of 24 bits."""


@hundred_examples
@given(
    st.sampled_from([("ch1_aws", 40), ("ch2_aws", 24), ("aux1_ws", 32)]),
    st.integers(0, 1 << 40),
    st.integers(0, 1 << 40),
    st.integers(1, SECONDS_MODULUS - 1),
)
def test_a_fall_is_a_wrap_where_that_is_possible(
    counter: tuple[str, int], before: int, after: int, seconds: int
) -> None:
    """A counter that fell has wrapped if that takes no more than 1 MW, else restarted: energy from zero, no power."""
    label, bits = counter
    name, _, _ = label.partition("_")
    before, after = sorted((before % (1 << bits), after % (1 << bits)), reverse=True)
    going_on = {"aux2_ws": seconds, "aux3_ws": seconds}
    older, newer = {label: before}, {label: after, **going_on}
    made = sample_between(reading_at(0, 0, NARROW, **older), reading_at(seconds, seconds, NARROW, **newer))
    rise, most = (after - before) % (1 << bits), MAX_WATTS * seconds
    watts = rise / seconds if rise <= most else None
    energy = rise if rise <= most else after if after <= most else None
    assert (watts, None if energy is None else energy / 3600) == (made.values[f"{name}_w"], made.values[f"{name}_dwh"])
    assert (seconds, False) == (made.seconds, made.reset)


def test_a_rise_that_is_not_possible_is_unknown() -> None:
    """More than 1 MW was not measured: neither power nor energy is told, but what the counter shows."""
    made = sample_between(reading_at(DAY), reading_at(DAY + 1, 1, ch1_aws=MAX_WATTS + 1, aux1_ws=MAX_WATTS, aux2_ws=1))
    assert [made.values[f"ch1_{kind}"] for kind in ("w", "dwh", "wh")] == [None, None, (MAX_WATTS + 1) / 3600]
    assert made.values["aux1_w"] == MAX_WATTS
    late = sample_between(reading_at(DAY), reading_at(DAY + 1, 30, ch1_aws=MAX_WATTS + 1, aux1_ws=1, aux2_ws=1))
    assert late.values["ch1_w"] is None


def test_a_channel_that_restarted_alone_counts_from_zero() -> None:
    """Where one channel's counters fell and no other's, its energy counts from zero, in both directions."""
    made = sample_between(
        reading_at(DAY, ch1_aws=9000, ch1_pws=5, ch2_aws=50),
        reading_at(DAY + 10, 10, ch1_aws=3600, ch1_pws=720, ch2_aws=60),
    )
    assert [made.values[f"ch1_{kind}"] for kind in ("w", "pw", "nw", "dwh")] == [None, None, None, 0.6]
    assert made.values["ch2_w"] == 1.0


@pytest.mark.parametrize(
    ("fallen", "risen", "how"),
    [
        (1, 1, Transition.CONTINUED),
        (2, 1, NoSample.NEW_BASELINE),
        (2, 2, Transition.CONTINUED),
        (3, 0, NoSample.NEW_BASELINE),
        (1, 0, NoSample.NEW_BASELINE),
    ],
)
def test_no_more_channels_may_have_fallen_than_risen(fallen: int, risen: int, how: Transition | NoSample) -> None:
    """Where the seconds went on, one meter has sent both readings only if as many channels went on as fell."""
    before = {f"aux{n}_ws": 10**6 for n in range(1, fallen + risen + 1)}
    after = {f"aux{n}_ws": 50 if n <= fallen else 10**6 + 50 for n in range(1, fallen + risen + 1)}
    assert transition_between(reading_at(DAY, **before), reading_at(DAY + 10, 10, **after)) is how


@pytest.mark.parametrize(
    ("leapt", "risen", "how"), [(1, 1, Transition.REBOOT), (2, 1, NoSample.NEW_BASELINE), (1, 0, NoSample.NEW_BASELINE)]
)
def test_after_a_restart_no_more_channels_may_have_leapt_than_risen(
    leapt: int, risen: int, how: Transition | NoSample
) -> None:
    """Seconds that began anew with counters that kept their numbers: most of these can have risen so far meanwhile."""
    before = {f"aux{n}_ws": 10**6 for n in range(1, leapt + risen + 1)}
    after = {f"aux{n}_ws": 10**6 + (1 << 31 if n <= leapt else 50) for n in range(1, leapt + risen + 1)}
    assert transition_between(reading_at(DAY, **before), reading_at(5, 60, **after)) is how


@pytest.mark.parametrize(
    ("flag", "how"), [(2, NoSample.OUT_OF_ORDER), (1, NoSample.NEW_BASELINE), (4, NoSample.NEW_BASELINE)]
)
def test_a_reset_count_of_one_less_is_from_before_the_reset(flag: int, how: NoSample) -> None:
    """Counters that cannot have come from the older reading's are a late packet's where the count is one behind."""
    assert transition_between(reading_at(DAY, flag=3), reading_at(DAY + 10, 10, flag=flag, aux1_ws=1 << 31)) is how


@pytest.mark.parametrize(
    ("stands", "how"), [(10**6 + 50, NoSample.NEW_BASELINE), (50, Transition.RESET), (2 * 10**6, Transition.RESET)]
)
def test_a_counter_that_stands_where_it_stood_has_not_begun_at_zero(stands: int, how: Transition | NoSample) -> None:
    """After a restart with counters that fell, all have begun at zero, or the reading is another meter's."""
    older, newer = {"aux1_ws": 10**6, "aux2_ws": 10**6}, {"aux1_ws": 50, "aux2_ws": stands}
    assert transition_between(reading_at(DAY, **older), reading_at(5, 60, **newer)) is how


def test_readings_of_one_second_are_of_one_meter_where_half_of_the_channels_went_on() -> None:
    """Two packets of one second, whose counters were read at other moments, are a duplicate."""
    newer = reading_at(DAY, aux1_ws=150, aux2_ws=50)
    assert transition_between(reading_at(DAY, aux1_ws=100, aux2_ws=100), newer) is NoSample.DUPLICATE


@pytest.mark.parametrize(
    ("before", "after"), [((9000, 0), (3600, 3700)), ((9000, 5000), (9500, 20)), ((0, 0), (1000, 9000))]
)
def test_counters_that_contradict_each_other_tell_nothing(before: tuple[int, int], after: tuple[int, int]) -> None:
    """Where only one of two counters can have restarted, or one way is more than all, no direction is known."""
    going_on = {f"aux{number}_ws": 10 for number in range(1, 6)}
    older, newer = {"ch1_aws": before[0], "ch1_pws": before[1]}, {"ch1_aws": after[0], "ch1_pws": after[1], **going_on}
    made = sample_between(reading_at(DAY, **older), reading_at(DAY + 10, 10, **newer))
    assert [made.values[f"ch1_{kind}"] for kind in ("w", "pw", "nw", "dwh")] == [None] * 4


resets = st.tuples(st.integers(60, SECONDS_MODULUS - DAY), st.integers(0, 3600), st.integers(1, 3600))
"""Seconds that a meter was up before, from its last packet to its restart, and from there to its next packet."""


@hundred_examples
@given(resets, any_usage(), any_usage(600), st.sampled_from([ECM.name, GEM.name]), st.booleans())
@example(
    times=(60, 0, 1),
    before=Usage(1, ch1=(30_000, 0), ch2=(0, 10)),
    since=Usage(1, ch1=(40_000, 0)),
    name=ECM.name,
    flagged=False,
)
def test_a_restart_never_invents_power(
    times: tuple[int, int, int], before: Usage, since: Usage, name: str, flagged: bool
) -> None:
    """Across a restart with counters at zero no power is told, and no more energy than the counters show."""
    form = FORMATS[name]
    up, gone, back = times
    first = reading_at(up, 0, form, **before.counted)
    shown = {name: rise * back // since.seconds for name, rise in since.counted.items()}
    last = reading_at(back, gone + back, form, flag=int(flagged), **shown)
    transition = transition_between(first, last)
    if transition in {Transition.CONTINUED, NoSample.DUPLICATE} and (form is GEM or not flagged):
        # the restarted meter shows about what it would show had it gone on, or has the very same seconds
        assert up + gone <= JITTER + (gone + back) / 1000 or up == back
        return
    made = sample_between(first, last)
    assert (powers_of(made), made.seconds) == ({}, None)
    for label, energy in energies_of(made).items():
        assert abs(energy or 0) * 3600 <= shown.get(label.replace("_dwh", "_aws"), shown["aux1_ws"]) + 1e-6
    if made.reset:
        assert pytest.approx(counted_from_zero(shown, form)) == energies_of(made)


def counted_from_zero(shown: dict[str, int], form: Format) -> dict[str, float]:
    """Return the energy of each channel since a restart."""
    return {
        f"{channel.name}_dwh": (shown.get(channel.absolute, 0) - 2 * shown.get(channel.polarized or "", 0)) / 3600
        for channel in form.channels
    }


@hundred_examples
@given(resets, usage_histories, usage_histories)
def test_a_flagged_reset_anywhere_counts_what_came_since(
    times: tuple[int, int, int], before: list[Usage], after: list[Usage]
) -> None:
    """Over a span with a reset in it, energy is that before the reset and that since, as far as packets told it."""
    up, gone, back = times
    length = sum(step.seconds for step in before)
    since = Usage(back, ch1=(back, 2 * back), aux1=3 * back)
    early = readings_after({"secs": up, "ch1_aws": 1 << 35}, before)
    late = readings_after({"secs": back, **since.counted}, after, at=length + gone + back, flag=1)
    made = over(early + late)
    assert pytest.approx(energy_used([*before, since, *after]), abs=1e-6) == energies_of(made)
    assert made is not None
    assert (made.reset, made.seconds, powers_of(made)) == (True, None, {})


def test_a_restart_that_keeps_the_energy_counters_has_its_energy() -> None:
    """Where only the seconds restarted, the energy is by how much the counters rose, and no power is told."""
    older = reading_at(5_000_000, ch1_aws=7200, ch1_pws=3600)
    newer = reading_at(8, 30, ch1_aws=10_800, ch1_pws=3600)
    made = sample_between(older, newer)
    assert (transition_between(older, newer), made.reset, made.seconds) == (Transition.REBOOT, False, None)
    assert (powers_of(made), made.values["ch1_dwh"]) == ({}, 1.0)


def test_counters_that_an_outage_set_back_are_not_counted_from_zero() -> None:
    """A meter that comes back from an outage with counters slightly too low has not measured its whole life again."""
    older = reading_at(5_000_000, ch1_aws=1_500_000_000)
    assert between(older, reading_at(10, 7200, ch1_aws=1_499_990_000)) is NoSample.NEW_BASELINE


def test_a_restart_shortly_before_the_seconds_wrap_is_no_wrap() -> None:
    """A meter whose seconds stood a few hours before their wrap, and that is up for 8 s after 10 s, has restarted."""
    assert (
        transition_between(reading_at(SECONDS_MODULUS - 40_000, ch1_aws=5000), reading_at(8, 10, ch1_aws=80))
        == Transition.RESET
    )


def test_a_meter_that_restarted_long_ago_has_no_power() -> None:
    """A meter that is up longer than it was before its restart gives itself away by the time since its last packet."""
    made = sample_between(reading_at(100, ch1_aws=5000), reading_at(3600, 7200, ch1_aws=3_600_000))
    assert (powers_of(made), made.reset, made.values["ch1_dwh"]) == ({}, False, (3_600_000 - 5000) / 3600)


def test_a_reset_count_that_changes_alone_counts_nothing_twice() -> None:
    """Where the reset count changed but counters went on, energy is by how much they rose; one that fell restarted."""
    made = sample_between(
        reading_at(500_000, ch1_aws=9_000_000, ch2_aws=50, flag=7),
        reading_at(500_010, 10, ch1_aws=9_003_600, ch2_aws=36, flag=0),
    )
    assert (powers_of(made), made.reset, made.seconds) == ({}, True, None)
    assert (made.values["ch1_dwh"], made.values["ch2_dwh"]) == (1.0, 0.01)


def test_a_counter_that_fell_in_a_reset_did_not_wrap() -> None:
    """Where the reset count changed after hours, a lower auxiliary counter restarted, though a wrap were possible."""
    older = reading_at(500_000, ch1_aws=9_000_000, aux1_ws=90_000, flag=0)
    made = sample_between(older, reading_at(510_000, 10_000, ch1_aws=9_003_600, aux1_ws=3600, flag=1))
    assert (made.values["ch1_dwh"], made.values["aux1_dwh"]) == (1.0, 1.0)


def test_two_meters_with_one_serial_number_do_not_add_up_their_lives() -> None:
    """Where the seconds went back further than any restart explains, nothing is counted."""
    older, newer = reading_at(1_000_000, ch1_aws=5 * 10**8), reading_at(990_000, 10, ch1_aws=4 * 10**8, ch2_aws=2000)
    assert between(older, newer) is NoSample.NEW_BASELINE
