# SPDX-License-Identifier: GPL-3.0-or-later
"""Which meters a source takes in, and how much of each: invented ones are refused, and cost the others nothing."""

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from helpers.captured_log import logged
from helpers.fake_plugins import IteratorSource, RecordingSink
from helpers.packets import packet
from helpers.property_tests import hundred_examples
from helpers.running_source import PACKETLESS, collect_items, kept_packets
from helpers.sites import make_sink, make_site, make_source
from helpers.times import NOON
from hypothesis import given
from hypothesis import strategies as st

from btcore import Chunk, Reading
from btcore.errors import Unavailable
from btcore.journal import Journal
from btcore.runtime.supervisor import Supervisor
from btcore.sources.admission import BURST, DAY, LINES_PER_HOUR, MAX_METERS, SECOND, Admission
from btcore.testing import Clock

Make = Callable[..., Admission]


@pytest.fixture
def make(clock: Clock, caplog: pytest.LogCaptureFixture) -> Make:
    """Return what makes an admission."""
    caplog.set_level(logging.INFO)

    def made(
        meters: tuple[str, ...] = (), max_new_meters_per_day: int = 0, max_packets_per_second: float = 0.0
    ) -> Admission:
        return Admission(
            meters,
            max_new_meters_per_day,
            max_packets_per_second,
            logging.getLogger("source.panel"),
            lambda: int(clock()),
        )

    return made


def live(admission: Admission, *serials: int, time: int = 0) -> list[bool]:
    """Return which of these meters are taken in."""
    return [bool(admission.admitted(str(serial), "gem48pbin", time, is_live=True)) for serial in serials]


# --- how many meters


