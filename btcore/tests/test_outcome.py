"""Outcomes: a failure that lasts for a week is a few lines of the log, and its end is told."""

import logging

import pytest
from clocks import Clock
from hypothesis import given
from hypothesis import strategies as st

from btcore import Retry
from btcore.outcome import SUMMARY, Outcome, length, told

LOG = logging.getLogger("sink.roof")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return what was told, with its level."""
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_the_first_failure_is_told_and_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """The first failure is a warning, those after it are for debugging, and that it works again is told once."""
    caplog.set_level(logging.DEBUG)
    clock = Clock()
    outcome = Outcome(LOG, clock)
    outcome.worked()
    outcome.failed("no answer", 0.7)
    clock.now = 125
    outcome.failed("no answer", 90)
    outcome.worked()
    outcome.worked()
    assert lines(caplog) == [
        ("WARNING", "no answer; trying again in 1 s"),
        ("DEBUG", "no answer; trying again in 1 min"),
        ("INFO", "recovered after 2 min and 2 failures"),
    ]


def test_every_hour_is_summed_up(caplog: pytest.LogCaptureFixture) -> None:
    """A failure that goes on is told again each hour, with its length and the latest reason."""
    clock = Clock()
    outcome = Outcome(LOG, clock)
    for n in range(25):
        outcome.failed(f"reason {n}", 600)
        clock.now += SUMMARY / 10
    assert lines(caplog) == [
        ("WARNING", "reason 0; trying again in 10 min"),
        ("WARNING", "still failing after 1 h, 11 times: reason 10"),
        ("WARNING", "still failing after 2 h, 21 times: reason 20"),
    ]


def test_each_failure_after_success_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A failure after it worked again is a first one."""
    outcome = Outcome(LOG, Clock())
    for _ in range(2):
        outcome.failed("no answer", 1)
        outcome.worked()
    assert [line for line in lines(caplog) if line[0] == "WARNING"] == [
        ("WARNING", "no answer; trying again in 1 s"),
        ("WARNING", "no answer; trying again in 1 s"),
    ]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (3600, "1 h"), (90_061, "1 d 1 h 1 min"), (172_800, "2 d")],
)
def test_lengths_are_told_as_people_do(seconds: float, expected: str) -> None:
    """A length is told in days, hours and minutes, a short one in seconds."""
    assert length(seconds) == expected


@given(st.floats(0, 1e9))
def test_every_length_can_be_told(seconds: float) -> None:
    """No length is told as nothing."""
    assert length(seconds)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Retry("busy"), "busy"),
        (Retry(""), "Retry"),
        (OSError("gone"), "gone"),
        (TimeoutError(), "TimeoutError"),
        (ValueError("odd"), "ValueError: odd"),
        (ValueError(), "ValueError"),
        (SystemExit(3), "SystemExit: 3"),
    ],
    ids=repr,
)
def test_exceptions_are_told(error: BaseException, expected: str) -> None:
    """What is meant for people is told by its words alone, a bug with its type; and none is told as nothing."""
    assert told(error) == expected
