# SPDX-License-Identifier: GPL-3.0-or-later
"""The channels of a GEM that btmon did not have: which they are, which have a new name, and their columns."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore import (
    FORMATS,
    SCHEMAS,
    Channel,
    Format,
    Reading,
    Sample,
    active_further_channels,
    channels_in,
    columns,
    pack,
    visible_channels,
)
from btcore.calculate.samples import between, over
from btcore.further_channels import further_channels

GEM = "01021234"
WIDE = ("gem48ptbin", "gem48pbin", "gem48abin")
FURTHER = [f"ch{number}" for number in range(33, 49)]


def reading(name: str = "gem48ptbin", secs: int = 0, **counters: float) -> Reading:
    """Make a reading of a GEM that has counted so much."""
    raw = pack(name, GEM, {"secs": secs, **counters})
    return Reading(datetime.fromtimestamp(1_700_000_000 + secs, UTC), FORMATS[name], GEM, raw)


def names(channels: tuple[Channel, ...]) -> list[str]:
    """Return the names of channels."""
    return [channel.name for channel in channels]


def stranger(count: int, **settings: Any) -> Format:  # noqa: ANN401 - what a format may have
    """Make the format of a meter of another make, with so many channels."""
    circuits = [f"c{number}" for number in range(count)]
    labels = ("secs", *(f"{name}_aws" for name in circuits))
    return Format("many", labels, [Channel(n, f"{n}_aws") for n in circuits], unpack=lambda _: (), **settings)


@pytest.mark.parametrize("name", FORMATS)
def test_the_further_channels_are_those_of_a_gem_from_33_on(name: str) -> None:
    """Every packet with 48 channels has 16, and no other of Brultech's has any."""
    assert names(further_channels(FORMATS[name])) == (FURTHER if name in WIDE else [])


def test_a_meter_that_btmon_did_not_know_has_none() -> None:
    """A meter of another make has all its channels from the start, unless its tables are to be those of btmon."""
    assert further_channels(stranger(40)) == ()
    assert names(further_channels(stranger(40, family="gem"))) == [f"c{number}" for number in range(32, 40)]


@pytest.mark.parametrize("name", WIDE)
def test_a_channel_has_moved_when_a_counter_of_it_is_not_0(name: str) -> None:
    """Either counter says so, the absolute or the polarized one; the channels that btmon had are never told."""
    polarized = FORMATS[name].channels[0].polarized is not None
    counters = {"ch1_aws": 5, "ch33_aws": 1, **({"ch48_pws": 1} if polarized else {})}
    assert names(active_further_channels(reading(name, **counters))) == (["ch33", "ch48"] if polarized else ["ch33"])
    assert active_further_channels(reading(name, ch32_aws=7)) == ()


def test_a_counter_without_a_number_has_not_moved() -> None:
    """A format may have counters that are not there."""
    made = Reading(datetime.now(UTC), stranger(33, family="gem"), "1", b"", numbers=(0, *[None] * 33))
    assert active_further_channels(made) == ()


def test_of_a_sample_the_newer_reading_counts() -> None:
    """What active_further_channels within an interval has active_further_channels."""
    sample = between(reading(), reading(secs=10, ch40_aws=36_000))
    assert isinstance(sample, Sample)
    assert names(active_further_channels(sample)) == ["ch40"]


def test_energy_before_a_restart_within_the_interval_has_moved() -> None:
    """A sample whose newer reading is at 0 again tells energy: that is not left out."""
    sample = over([reading(secs=1000), reading(secs=1010, ch40_aws=36_000), reading(secs=2)])
    assert sample is not None
    assert sample.values["ch40_dwh"] == 10
    assert names(active_further_channels(sample)) == ["ch40"]


COUNTERS = st.dictionaries(
    st.sampled_from([f"ch{number}_{kind}" for number in range(28, 49) for kind in ("aws", "pws")]),
    st.sampled_from([0, 1, 3600, (1 << 40) - 1]),
)


@given(COUNTERS)
def test_what_is_shown_is_all_but_the_further_channels_at_0(counters: dict[str, int]) -> None:
    """Whatever a meter has counted, no energy of it is in a channel that is not shown, and btmon's always are."""
    one = reading("gem48ptbin", 0, **counters)
    shown = visible_channels(one)
    idle = [channel for channel in one.format.channels if channel not in shown]
    assert all(not one.get(channel.absolute) and not one.get(channel.polarized or "secs") for channel in idle)
    assert one.format.channels[:32] == shown[:32]
    assert shown[32:] == active_further_channels(one)
    assert all(one.get(channel.absolute) or one.get(channel.polarized or "") for channel in shown[32:])


@pytest.mark.parametrize("name", ["ecm1240bin", "gem32pbin"])
def test_other_meters_show_all_their_channels(name: str) -> None:
    """Where there are no further channels, all are shown, auxiliary ones too."""
    serial = "312345" if name.startswith("ecm") else GEM
    one = Reading(datetime.now(UTC), FORMATS[name], serial, pack(name, serial, {}))
    assert visible_channels(one) == FORMATS[name].channels


# --- their columns


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("name", WIDE)
def test_their_columns_are_behind_btmon_s(name: str, schema: str) -> None:
    """Nothing changes in the columns that btmon had; each further channel has the same kinds as the first."""
    form = FORMATS[name]
    usual = columns(form, schema)
    with_two = columns(form, schema, [form.channels[47], form.channels[39]])
    assert with_two[: len(usual)] == usual
    of_the_first = [one for one in usual if one.label.startswith("ch1_")]
    expected = [one.label.replace("ch1_", f"{channel}_") for channel in ("ch40", "ch48") for one in of_the_first]
    assert [column.label for column in with_two[len(usual) :]] == expected
    assert [column.name for column in with_two[len(usual) :]] == expected
    assert [column.kind for column in with_two[len(usual) :]] == [one.kind for one in of_the_first] * 2


@pytest.mark.parametrize("name", WIDE)
def test_counters_with_all_channels_hold_every_counter(name: str) -> None:
    """With the further channels there is a column for each counter, pulse and temperature of a packet."""
    form = FORMATS[name]
    labels = {column.label for column in columns(form, "counters", further_channels(form))}
    assert {label for label in form.labels if not label.endswith("_a")} == labels


@given(
    st.sampled_from(WIDE),
    st.sampled_from(SCHEMAS),
    st.sets(st.integers(32, 47)),
    st.booleans(),
)
def test_a_table_tells_which_it_has(name: str, schema: str, places: set[int], capitals: bool) -> None:
    """The further channels that a table has columns of are found by the names of its columns, however written."""
    form = FORMATS[name]
    channels = tuple(form.channels[place] for place in sorted(places))
    there = [column.name for column in columns(form, schema, channels)]
    assert channels_in(form, schema, map(str.upper, there) if capitals else there) == channels


def test_one_column_of_a_channel_is_enough() -> None:
    """A table that somebody took a column from is still that of the channel."""
    assert names(channels_in(FORMATS["gem48ptbin"], "counters", ["secs", "ch33_pws", "ch40", "ch1_aws"])) == ["ch33"]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_channel_that_is_not_a_further_one_adds_nothing(schema: str) -> None:
    """Its columns are there already."""
    form = FORMATS["gem48ptbin"]
    assert columns(form, schema, form.channels[:32]) == columns(form, schema)
