# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a sink's plugin raises, wherever, its worker goes on; what cannot be calculated costs itself alone."""

import logging
import re
import sys
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest
from helpers.captured_log import logged
from helpers.fake_plugins import RecordingSink
from helpers.journal_entries import entry
from helpers.packets import METER, OTHER_METER
from helpers.running_sink import (
    SINK_TABLE,
    RunningSink,
    batch_sizes,
    deliver_all,
    fill_journal,
    mark_accepted,
    refuse_offsets,
    sink_offset,
)

from btcore import Batch, Context, Reading, Retry, Sample, Stop, hookimpl, plugin
from btcore.calculate import intervals, sampling
from btcore.calculate.chains import Chains
from btcore.errors import UPGRADED
from btcore.journal import Journal
from btcore.sinks.settling import MAX_UNEXPECTED_ERRORS
from btcore.sinks.state import sink_state
from btcore.testing import wait_for


class Own(BaseException):
    """A library's own, which is no Exception."""


class Mute(BaseException):
    """One that cannot tell itself."""

    def __str__(self) -> str:
        """Fail."""
        raise Own("no words")


FAULTS = [CancelledError("gone"), Own("odd"), Mute(), GeneratorExit(), KeyboardInterrupt(), SystemExit(3)]


@plugin(api=1)
class Failing(RecordingSink):
    """A sink that raises `error` so many times where it is told to."""

    where: str
    error: BaseException
    times: int = 3

    def fail(self, where: str) -> None:
        """Raise, if it is to be there."""
        if where == self.where and self.times:
            self.times -= 1
            raise self.error

    @hookimpl
    def open(self, context: Context) -> None:
        """Fail, perhaps."""
        self.opened.append(context)
        self.fail("open")

    @hookimpl
    def close(self) -> None:
        """Fail, perhaps."""
        self.fail("close")

    @hookimpl
    def process_batch(self, batch: Batch) -> None:
        """Fail, perhaps."""
        self.fail("process_batch")
        self.taken.append(batch)

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Fail midway, perhaps."""
        yield "first"
        self.fail("preview_batch")
        self.taken.append(batch)
        yield "second"


@pytest.mark.parametrize("where", ["open", "process_batch", "preview_batch", "close"])
@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_a_worker_survives_whatever_a_plugin_raises(journal: Journal, error: BaseException, where: str) -> None:
    """Whatever is raised, in whichever hook, the worker tries again, delivers everything, and ends as it should."""
    fill_journal(journal, 4)
    sink = Failing(where=where, error=error)
    with RunningSink(journal, sink, dry_run=where == "preview_batch") as work:
        work.finish()
    assert (sink.offsets, work.worker.stop_reason, work.worker.dead_letters) == ([1, 2, 3, 4], "", 0)


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_what_always_raises_is_set_aside(journal: Journal, error: BaseException) -> None:
    """A reading for which the plugin raises every time is found and set aside, and all others are delivered."""

    def answer(batch: Batch) -> None:
        if any(reading.offset == 3 for reading in batch.readings):
            raise error

    fill_journal(journal, 5)
    sink = RecordingSink(answer=answer)
    work = deliver_all(journal, sink)
    assert (sink.offsets, sink_offset(journal), work.worker.stop_reason) == ([1, 2, 4, 5], 5, "")
    assert [aside.entries for aside in journal.dead_letters(SINK_TABLE)] == [(2, 3)]


# --- what cannot be calculated


MODULES = {"sample_between": sampling, "sample_of_links": intervals}
"""Where each calculation is called."""


def poison(monkeypatch: pytest.MonkeyPatch, name: str, is_bad: Callable[[Reading], bool], error: BaseException) -> None:
    """Make a calculation fail for some readings."""
    true: Callable[..., Any] = getattr(MODULES[name], name)

    def made(*given: Any) -> Any:  # noqa: ANN401 - whatever it is given
        links = given[0][1:] if name == "sample_of_links" else given[:1]
        if any(is_bad(link.reading) for link in links):
            raise error
        return true(*given)

    monkeypatch.setattr(MODULES[name], name, made)


def lazily(sample: Sample, error: BaseException) -> Sample:
    """Return a sample that fails when its values are asked for."""

    def fail() -> Any:  # noqa: ANN401 - never returns
        raise error

    return Sample(sample.older, sample.newer, sample.seconds, sample.reset, fail)


@pytest.mark.parametrize("error", [ZeroDivisionError("zero"), Own("odd")], ids=repr)
@pytest.mark.parametrize("every", [0, 60])
def test_a_sample_that_fails_lazily_costs_itself_alone(
    journal: Journal, every: int, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample whose values raise within the plugin's call is set aside; the other meter's of its interval is not."""
    name, bad_places = ("sample_of_links", {12}) if every else ("sample_between", {8, 14})
    true: Callable[..., Sample | None] = getattr(MODULES[name], name)

    def made(*given: Any) -> Sample | None:  # noqa: ANN401 - whatever it is given
        sample = true(*given)
        bad = sample is not None and sample.serial == OTHER_METER and sample.newer.offset in bad_places
        return lazily(sample, error) if sample is not None and bad else sample

    monkeypatch.setattr(MODULES[name], name, made)
    for n in range(10):
        journal.append([entry(20 * n, METER, energy=2000 * n), entry(20 * n + 1, OTHER_METER, energy=2000 * n)])
    sink = RecordingSink(answer=lambda batch: [sample.values for sample in batch.samples])
    work = deliver_all(journal, sink, interval=every)
    assert (work.worker.stop_reason, sink_offset(journal)) == ("", 20)
    aside = journal.dead_letters(SINK_TABLE)
    assert {(one.serial, one.entries[-1]) for one in aside} == {(OTHER_METER, place) for place in bad_places}
    assert all("cannot be calculated" in one.why for one in aside)
    mine = [sample for batch in sink.taken for sample in batch.samples if sample.serial == METER]
    assert sum(sample.values["ch1_dwh"] or 0 for sample in mine) * 3600 == pytest.approx(2000 * 9)
    if not every:
        assert sink.offsets == list(range(1, 21))


