# SPDX-License-Identifier: GPL-3.0-or-later
"""Outcomes: a failure that lasts for a week is a few lines of the log, and its end is told."""

import logging
import re

import pytest
from helpers.property_tests import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import Retry
from btcore.logs.failures import BURST, LINES_PER_HOUR, SUMMARY_INTERVAL, FailureReporter
from btcore.testing import Clock
from btcore.text import describe_error, format_duration

LOG = logging.getLogger("sink.roof")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return what was told, with its level."""
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_the_first_failure_is_told_and_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """The first failure is a warning, those after it are for debugging, and that it works again is told once."""
    caplog.set_level(logging.DEBUG)
    clock = Clock()
    reporter = FailureReporter(LOG, clock)
    reporter.worked()
    reporter.failed("no answer", 0.7)
    clock.now = 125
    reporter.failed("no answer", 90)
    reporter.worked()
    reporter.worked()
    assert lines(caplog) == [
        ("WARNING", "no answer; trying again in 1 s"),
        ("DEBUG", "no answer; trying again in 1 min"),
        ("INFO", "recovered after 2 min and 2 failures"),
    ]


def test_every_hour_is_summed_up(caplog: pytest.LogCaptureFixture) -> None:
    """A failure that goes on is told again each hour, with its length and the latest reason."""
    clock = Clock()
    reporter = FailureReporter(LOG, clock)
    for n in range(25):
        reporter.failed(f"reason {n}", 600)
        clock.now += SUMMARY_INTERVAL / 10
    assert lines(caplog) == [
        ("WARNING", "reason 0; trying again in 10 min"),
        ("WARNING", "still failing after 1 h, 11 times: reason 10"),
        ("WARNING", "still failing after 2 h, 21 times: reason 20"),
    ]


def test_flapping_is_summed_up(caplog: pytest.LogCaptureFixture) -> None:
    """Of what fails and works again and again, the first failure and recovery are told, and then a summary."""
    caplog.set_level(logging.INFO)
    clock = Clock()
    reporter = FailureReporter(LOG, clock)
    for n in range(2 * 60 + 1):
        reporter.failed(f"reason {n}", 1)
        clock.now += 30
        reporter.worked()
        clock.now += 30
    assert lines(caplog) == [
        ("WARNING", "reason 0; trying again in 1 s"),
        ("INFO", "recovered after 30 s and 1 failure"),
        ("WARNING", "failed 60 times within the last hour; last: reason 60"),
        ("INFO", "recovered after 30 s and 1 failure"),
        ("WARNING", "failed 60 times within the last hour; last: reason 120"),
        ("INFO", "recovered after 30 s and 1 failure"),
    ]


def test_flapping_that_ended_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Failures that were not told are summed up an hour later, also where it has worked since."""
    caplog.set_level(logging.INFO)
    clock = Clock()
    reporter = FailureReporter(LOG, clock)
    for what in ("first", "second", "third"):
        reporter.failed(what, 1)
        reporter.worked()
    for _ in range(9):
        clock.now += SUMMARY_INTERVAL / 3
        reporter.worked()
    assert lines(caplog)[2:] == [("WARNING", "failed 2 times and recovered within the last hour; last: third")]


def test_a_failure_that_was_silent_at_first_is_told_within_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    """One that begins soon after another, and lasts, is told an hour after that one, and so is its end."""
    caplog.set_level(logging.INFO)
    clock = Clock()
    reporter = FailureReporter(LOG, clock)
    reporter.failed("first", 1)
    reporter.worked()
    for _ in range(8):
        clock.now += 600
        reporter.failed("second", 600)
    reporter.worked()
    assert lines(caplog)[2:] == [
        ("WARNING", "still failing after 50 min, 6 times: second"),
        ("INFO", "recovered after 1 h 10 min and 8 failures"),
    ]


def test_a_failure_after_a_quiet_day_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """It is a first one again."""
    clock = Clock()
    reporter = FailureReporter(LOG, clock)
    for _ in range(3):
        reporter.failed("no answer", 1)
        reporter.worked()
        clock.now += 86_400
        reporter.worked()
    assert lines(caplog) == [("WARNING", "no answer; trying again in 1 s")] * 3


