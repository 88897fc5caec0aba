# SPDX-License-Identifier: GPL-3.0-or-later
"""Times in a file: with a zone or without, in autumn too; no meter has the same one twice."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from btcore.imports.file_times import FileTimes
from btcore.imports.options import ImportOptions

NEW_YORK = ZoneInfo("America/New_York")
NOON = datetime(2023, 11, 14, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["2023-11-14 07:00:00", "2023/11/14 07:00", "2023-11-14T12:00:00Z", "2023-11-14T13:00+01:00", "1699963200"]
)
def test_a_time_is_read_as_it_is_written(text: str) -> None:
    """A time without a zone is local, one with a zone is not; a number is seconds since 1970."""
    assert FileTimes(ImportOptions(zone=NEW_YORK)).read("1", text) == NOON


def test_a_format_may_be_given() -> None:
    """American dates are read where they are said to be such."""
    times = FileTimes(ImportOptions(zone=UTC, time_format="%m/%d/%Y %I:%M %p"))
    assert times.read("1", "11/14/2023 12:00 PM") == NOON


@pytest.mark.parametrize(
    "text", ["", "noon", "11/14/2023", "2023-11-14 25:00", "1023-01-01", "99999999999", "9" * 5000]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """A text that is no time, or is one that no meter was read at, raises ValueError."""
    with pytest.raises(ValueError, match=r"is no time|is not between"):
        FileTimes(ImportOptions(zone=UTC)).read("1", text)


def test_the_hour_that_comes_twice_in_autumn_lasts_two_hours() -> None:
    """A log of a meter, read each ten minutes through that night, has its readings ten minutes apart, in each zone."""
    times = FileTimes(ImportOptions(zone=NEW_YORK))
    start = datetime(2023, 11, 5, 4, tzinfo=UTC)
    moments = [start + timedelta(minutes=10 * n) for n in range(24)]
    texts = [f"{moment.astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S}" for moment in moments]
    assert len(set(texts)) < len(texts)
    assert [times.read("1", text) for text in texts] == moments


def test_the_hour_that_is_left_out_in_spring_disturbs_nothing() -> None:
    """Through that night too, the readings are ten minutes apart."""
    times = FileTimes(ImportOptions(zone=NEW_YORK))
    start = datetime(2023, 3, 12, 5, tzinfo=UTC)
    moments = [start + timedelta(minutes=10 * n) for n in range(24)]
    assert [times.read("1", f"{moment.astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S}") for moment in moments] == moments


def test_two_readings_of_one_second_are_apart() -> None:
    """Each of a meter's readings in a second has a time of its own; another meter's is not moved."""
    times = FileTimes(ImportOptions(zone=UTC))
    found = [times.read(serial, "2023-11-14 12:00:00") for serial in ("1", "1", "2", "1")]
    assert [(one - NOON) / timedelta(microseconds=1) for one in found] == [0, 1, 0, 2]
