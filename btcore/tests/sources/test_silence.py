# SPDX-License-Identifier: GPL-3.0-or-later
"""Silence: a meter that is quiet for longer than its habit is told once, and that it is back; nothing else is."""

import logging

import pytest
from helpers.captured_log import logged
from helpers.property_tests import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore.sources.silence import (
    DEFAULT_SILENCE,
    EXPECTED_WITHIN,
    MIN_SILENCE,
    SUSPENDED,
    USUAL_INTERVALS,
    SilenceWatch,
)
from btcore.testing import Clock

LOG = logging.getLogger("source.panel")


def watch(clock: Clock) -> SilenceWatch:
    """Make a watch on that clock."""
    return SilenceWatch(LOG, clock)


def play(silence: SilenceWatch, clock: Clock, *meters: str, pause: float = 10, times: int = 10) -> None:
    """Let meters send at an even pace, and look each second."""
    for _ in range(times):
        for serial in meters:
            silence.heard(serial, clock() + 1_000_000)
        quiet(silence, clock, pause)


def quiet(silence: SilenceWatch, clock: Clock, seconds: float) -> None:
    """Let time pass, and look each second."""
    for _ in range(round(seconds)):
        clock.now += 1
        silence.check()


def test_a_night_of_a_silent_meter_and_its_return(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A meter that is off for a night, while another goes on, is told in two lines that say all that is known."""
    caplog.set_level(logging.INFO)
    silence = watch(clock)
    play(silence, clock, "01000777", "01000778")
    play(silence, clock, "01000778", times=7 * 360)
    assert silence.silent == ["01000777"]
    play(silence, clock, "01000777", "01000778")
    first, second = logged(caplog, logging.INFO)
    assert first.startswith("meter 01000777 is silent for 1 min, usually heard every 10 s; last heard at ")
    assert first.endswith("1 other meter of this source can be heard: check the power and the cable")
    assert second == "meter 01000777 is heard again, after 7 h"
    assert silence.silent == []


def test_a_source_that_falls_silent_as_a_whole_is_one_line(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Where every meter of a source is silent at once, that is told once, with where to look."""
    caplog.set_level(logging.INFO)
    silence = watch(clock)
    play(silence, clock, *(str(number) for number in range(5)))
    quiet(silence, clock, 3600)
    (line,) = logged(caplog)
    assert "all 5 meters have fallen silent: 0, 1, 2 and 2 more; this source hears no other meter" in line


def in_turns(silence: SilenceWatch, clock: Clock, until: float, *meters: str, pause: int = 10) -> None:
    """Let meters send at an even pace, two seconds apart, and look each second."""
    while clock() < until:
        quiet(silence, clock, 1)
        place, late = divmod(clock() % pause, 2)
        if not late and place < len(meters):
            silence.heard(meters[int(place)])


def test_meters_that_fall_silent_with_their_router_are_one_line(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Meters that send at different seconds are silent together: none is said to be alone, no other to be heard."""
    silence = watch(clock)
    in_turns(silence, clock, 300, *"abcde")
    quiet(silence, clock, 3600)
    (line,) = logged(caplog)
    assert line.startswith("all 5 meters have fallen silent: b, c, d and 2 more; this source hears no other meter")


def test_some_of_several_meters_that_fall_silent_are_one_line(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Those behind one switch are told together, with how many of the others were heard since."""
    silence = watch(clock)
    in_turns(silence, clock, 300, *"abcd")
    while clock() < 600:
        quiet(silence, clock, 1)
        if clock() % 10 == 0:
            silence.heard("d")
    (line,) = logged(caplog)
    assert line.startswith("3 meters have fallen silent: b, c, a; 1 other meter of this source can be heard")
    assert sorted(silence.silent) == ["a", "b", "c"]


def test_a_meter_whose_owner_sets_another_interval_has_a_new_habit(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """One that sends each five minutes from now on, in place of each ten seconds, is told twice and then no more."""
    silence = watch(clock)
    play(silence, clock, "1", "2")
    for _ in range(100):
        silence.heard("1")
        play(silence, clock, "2", times=30)
    assert ["meter 1 is silent" in line for line in logged(caplog)] == [True, True]
    quiet(silence, clock, USUAL_INTERVALS * 300)
    assert logged(caplog)[-1].startswith("meter 1 is silent for 30 min, usually heard every 5 min; last heard at ")


def test_a_program_that_was_held_up_blames_no_meter(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """After a time in which this program, or its computer, stood still, what waits is read before anything is told."""
    silence = watch(clock)
    silence.expect({"old": 1e6 - 60}, 1e6)
    play(silence, clock, "1", "2")
    clock.now += 3600
    silence.check()
    assert logged(caplog) == []
    play(silence, clock, "1", "2", "old")
    assert (logged(caplog), silence.silent) == ([], [])


def test_a_meter_that_was_missed_after_the_start_is_back(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """One that was told not to be heard since the start is told when it is; its own clock may be a little ahead."""
    caplog.set_level(logging.INFO)
    silence = watch(clock)
    silence.expect({"1": 1e6 + 30}, 1e6)
    quiet(silence, clock, EXPECTED_WITHIN)
    play(silence, clock, "1")
    missed, back = logged(caplog, logging.INFO)
    assert missed.startswith("meter 1 was heard before this start, last at 1970-01-1")
    assert back.startswith("meter 1 is heard again; before this start it was last heard at 1970-01-1")


@pytest.mark.parametrize(
    ("pause", "told"), [(1, MIN_SILENCE), (10, MIN_SILENCE), (60, USUAL_INTERVALS * 60), (255, USUAL_INTERVALS * 255)]
)
def test_each_meter_is_judged_by_its_own_habit(
    clock: Clock, caplog: pytest.LogCaptureFixture, pause: float, told: float
) -> None:
    """One that sends each ten seconds is silent after a minute, one that sends each four minutes much later."""
    silence = watch(clock)
    play(silence, clock, "1", pause=pause)
    quiet(silence, clock, told - pause - 1)
    assert logged(caplog) == []
    quiet(silence, clock, 2)
    assert len(logged(caplog)) == 1


def test_one_pause_makes_no_habit(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A single long pause does not change what is usual, and a meter heard only once is not told before long."""
    silence = watch(clock)
    silence.heard("once")
    play(silence, clock, "1")
    play(silence, clock, "1", pause=50, times=1)
    play(silence, clock, "1")
    quiet(silence, clock, 105)
    assert [line.split()[1] for line in logged(caplog)] == ["1"]
    quiet(silence, clock, DEFAULT_SILENCE)
    assert [line.split()[1] for line in logged(caplog)] == ["1", "once"]


def test_a_source_that_has_ended_is_not_silent(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """After a recording is through, nothing is expected."""
    silence = watch(clock)
    play(silence, clock, "1")
    silence.finish()
    quiet(silence, clock, 5000)
    assert logged(caplog) == []


def test_meters_of_the_last_day_are_expected_after_a_start(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """What was heard within a day before the start and not within five minutes after it is told in one line."""
    silence = watch(clock)
    silence.expect({"old": 0, "here": 1e6 - 60, "gone": 1e6 - 90, "lost": 1e6 - 3600}, 1e6)
    play(silence, clock, "here", times=40)
    (line,) = logged(caplog)
    assert "2 meters were heard before this start (gone, lost), last at 1970-01-1" in line
    assert line.endswith("1 other meter of this source can be heard: check the power and the cable")


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0, 4000)), max_size=60))
@settings(max_examples=examples(50), deadline=None)
def test_whatever_meters_do_the_lines_stay_few(steps: list[tuple[str, float]]) -> None:
    """However irregularly meters send, within an hour few lines are told, and each that is back was silent before."""
    clock, lines = Clock(), []
    log = logging.Logger("source.odd")  # noqa: LOG001 - of this example alone
    handler = logging.Handler()
    handler.emit = lambda record: lines.append((clock(), record.getMessage()))  # type: ignore[method-assign]
    log.addHandler(handler)
    silence = SilenceWatch(log, clock)
    for serial, pause in steps:
        silence.heard(serial)
        finish = clock.now + pause
        while clock.now < finish:  # it is looked often enough that nothing was held up
            clock.now = min(clock.now + SUSPENDED, finish)
            silence.check()
    for begin, _ in lines:
        assert len([at for at, _ in lines if begin <= at < begin + 3600]) <= 20
    for place, (_, line) in enumerate(lines):
        if "heard again" in line and "more" not in line:
            assert any("silent" in before for _, before in lines[:place])


def test_a_meter_that_is_told_apart_from_another_is_not_silent_under_its_first_name(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The second of two meters that send 000000 has another name once it is known: the first name is not missed."""
    silence = watch(clock)
    play(silence, clock, "000000")
    play(silence, clock, "000000-2", times=100)
    assert (logged(caplog), silence.silent, silence.meters) == ([], [], 1)
    quiet(silence, clock, 2 * MIN_SILENCE)
    assert [line.split(" for ")[0] for line in logged(caplog)] == ["meter 000000-2 is silent"]


def test_two_meters_of_one_number_on_one_line_are_both_watched(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Where both names go on, the one that falls silent is told."""
    silence = watch(clock)
    play(silence, clock, "000000")
    play(silence, clock, "000000", "000000-2")
    play(silence, clock, "000000-2", times=20)
    assert silence.silent == ["000000"]
    assert len(logged(caplog)) == 1


def test_after_a_start_the_first_name_of_a_meter_is_not_expected(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The journal has its first packets under the number of both."""
    silence = watch(clock)
    silence.expect({"000000": 1_000_000.0, "000000-2": 1_003_600.0}, 1_003_700.0)
    play(silence, clock, "000000-2", times=40)
    assert logged(caplog) == []


def test_a_meter_whose_packets_come_in_groups_is_silent_after_a_minute(clock: Clock) -> None:
    """Packets that came at once are intervals of no length, not of an unknown one: its silence is noticed as soon."""
    silence = watch(clock)
    for _ in range(3):
        silence.heard("01000777", packets=7)
        quiet(silence, clock, 5)
    assert silence.silent == []
    quiet(silence, clock, MIN_SILENCE)
    assert silence.silent == ["01000777"]
