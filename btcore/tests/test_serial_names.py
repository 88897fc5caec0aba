# SPDX-License-Identifier: GPL-3.0-or-later
"""Short names of meters: different for each, and the same for the same meters in whatever order they are heard."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from btcore import SerialNames

SERIALS = st.lists(st.from_regex(r"[0-9]{1,8}(-[2-9])?", fullmatch=True), min_size=1, max_size=5, unique=True)


def named(serials: list[str] | tuple[str, ...]) -> dict[str, str]:
    """Return the names of meters that are heard in this order."""
    names = SerialNames("short")
    for serial in serials:
        names.add(serial)
    return {serial: names[serial] for serial in serials}


def test_a_meter_alone_has_btmon_s_name() -> None:
    """XXX and three digits."""
    assert named(["312345", "312346"]) == {"312345": "XXX345", "312346": "XXX346"}


def test_meters_that_end_alike_have_as_many_digits_as_it_takes() -> None:
    """Both of them: who was heard first does not matter."""
    assert named(["312345", "412345", "7"]) == {"312345": "XXX312345", "412345": "XXX412345", "7": "XXX7"}
    assert named(["312345", "419345"]) == {"312345": "XXX2345", "419345": "XXX9345"}


def test_what_tells_twins_apart_stays_and_a_name_is_shown_as_it_is() -> None:
    """The second meter of one number keeps its `-2`; what `[meters]` calls a meter is no serial number."""
    twins = {"031909": "XXX909", "031909-2": "XXX909-2", "house": "house", "ab-cd": "ab-cd", "SN1234567": "XXX567"}
    assert named(list(twins)) == twins


@given(SERIALS)
def test_every_meter_has_a_name_of_its_own_in_any_order(serials: list[str]) -> None:
    """It depends on the serial numbers alone, so a restart does not change it."""
    expected = named(serials)
    assert len(set(expected.values())) == len(serials)
    assert all(named(order) == expected for order in permutations(serials))


def test_a_complete_serial_number_is_the_name_itself() -> None:
    """With `serials = "full"` no meter's name depends on any other's."""
    names = SerialNames("full", ["312345"])
    assert ([names["312345"], names["412345"]], names.alike("412345")) == (["312345", "412345"], [])


def test_meters_that_a_configuration_names_have_their_names_from_the_start() -> None:
    """So the name of the first that is heard is the same before and after the second is."""
    assert SerialNames("short", ["312345", "419345", ""])["312345"] == "XXX2345"
