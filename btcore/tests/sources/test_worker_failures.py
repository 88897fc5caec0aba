# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources in trouble, and a journal in trouble under them: tried again, waited for, told, and ended when asked."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

import attrs
import pytest
from helpers.captured_log import logged
from helpers.fake_plugins import IteratorSource
from helpers.packets import packet
from helpers.running_source import RunningSource, collect_items, kept_packets
from helpers.times import NOON

from btcore import FORMATS, Chunk, Retry, Stop, hookimpl, pack, plugin
from btcore.errors import Unavailable
from btcore.journal import Journal
from btcore.journal.retry import ShuttingDown
from btcore.sources.worker import MAX_FRUITLESS_ATTEMPTS
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing import Clock, wait_for

Items = Callable[[threading.Event], Iterable[Any]]


# --- a source in trouble


def failing(errors: list[BaseException], *then: Chunk) -> Items:
    """Make items that raise one error after the other, a packet before each, and then are these."""

    def items(_stop: threading.Event) -> Iterator[Chunk]:
        if errors:
            yield Chunk(packet(secs=len(errors)))
            raise errors.pop(0)
        yield from then

    return items


def test_a_source_that_fails_is_started_again(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a source raises: it is closed, and after a wait opened and started again; the first time it is told."""
    caplog.set_level(logging.DEBUG)
    errors = [ConnectionResetError("hung up"), Retry("busy"), ValueError("bug"), SystemExit(3)]
    source = IteratorSource(items=failing(errors, Chunk(packet(secs=99))))
    work = RunningSource(journal, source)
    with work:
        work.finish()
    assert [FORMATS["ecm1220bin"].unpack(raw)[1] for _, raw in kept_packets(journal)] == [4, 3, 2, 1, 99]
    assert (len(source.opened), len(source.closed), work.worker.failure) == (5, 5, "")
    assert logged(caplog) == ["hung up; trying again in 1 s"]
    assert [text for text in logged(caplog, logging.DEBUG) if text.endswith("trying again in 1 s")] == [
        "hung up; trying again in 1 s",
        "busy; trying again in 1 s",
        "ValueError: bug; trying again in 1 s",
        "SystemExit: 3; trying again in 1 s",
    ]
    assert len([text for text in logged(caplog, logging.DEBUG) if text.startswith("recovered after")]) == 4


class Exotic(BaseException):
    """What a library may raise that is no `Exception`, and cannot even be told."""

    def __str__(self) -> str:
        """Fail."""
        raise asyncio.CancelledError


@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit(), KeyboardInterrupt(), Exotic()], ids=repr)
@pytest.mark.parametrize("where", ["open", "collect", "close"])
def test_nothing_that_a_source_raises_ends_it(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, error: BaseException, where: str
) -> None:
    """Only a signal ends a program: what a plugin raises, of whatever kind and wherever, is a failure like others."""
    errors = [error]
    source = IteratorSource(items=failing(errors if where == "collect" else [], Chunk(packet(secs=99))))

    def fail(*_: object) -> None:
        if errors:
            raise errors.pop()

    if where != "collect":
        monkeypatch.setattr(source, f"{where}ed" if where == "open" else "closed", Failing(fail))
    work = RunningSource(journal, source)
    with work:
        work.finish()
    assert kept_packets(journal)[-1][1] == packet(secs=99)
    assert (work.worker.failure, errors) == ("", [])


@attrs.define
class Failing:
    """Takes notes by a function that may raise."""

    append: Callable[..., None]


def test_waits_grow_while_nothing_comes(journal: Journal, clock: Clock) -> None:
    """A source that brings nothing is tried after longer and longer waits."""
    times: list[float] = []

    def items(_stop: threading.Event) -> Iterator[Chunk]:
        times.append(clock.now)
        yield Chunk(b"")
        if len(times) < 7:
            raise ConnectionRefusedError("refused")

    with RunningSource(
        journal, IteratorSource(items=items), settings={"min_backoff": 2, "max_backoff": 16}, stop=clock
    ) as source:
        source.finish()
    waits = [after - before for before, after in pairwise(times)]
    for longest, wait in zip((2, 4, 8, 16, 16, 16), waits, strict=True):
        assert longest / 2 <= wait <= longest


@pytest.mark.parametrize("trouble", ["the source yields nonsense", "btcore has a fault", "the program stops"])
def test_a_source_s_iterator_is_closed_before_the_source(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """What an iterator holds is given up before its source is closed, whatever ended the collecting."""
    closed_before: list[int] = []

    def items(_stop: threading.Event) -> Iterator[Any]:
        try:
            yield "nonsense" if trouble == "the source yields nonsense" and not closed_before else Chunk(packet())
            yield Chunk(packet())
        finally:
            closed_before.append(len(source.closed))

    def fail() -> None:
        if not closed_before:
            raise AssertionError("a fault")

    def stop(_entries: object) -> None:
        raise ShuttingDown("stopped")

    source = IteratorSource(items=items)
    work = RunningSource(journal, source)
    if trouble == "btcore has a fault":
        monkeypatch.setattr(work.worker._admission, "check", fail)
    if trouble == "the program stops":
        monkeypatch.setattr(work.worker._write_queue, "put", stop)
    with work:
        work.finish()
    assert closed_before == ([0] if trouble == "the program stops" else [0, 1])


def test_a_source_that_cannot_be_opened_is_closed(journal: Journal) -> None:
    """Also an attempt that failed at opening is closed, and the next one may work."""

    @plugin(api=1)
    class Late(IteratorSource):
        @hookimpl
        def open(self, context: Any) -> None:  # noqa: ANN401 - as the parent's
            self.opened.append(context)
            if len(self.opened) < 3:
                raise OSError("no such port")

    source = Late(items=lambda _stop: [Chunk(packet())])
    work = RunningSource(journal, source)
    with work:
        work.finish()
    assert (work.worker.kept, len(source.closed)) == (1, 3)


def test_a_close_that_fails_does_not_start_it_again(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """A source that ended well and cannot close has ended, and its fault is told."""

    @plugin(api=1)
    class Stuck(IteratorSource):
        @hookimpl
        def close(self) -> None:
            raise ValueError("stuck")

    source = Stuck(items=lambda _stop: [Chunk(packet())])
    work = RunningSource(journal, source)
    with work:
        work.finish()
    assert (len(source.opened), logged(caplog), work.worker.failure) == (1, ["failed to close"], "")


def test_stop_ends_a_source_until_a_person_acts(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """A source that raises Stop is not started again, and says why."""
    source = IteratorSource(items=failing([Stop("no such file: mend `path`")]))
    work = RunningSource(journal, source)
    with work:
        work.finish()
    assert (work.worker.failure, len(source.opened), len(source.closed)) == ("no such file: mend `path`", 1, 1)
    assert logged(caplog) == ["stopped until a restart: no such file: mend `path`"]


def test_once_gives_up_a_source_that_brings_nothing(journal: Journal) -> None:
    """With `once`, attempts in a row that fail and bring nothing end a source; without it, it is tried for ever."""

    def items(_stop: threading.Event) -> Iterator[Chunk]:
        yield Chunk(b"")
        raise ConnectionRefusedError("refused")

    source = IteratorSource(items=items)
    work = RunningSource(journal, source, once=True)
    with work:
        work.finish()
    assert (work.worker.failure, len(source.opened)) == ("refused", MAX_FRUITLESS_ATTEMPTS)
    patient = IteratorSource(items=items)
    with RunningSource(journal, patient):
        wait_for(lambda: len(patient.opened) > 2 * MAX_FRUITLESS_ATTEMPTS)


def test_once_gives_up_a_source_that_brings_the_same_again(journal: Journal) -> None:
    """A capture that is damaged in its middle is not played for ever: what it brings is not new."""

    def items(_stop: threading.Event) -> Iterator[Chunk]:
        yield Chunk(packet(), time=NOON)
        raise OSError("input/output error")

    source = IteratorSource(items=items)
    work = RunningSource(journal, source, once=True)
    with work:
        work.finish()
    assert (work.worker.failure, len(source.opened), work.worker.kept) == (
        "input/output error",
        MAX_FRUITLESS_ATTEMPTS + 1,
        1,
    )


def test_what_is_neither_bytes_nor_a_reading_is_a_failure(journal: Journal) -> None:
    """A source that yields anything else is at fault, and ends like any that fails."""
    work = collect_items(journal, "text", once=True)
    assert (
        'the plugin "yielding" yielded a str; expected a Chunk, a Reading or a SourceCheckpoint' in work.worker.failure
    )


def test_stopping_ends_a_source(journal: Journal) -> None:
    """A source that looks at `stop` ends when it is set, is closed, and nothing of what came in is lost."""
    ended: list[str] = []

    def items(stop: threading.Event) -> Iterator[Chunk]:
        try:
            yield Chunk(packet() + pack("gem48pbin", "00100001", {})[:50] + packet(secs=2))
            while not stop.wait(0.01):
                yield Chunk(b"")
        finally:
            ended.append("generator")

    source = IteratorSource(items=items)
    with RunningSource(journal, source):
        wait_for(lambda: journal.newest() == 1)
    assert (ended, source.closed, journal.newest()) == (["generator"], [True], 2)


# --- a journal in trouble


def test_a_journal_that_cannot_now_is_waited_for(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the disk is full, what comes in waits, and the source is not held up; then all is kept, and it is told."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("btcore.journal.retry.FIRST", 0.001)
    full, asked = threading.Event(), threading.Event()
    append = journal.append

    def try_to(entries: Any) -> Any:  # noqa: ANN401 - as the journal's
        if full.is_set():
            raise Unavailable("cannot write to the journal: disk full")
        return append(entries)

    def items(_stop: threading.Event) -> Iterator[Chunk]:
        yield Chunk(packet(secs=0))
        full.set()
        yield from [Chunk(packet(secs=n)) for n in range(1, 4)]
        asked.set()

    monkeypatch.setattr(journal, "append", try_to)
    work = RunningSource(journal, IteratorSource(items=items))
    with work:
        assert asked.wait(20)
        assert journal.newest() == 1
        full.clear()
        work.finish()
    assert work.worker.kept == 4
    expected = "cannot write to the journal: disk full (readings that wait for it: 1); trying again in 1 s"
    assert logged(caplog)[0] == expected
    assert any(text.startswith("recovered") for text in logged(caplog, logging.INFO))


def test_a_really_full_journal(sqlite_journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a file that cannot grow, and can later, every packet is kept once."""
    monkeypatch.setattr("btcore.journal.retry.FIRST", 0.001)
    pages = sqlite_journal._writer.execute("PRAGMA page_count").fetchone()[0]
    sqlite_journal._writer.execute(f"PRAGMA max_page_count = {pages + 4}")
    work = RunningSource(
        sqlite_journal, IteratorSource(items=lambda _stop: [Chunk(packet(secs=n) * 20) for n in range(30)])
    )
    with work:
        wait_for(lambda: sqlite_journal.newest() and not sqlite_journal.wait(sqlite_journal.newest(), 0.3))
        with sqlite_journal._writing:
            sqlite_journal._writer.execute("PRAGMA max_page_count = 100000")
        work.finish()
    assert work.worker.kept == sqlite_journal.newest() == 600


def test_stopping_with_a_journal_that_cannot_is_told(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be kept when the program stops is lost, and said so."""

    def fail(_entries: object) -> None:
        raise Unavailable("disk full")

    monkeypatch.setattr(journal, "append", fail)
    source = IteratorSource(items=lambda _stop: [Chunk(packet() + packet(secs=2))])
    with RunningSource(journal, source):
        wait_for(lambda: logged(caplog))
    assert logged(caplog)[-1] == "2 readings are lost because the program stops: disk full"
    assert source.closed == [True]
