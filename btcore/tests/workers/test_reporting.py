# SPDX-License-Identifier: GPL-3.0-or-later
"""Reporting: a line after the first minute and each hour, in which a healthy run and a useless one look different."""

import logging

import attrs
import pytest
from helpers.captured_log import logged

from btcore.decode.framing import StreamCounts
from btcore.sinks.state import sink_state
from btcore.testing import Clock
from btcore.workers.reporting import FAR_BEHIND, FIRST_REPORT, REPORT_INTERVAL, ActivityReport

LOG = logging.getLogger("btcore")


@attrs.define
class From:
    """A source, as far as it is told of."""

    name: str = "source.panel"
    counts: StreamCounts = attrs.field(factory=StreamCounts)
    without_packets: int = 0
    kept: int = 1
    failure: str = ""
    meters: int = 0
    silent: list[str] = attrs.field(factory=list)


@attrs.define
class To:
    """A sink, as far as it is told of."""

    name: str = "sink.sqlite"
    delivered: int = 0
    behind: int = 0
    state: str = "up to date"
    unwanted: int = 0


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def passes(clock: Clock, reporting: ActivityReport, seconds: float) -> None:
    """Let time pass, and look each second."""
    for _ in range(round(seconds)):
        clock.now += 1
        reporting.check()


def test_a_healthy_run_is_told_after_a_minute_and_each_hour(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """What came in and went out since the line before, and how each sink stands."""
    panel, sqlite, roof = From(), To(), To("sink.roof")
    reporting = ActivityReport([panel], [sqlite, roof], LOG, clock)
    panel.counts.packets, panel.meters, sqlite.delivered, roof.delivered = 12, 2, 12, 1
    passes(clock, reporting, FIRST_REPORT)
    panel.counts.packets, panel.kept, sqlite.delivered, roof.delivered = 732, 732, 732, 13
    passes(clock, reporting, REPORT_INTERVAL)
    assert logged(caplog, logging.INFO) == [
        (
            "in the first minute: panel: 2 meters, 12 packets; sqlite: 12 readings, up to date;"
            " roof: 1 reading, up to date"
        ),
        (
            "in the last hour: panel: 2 meters, 720 packets; sqlite: 720 readings, up to date;"
            " roof: 12 readings, up to date"
        ),
    ]


def test_a_useless_run_looks_useless(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing came in, the line is a warning that says so, and each sink's trouble is in it."""
    reporting = ActivityReport([From()], [To(), To("sink.roof", state="stopped")], LOG, clock)
    passes(clock, reporting, FIRST_REPORT)
    assert logged(caplog) == [
        "in the first minute: panel: no packet; sqlite: no reading, up to date; roof: no reading, stopped"
    ]


def test_readings_that_come_without_packets_came_in(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A source of whole readings, such as a database, is no source of nothing."""
    passes(clock, ActivityReport([From(without_packets=4, meters=1)], [To(delivered=4)], LOG, clock), FIRST_REPORT)
    assert logged(caplog) == []
    assert logged(caplog, logging.INFO) == [
        "in the first minute: panel: 1 meter, 4 readings; sqlite: 4 readings, up to date"
    ]


def test_what_is_not_kept_and_not_wanted_is_told(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Packets of which the journal took none, a source that has stopped, and a sink that wants nothing, look so."""
    panel = From(counts=StreamCounts(30), meters=1, kept=0)
    reporting = ActivityReport([panel, From("source.usb", failure="gone")], [To(unwanted=30)], LOG, clock)
    passes(clock, reporting, FIRST_REPORT)
    (line,) = logged(caplog, logging.INFO)
    source, stopped, sink = line.removeprefix("in the first minute: ").split("; ")
    assert source == "panel: 1 meter, 30 packets, none of them kept"
    assert stopped == "usb: no packet, stopped"
    assert sink == "sqlite: no reading, 30 not selected by its settings, up to date"


def test_silent_meters_are_counted(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """How many of the meters are silent stands beside how many there are."""
    panel = From(counts=StreamCounts(5), meters=3, silent=["1"])
    passes(clock, ActivityReport([panel], [To()], LOG, clock), FIRST_REPORT)
    assert "panel: 3 meters (1 meter silent), 5 packets" in logged(caplog, logging.INFO)[0]


def test_a_sink_that_was_far_behind_is_told_when_it_is_level(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """After an outage it is said that a sink has had everything, a few times an hour at most."""
    sink = To()
    reporting = ActivityReport([From(counts=StreamCounts(1))], [sink], LOG, clock)
    for _ in range(10):
        sink.behind, sink.state = FAR_BEHIND, f"{FAR_BEHIND} readings behind"
        passes(clock, reporting, 2)
        sink.behind, sink.state = 0, "up to date"
        passes(clock, reporting, 2)
    assert logged(caplog, logging.INFO) == ["sink.sqlite is up to date again"] * 2
    passes(clock, reporting, REPORT_INTERVAL)
    assert "sink.sqlite is up to date again, 8 more times" in logged(caplog, logging.INFO)


def test_the_journal_is_not_asked_more_often_than_once_a_second(clock: Clock) -> None:
    """However often a run checks its report, how far a sink is behind is asked once a second."""
    asked: list[float] = []

    class Asked(To):
        @property
        def behind(self) -> int:
            asked.append(clock())
            return 0

        @behind.setter
        def behind(self, _: int) -> None: ...

    reporting = ActivityReport([From()], [Asked()], LOG, clock)
    for _ in range(40):
        reporting.check()
        clock.now += 0.125
    assert len(asked) == 5


def test_a_line_of_many_is_bounded(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Of dozens of sinks, some are named and the others counted."""
    sinks = [To(f"sink.s{number}") for number in range(30)]
    passes(clock, ActivityReport([From()], sinks, LOG, clock), FIRST_REPORT)
    (line,) = logged(caplog)
    assert "s7: no reading, up to date; 22 more sinks" in line
    assert "s8" not in line


@pytest.mark.parametrize(
    ("stop_reason", "failing_for", "behind", "is_up_to_date", "state"),
    [
        ("", None, 0, True, "up to date"),
        ("", None, 1, False, "1 reading behind"),
        ("", 300, 360, False, "failing for 5 min, 360 readings behind"),
        ("", 300, 0, True, "failing for 5 min"),
        ("a wrong key", 300, 360, False, "stopped"),
    ],
)
def test_how_a_sink_stands(
    stop_reason: str, failing_for: float | None, behind: int, is_up_to_date: bool, state: str
) -> None:
    """In one word where that will do, with how long and how many where it will not."""
    assert (
        sink_state(stop_reason=stop_reason, failing_for=failing_for, behind=behind, is_up_to_date=is_up_to_date)
        == state
    )