def test_only_the_meters_of_a_list(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Where meters are listed, no other is taken in, live or recorded; each other one is told once."""
    admission = make(meters=("1", "2"))
    admission.add_known(["3"])
    assert live(admission, 1, 2, 3, 3, 3) == [True, True, False, False, False]
    assert not admission.admitted("4", "gem48pbin", 0, is_live=False)
    assert admission.refused == 4
    assert logged(caplog, logging.WARNING) == [f"refused meter {n}: it is not in `meters`" for n in (3, 4)]


def test_many_that_are_not_in_the_list_are_told_together(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """However many serial numbers somebody invents, the log has a few lines of them, and memory a bounded number."""
    admission = make(meters=("1",))
    live(admission, *range(2, 20_002))
    admission.finish()
    assert len(logged(caplog)) == LINES_PER_HOUR + 1
    assert logged(caplog)[-1] == f"refused {20_000 - LINES_PER_HOUR} more meters that are not in `meters`; last: 20001"
    assert len(admission._unlisted_serials) == MAX_METERS


def test_so_many_may_be_new_within_a_day(make: Make, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond the most that may be new within a day, meters are refused and told; a day later others may be new."""
    admission = make(max_new_meters_per_day=3)
    assert live(admission, 1, 2, 3, 4, 5, 1, 2, 3) == [True] * 3 + [False] * 2 + [True] * 3
    clock.now = DAY - 1
    assert live(admission, 6, 1) == [False, True]
    clock.now = DAY
    assert live(admission, 7, 8, 9, 10) == [True, True, True, False]
    admission.finish()
    assert logged(caplog, logging.WARNING) == [
        "refused meter 4: 3 meters were new within a day (`max_new_meters_per_day`); list your meters in `meters`",
        "refused 3 more packets: `max_new_meters_per_day` is reached; last: meter 10",
    ]
    assert admission.refused == 4


def test_a_meter_that_was_accepted_before_is_not_new(make: Make) -> None:
    """Invented meters that used up the day keep out no meter of an earlier run, and those take no place of the day."""
    admission = make(max_new_meters_per_day=3)
    admission.add_known(["1", "2"])
    assert live(admission, 11, 12, 1, 13, 14, 2) == [True, True, True, True, False, True]


def test_meters_that_are_known_are_bounded(make: Make) -> None:
    """The meter that was unheard for longest is forgotten; one that is heard stays."""
    admission = make()
    for n in range(MAX_METERS + 100):
        live(admission, 1, 2 + n)
    assert len(admission._known) == MAX_METERS
    assert {"1", str(MAX_METERS + 101)} <= set(admission._known)


def test_a_recording_may_have_any_number_of_meters(make: Make) -> None:
    """What brings its own times was chosen by a person: the bound of meters is for what comes in by itself."""
    admission = make(max_new_meters_per_day=2)
    assert all(admission.admitted(str(n), "gem48pbin", 0, is_live=False) for n in range(1000))


def test_the_first_meters_are_told_one_by_one(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A meter that is heard for the first time is told; of many, the first few of an hour, and then their number."""
    admission = make()
    live(admission, *range(100), *range(100))
    admission.finish()
    assert logged(caplog, logging.INFO) == [
        *(f"heard meter {n} (gem48pbin)" for n in range(LINES_PER_HOUR)),
        f"heard {100 - LINES_PER_HOUR} more meters; last: 99",
    ]


# --- how much of each


def test_a_meter_may_send_so_much(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A meter that held back hours is taken in; one that goes on without end beyond the rate is not; others are."""
    admission = make(max_packets_per_second=2)
    assert sum(live(admission, *[1] * (BURST + 10))) == BURST
    assert sum(live(admission, *[1] * 30, time=10 * SECOND)) == 20
    assert live(admission, 2, time=10 * SECOND) == [True]
    admission.finish()
    assert logged(caplog, logging.WARNING) == [
        "refused packets of meter 1: more than 2 per second (`max_packets_per_second`)",
        "refused 19 more packets: above `max_packets_per_second`; last: meter 1",
    ]
    assert admission.refused == 20


@pytest.mark.parametrize("step", [SECOND, SECOND // 2])
def test_an_honest_meter_is_never_held_back(make: Make, step: int) -> None:
    """A meter within its rate may send for ever."""
    admission = make(max_packets_per_second=2)
    assert all(live(admission, 1, time=n * step) == [True] for n in range(3 * BURST))


def test_times_that_go_back_give_nothing_and_cost_nothing(make: Make) -> None:
    """A recording that is played again, or whose times go back, has its rate by the times that follow."""
    admission = make(max_packets_per_second=1)
    assert all(live(admission, 1, time=n * SECOND) == [True] for n in (*range(BURST), *range(-5, BURST)))
    assert sum(live(admission, *[1] * 2 * BURST, time=0)) <= BURST


# --- through a source


@pytest.mark.parametrize("kind", ["packets", "readings"])
def test_a_source_takes_its_meters(journal: Journal, kind: str) -> None:
    """The list of a source is for packets and for whole readings; what is refused is counted."""
    serials = ("1", "2", "1")
    packets = [Chunk(packet(f"31234{serial}", secs=n)) for n, serial in enumerate(serials)]
    readings = [
        Reading(NOON + timedelta(seconds=n), PACKETLESS, f"31234{serial}", b"", numbers=(n, n, n))
        for n, serial in enumerate(serials)
    ]
    items: list[Any] = [*packets] if kind == "packets" else [*readings]
    work = collect_items(journal, *items, settings={"meters": ("312341",)})
    assert (work.worker.kept, work.worker.refused) == (2, 1)


@pytest.mark.parametrize(("times", "taken"), [("its own", 30), ("arrival", 20)])
def test_the_rate_of_a_source(journal: Journal, monkeypatch: pytest.MonkeyPatch, times: str, taken: int) -> None:
    """The rate is by the recording's own times where it has them, else by arrival."""
    monkeypatch.setattr("btcore.sources.admission.BURST", 20)
    monkeypatch.setattr("btcore.clocks.steady", lambda: 5 * SECOND)
    chunks = [
        Chunk(packet(secs=n), time=NOON + timedelta(seconds=n) if times == "its own" else None) for n in range(30)
    ]
    work = collect_items(journal, *chunks, settings={"max_packets_per_second": 1.0})
    assert (work.worker.kept, work.worker.refused) == (taken, 30 - taken)


def test_what_is_refused_does_not_change_the_times_of_the_rest(journal: Journal) -> None:
    """Packets of one moment have the same times again when they are played again, whatever is refused between."""
    data = b"".join(packet(f"31234{n % 2}", secs=n) for n in range(6))
    for meters in (("312341",), ()):
        collect_items(journal, Chunk(data, time=NOON), settings={"meters": meters})
    assert [raw for _, raw in sorted(kept_packets(journal))] == [packet(f"31234{n % 2}", secs=n) for n in range(6)]


def test_a_meter_of_an_earlier_run_is_not_refused(tmp_path: Path) -> None:
    """After a restart, invented meters that came first keep out no meter that a sink had before."""
    mine = IteratorSource(items=lambda _stop: [Chunk(packet("312345", secs=n)) for n in range(3)])
    flood = IteratorSource(
        items=lambda _stop: (
            [Chunk(packet(str(n), secs=1)) for n in range(400_000, 400_010)] + [Chunk(packet("312345", secs=10))]
        )
    )
    roof = RecordingSink()
    for panel in (mine, flood):
        parts = (make_source(panel, max_new_meters_per_day=4), make_sink(roof))
        assert Supervisor(make_site(tmp_path, *parts), Event(), once=True).run()
    serials = [reading.serial for batch in roof.taken for reading in batch.readings]
    assert serials == ["312345"] * 3 + [str(n) for n in range(400_000, 400_004)] + ["312345"]


def test_a_journal_that_cannot_be_read_now_keeps_no_source_from_beginning(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the meters of earlier runs cannot be read, that is told, and the source begins all the same."""

    def fail() -> None:
        raise Unavailable("cannot read the journal: disk error")

    monkeypatch.setattr(journal, "heard_meters", fail)
    assert collect_items(journal, Chunk(packet())).worker.kept == 1
    told = "cannot read the meters of earlier runs, so all meters count as new: cannot read the journal: disk error"
    assert logged(caplog) == [told]


@hundred_examples
@given(st.lists(st.lists(st.integers(0, 20 * SECOND), min_size=1, max_size=8), max_size=8), st.integers(0, BURST))
def test_packets_that_come_together_are_admitted_as_one_by_one(sent: list[list[int]], before: int) -> None:
    """Of several packets, whenever each came, the same are admitted and refused as if each had been asked for."""
    together, one_by_one = (Admission((), 0, 1.5, logging.getLogger("source.panel")) for _ in range(2))
    for admission in (together, one_by_one):
        admission.admitted_of("1", "gem48pbin", [0] * before, is_live=True)
    for times in sent:
        expected = [one_by_one.admitted("1", "gem48pbin", time, is_live=True) for time in times]
        assert together.admitted_of("1", "gem48pbin", times, is_live=True) == expected
    assert together.refused == one_by_one.refused