@pytest.mark.parametrize("every", [0, 60])
def test_a_sample_that_cannot_be_made_costs_itself_alone(
    journal: Journal, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where making a sample raises, the sink is not parked: it is set aside, and told, and all else is delivered."""
    poison(
        monkeypatch,
        "sample_of_links" if every else "sample_between",
        lambda one: one.offset == 5,
        ZeroDivisionError("zero"),
    )
    journal.append([entry(60 * n, energy=6000 * n) for n in range(10)])
    sink = RecordingSink(answer=lambda batch: [sample.values for sample in batch.samples])
    work = deliver_all(journal, sink, interval=every)
    assert (work.worker.stop_reason, sink_offset(journal), len(journal.dead_letters(SINK_TABLE))) == ("", 10, 1)
    assert sink.offsets == list(range(1, 11))
    assert sum(len(batch.samples) for batch in sink.taken) == 8


@pytest.mark.parametrize("every", [0, 60])
def test_a_reading_that_cannot_be_followed_costs_itself_alone(
    journal: Journal, every: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A reading for which finding its predecessor raises is passed over, counted, told, and the rest is delivered."""
    true = Chains.follow

    def follow(self: Chains, reading: Reading) -> Any:  # noqa: ANN401 - a link
        if reading.offset in (4, 6):
            raise Own("odd")
        return true(self, reading)

    monkeypatch.setattr(Chains, "follow", follow)
    fill_journal(journal, 8)
    sink = RecordingSink()
    work = deliver_all(journal, sink, interval=every)
    assert (work.worker.stop_reason, sink_offset(journal)) == ("", 8)
    assert "2 passed over by a fault of btcore" in str(work.worker)
    assert len(logged(caplog, logging.ERROR)) == 1
    assert f"passing over a reading of meter {METER}" in logged(caplog, logging.ERROR)[0]
    assert sum(s.values["ch1_dwh"] or 0 for b in sink.taken for s in b.samples) * 3600 == pytest.approx(7000)


def upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make it impossible to import what calculates, in a program that has not calculated anything yet."""
    sampling._calculation.cache_clear()
    monkeypatch.setitem(sys.modules, "btcore.calculate.samples", None)


def test_an_upgrade_beneath_a_running_program_makes_no_dead_letter(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While what calculates cannot be imported, a sink that wants values says why and waits; then it has them all."""
    upgrade(monkeypatch)
    fill_journal(journal, 4)
    sink = RecordingSink(answer=lambda batch: [sample.values for sample in batch.samples])
    with RunningSink(journal, sink) as work:
        wait_for(lambda: [text for text in logged(caplog) if UPGRADED in text])
        assert sink_offset(journal) == 0
        monkeypatch.undo()
        wait_for(lambda: sink_offset(journal) == 4)
    assert (work.worker.dead_letters, journal.dead_letters(SINK_TABLE)) == (0, [])


def test_an_upgrade_makes_no_dead_letter_where_the_service_rejects(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rejected reading of which it cannot be told whether it can be calculated stops the sink, which keeps it."""
    upgrade(monkeypatch)
    fill_journal(journal, 4)
    sink = RecordingSink(answer=refuse_offsets(3))
    mark_accepted(journal, sink)
    work = deliver_all(journal, sink)
    assert (work.worker.stop_reason, journal.dead_letters(SINK_TABLE)) == (UPGRADED, [])
    assert sink_offset(journal) == 2


def test_a_bug_is_given_its_tries(journal: Journal) -> None:
    """One reading for which the plugin always raises costs no more than the tries of a bug."""
    fill_journal(journal, 1)
    sink = Failing(where="process_batch", error=CancelledError(), times=MAX_UNEXPECTED_ERRORS - 1)
    deliver_all(journal, sink)
    assert sink.offsets == [1]


def test_only_single_readings_get_all_tries_of_a_bug(journal: Journal) -> None:
    """A bug is looked for by halves that are tried once each; a reading that stands alone is tried like a batch."""
    fill_journal(journal, 4)

    def answer(batch: Batch) -> None:
        if any(reading.offset == 3 for reading in batch.readings):
            raise ValueError("bug")

    sink = RecordingSink(answer=answer)
    deliver_all(journal, sink)
    assert batch_sizes(sink.calls) == [*[4] * MAX_UNEXPECTED_ERRORS, 2, 2, *[1] * MAX_UNEXPECTED_ERRORS, 1]


def test_a_sink_that_was_not_opened_is_not_closed(journal: Journal) -> None:
    """Where the program stops before a sink was opened, its plugin is left alone."""
    sink, stop = RecordingSink(), Event()
    stop.set()
    with RunningSink(journal, sink, stop=stop):
        pass
    assert (sink.opened, sink.closed) == ([], [])


def test_a_worker_tells_its_state(journal: Journal) -> None:
    """How a sink stands is told of the readings that it has not had, of a failure that lasts, and of a stop."""
    answers: list[Exception] = [Retry("later"), Stop("the key is wrong")]
    fill_journal(journal, 2)

    def answer(_batch: Batch) -> None:
        if answers:
            states.append(work.worker.state)
            raise answers.pop(0)

    states: list[str] = []
    work = RunningSink(journal, RecordingSink(answer=answer), settings={"batch_size": 1})
    with work:
        work.finish()
    behind, failing = states
    assert (behind, work.worker.state) == ("2 readings behind", "stopped")
    assert re.fullmatch(r"failing for \d+ s, 2 readings behind", failing)
    worker = deliver_all(journal, RecordingSink()).worker
    assert worker.state == sink_state(stop_reason="", failing_for=None, behind=0, is_up_to_date=True)