def test_a_wait_that_is_asked_for_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    """It is told until when, in local time, and as the other side's wish; a long one also soon after other failures."""
    reporter = FailureReporter(LOG, Clock())
    reporter.failed("no answer", 1)
    reporter.failed("429", 20, requested=True)
    reporter.failed("429", 7200, requested=True)
    reporter.failed("429", 86_400, requested=True)
    first, second, third = (text for _, text in lines(caplog))
    assert first == "no answer; trying again in 1 s"
    assert re.fullmatch(r"429; waits until (\d{4}-\d\d-\d\d )?\d\d:\d\d, as the service asks", second)
    assert re.fullmatch(r"429; waits until \d{4}-\d\d-\d\d \d\d:\d\d, as the service asks", third)


def test_the_first_readings_set_aside_are_told_and_then_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Three are told with their reason; then the number each hour, with the last one and its reason."""
    clock = Clock()
    reporter = FailureReporter(LOG, clock)
    for n in range(240):
        reporter.dead_lettered(f"set aside {n}", f"reading {n}: why {n}")
        clock.now += 30
    assert [text for _, text in lines(caplog)] == [
        "set aside 0",
        "set aside 1",
        "set aside 2",
        "120 more readings became dead letters; last: reading 122: why 122",
    ]


def test_what_is_dropped_is_told_and_then_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The first at once, the others once an hour; together with what was set aside."""
    clock = Clock()
    reporter = FailureReporter(LOG, clock)
    for n in range(121):
        reporter.dropped(7)
        for at in range(2):
            reporter.dead_lettered("aside", f"reading {n}.{at}")
        clock.now += 60
    told_of_them = [text for _, text in lines(caplog) if text != "aside"]
    assert [text.split(" readings")[0] for text in told_of_them] == ["dropped 7", "dropped 427"]
    assert told_of_them[1].endswith("119 more readings became dead letters; last: reading 60.1")


class Keeping(logging.Handler):
    """Keeps what is told."""

    def __init__(self, told_lines: list[str]) -> None:
        """Keep it in this list."""
        super().__init__()
        self._lines = told_lines

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self._lines.append(record.getMessage())


EVENTS = st.sampled_from(["failed", "requested", "worked", "aside", "many aside", "dropped"])


@given(st.lists(st.tuples(EVENTS, st.integers(1, 9), st.sampled_from([0.0, 1.0, 600.0, 3600.0, 90_000.0]))))
@settings(max_examples=examples(50), deadline=None)
def test_the_lines_are_few_whatever_happens(events: list[tuple[str, int, float]]) -> None:
    """Over any sequence of events, in h hours at most six lines and three for each hour are told."""
    told_lines: list[str] = []
    log = logging.Logger("quiet", logging.INFO)  # noqa: LOG001 - one of its own, with nothing of other examples
    log.addHandler(Keeping(told_lines))
    clock = Clock()
    reporter = FailureReporter(log, clock)
    for kind, times, passing in events:
        for _ in range(times):
            happen(reporter, kind, passing)
        assert len(told_lines) <= BURST + LINES_PER_HOUR * clock.now / SUMMARY_INTERVAL
        clock.now += passing


def happen(reporter: FailureReporter, kind: str, wait: float) -> None:
    """Let something happen."""
    if kind in ("failed", "requested"):
        reporter.failed("why", wait, requested=kind == "requested")
    elif kind == "worked":
        reporter.worked()
    elif kind == "dropped":
        reporter.dropped(3)
    else:
        reporter.dead_lettered("aside", "a reading", 1 if kind == "aside" else 500)


@pytest.mark.parametrize("gap", [0.1, 7.0, 61.0, 599.0])
def test_a_week_of_a_service_that_does_everything_wrong(gap: float, caplog: pytest.LogCaptureFixture) -> None:
    """Over a week of flapping, refusing and dropping, something is told every hour, and never much."""
    clock = Clock()
    reporter = FailureReporter(LOG, clock)
    caplog.set_level(logging.INFO)
    while clock.now < 86_400:
        for kind in ("failed", "worked", "aside", "requested", "dropped"):
            happen(reporter, kind, gap)
            clock.now += max(gap, 20.0)
    assert 24 <= len(caplog.records) <= BURST + LINES_PER_HOUR * 24


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (3600, "1 h"), (90_061, "1 d 1 h 1 min"), (172_800, "2 d")],
)
def test_lengths_are_told_as_people_do(seconds: float, expected: str) -> None:
    """A length is told in days, hours and minutes, a short one in seconds."""
    assert format_duration(seconds) == expected


@given(st.floats(0, 1e9))
def test_every_length_can_be_told(seconds: float) -> None:
    """No length is told as nothing."""
    assert format_duration(seconds)


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
    assert describe_error(error) == expected
