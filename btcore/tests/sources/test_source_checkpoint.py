# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a source has come that reads a store: kept after its readings, and found again."""

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Event

import pytest
from helpers.captured_log import logged
from helpers.fake_plugins import IteratorSource
from helpers.running_source import PACKETLESS, RunningSource, collect_items
from helpers.times import NOON

from btcore import Reading, SourceCheckpoint
from btcore.errors import JournalFull
from btcore.journal.memory import MemoryJournal
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing import wait_for


def reading(n: int) -> Reading:
    """Make a reading without a packet."""
    return Reading(NOON + timedelta(seconds=10 * n), PACKETLESS, "1", b"", numbers=(10 * n, 1000 * n, 0))


def test_it_is_kept_when_the_readings_before_it_are(journal: SqliteJournal) -> None:
    """When a source is asked to go on after a checkpoint, its readings and the checkpoint are in the journal."""
    seen: list[tuple[int, str]] = []

    def items(_stop: Event) -> Iterator[Reading | SourceCheckpoint]:
        for n in range(3):
            yield reading(n)
            yield SourceCheckpoint(str(n))
            seen.append((len(journal.read(0, 100)), journal.source_checkpoint("panel")))

    work = RunningSource(journal, IteratorSource(items=items))
    with work:
        work.finish()
    assert seen == [(1, "0"), (2, "1"), (3, "2")]


def test_the_last_one_is_found_when_the_source_is_opened_again(journal: SqliteJournal) -> None:
    """A source begins with "", and after a failure or a restart with the last checkpoint that it yielded."""
    fails = iter([True, False])

    def items(_stop: Event) -> Iterator[Reading | SourceCheckpoint]:
        yield reading(0)
        yield SourceCheckpoint("first")
        yield reading(1)
        if next(fails):
            raise OSError("the connection is lost")

    source = IteratorSource(items=items)
    with RunningSource(journal, source) as work:
        work.finish()
    again = IteratorSource(items=lambda _stop: [])
    with RunningSource(journal, again, once=True) as work:
        work.finish()
    assert [context.checkpoint for context in (*source.opened, *again.opened)] == ["", "first", "first"]
    assert [context.once for context in (*source.opened, *again.opened)] == [False, False, True]
    assert len(journal.read(0, 100)) == 2


def test_it_does_not_move_over_what_the_journal_has_refused(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Readings that a full journal has refused are asked for again, and the checkpoint waits for them."""
    append, is_full = journal.append, iter([True, True, False])

    def append_if_there_is_room(*args: object) -> object:
        if next(is_full, False):
            raise JournalFull("the journal is full")
        return append(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(journal, "append", append_if_there_is_room)
    caplog.set_level(logging.ERROR)
    source = IteratorSource(items=lambda _stop: [reading(0), SourceCheckpoint("all"), reading(1)])
    with RunningSource(journal, source) as work:
        work.finish()
    assert [context.checkpoint for context in source.opened][:2] == ["", ""]
    assert (len(journal.read(0, 100)), journal.source_checkpoint("panel")) == (2, "all")


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: SourceCheckpoint(7), TypeError),  # type: ignore[arg-type]
        (lambda: SourceCheckpoint("x" * 100_001), ValueError),
    ],
)
def test_what_is_no_checkpoint_is_told(make: Callable[[], object], error: type[Exception]) -> None:
    """A checkpoint is text, and not too much of it."""
    with pytest.raises(error, match="a source's checkpoint"):
        make()


def test_a_checkpoint_is_no_reading(journal: SqliteJournal) -> None:
    """A source that yields checkpoints alone keeps nothing else."""
    collect_items(journal, SourceCheckpoint("1"), settings={"formats": ("ecm1220bin",)})
    assert (journal.source_checkpoint("panel"), journal.read(0, 1)) == ("1", [])


def test_a_store_is_not_read_on_while_the_journal_has_no_room(caplog: pytest.LogCaptureFixture) -> None:
    """A source that reads a store waits for the sinks, which is said once; then it goes on where it was."""
    journal = MemoryJournal()
    journal.is_full = True
    items = [one for n in range(4) for one in (reading(n), SourceCheckpoint(str(n)))]
    with RunningSource(journal, IteratorSource(items=lambda _stop: items)) as work:
        wait_for(lambda: journal.source_checkpoint("panel") == "0")
        wait_for(lambda: logged(caplog))
        assert (work.worker.kept, work.worker.hang(60)) == (1, "")
        journal.is_full = False
        wait_for(lambda: journal.source_checkpoint("panel") == "3")
    assert work.worker.kept == 4
    assert logged(caplog) == ["the journal is nearly full: the source waits until every sink has had some of it"]


def test_a_source_that_waits_for_room_can_be_stopped() -> None:
    """A stop is not held up by a journal that stays full."""
    journal = MemoryJournal()
    journal.is_full = True
    items = [reading(0), SourceCheckpoint("0"), reading(1)]
    with RunningSource(journal, IteratorSource(items=lambda _stop: items)) as work:
        wait_for(lambda: work.worker.kept == 1)
    assert work.worker.has_ended
