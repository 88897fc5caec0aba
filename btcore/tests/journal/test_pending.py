# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands for a journal that cannot be opened yet: it refuses what it cannot do, and is the journal later."""

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import attrs
import pytest
from helpers.captured_log import logged
from helpers.fake_plugins import IteratorSource
from helpers.packets import METER, OTHER_METER, packet
from helpers.running_source import RunningSource, kept_packets
from helpers.times import NOON

from btcore import Chunk, Context, hookimpl, plugin
from btcore.errors import JournalNotReady
from btcore.journal import START, Entry, Journal
from btcore.journal.clock_watch import NAME, ClockWatch
from btcore.journal.memory import MemoryJournal
from btcore.journal.partitions import partitioned
from btcore.journal.pending import pending
from btcore.records import to_microseconds
from btcore.testing import wait_for

WHY = "cannot open the journal /srv/journal.db: its disk is full"


@attrs.define
class Disk:
    """A disk that is full at first; the journal on it."""

    journal: Journal = attrs.field(factory=MemoryJournal)
    is_full: bool = True
    tries: int = 0

    def open(self) -> Journal:
        """Open the journal."""
        self.tries += 1
        if self.is_full:
            raise JournalNotReady(WHY, "/srv/journal.db")
        return self.journal


@pytest.fixture
def disk() -> Disk:
    """Return a disk that is full."""
    return Disk()


@pytest.fixture
def waiting(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """Return what stands for its journal; it is tried again at once."""
    monkeypatch.setattr("btcore.journal.pending.FIRST", 0.0)
    monkeypatch.setattr("btcore.journal.pending.LONGEST", 0.0)
    return pending(disk.open, JournalNotReady(WHY, "/srv/journal.db"))


def entry(key: int) -> Entry:
    """Make an entry."""
    return Entry(key, "panel", METER, "ecm1220bin", packet(secs=key))


@pytest.mark.parametrize(
    "use",
    [
        lambda it: it.append([entry(1)]),
        lambda it: it.read(START, 1),
        lambda it: it.checkpoint("sink.a"),
        lambda it: it.source_checkpoint("panel"),
        lambda it: it.recent(START, 1),
        lambda it: it.lag(START),
        lambda it: it.size(),
    ],
)
def test_what_needs_the_journal_is_refused_with_the_reason(waiting: Journal, use: Callable[[Journal], object]) -> None:
    """Whoever asks waits, as for a journal that fails."""
    with pytest.raises(JournalNotReady, match="its disk is full"):
        use(waiting)


def test_what_can_be_said_without_it_is_said(waiting: Journal) -> None:
    """Nobody who asks for these expects an error; of partitions there is nothing."""
    assert (waiting.newest(), list(waiting.heard_meters()), list(waiting.damages)) == (START, [], [])
    assert (waiting.location, waiting.is_full) == ("/srv/journal.db", False)
    assert list(waiting.apply_retention([], None)) == []  # type: ignore[arg-type]
    assert partitioned(waiting) is None
    waiting.wake()
    waiting.close()


def test_it_is_the_journal_once_that_can_be_opened(waiting: Journal, disk: Disk) -> None:
    """Also for whoever has taken a method before; it is opened once."""
    append, heard = waiting.append, waiting.heard_meters
    assert list(waiting.inspect()) == []
    disk.is_full = False
    assert list(waiting.inspect()) == []
    assert [one.offset for one in append([entry(1)]).kept] == [1]
    assert [one.serial for one in heard()] == [METER]
    assert (waiting.newest(), disk.journal.newest()) == (1, 1)
    waiting.inspect()
    assert disk.tries == 2


def test_it_is_said_once_and_once_an_hour(
    disk: Disk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is tried; that it is open is said as well."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    caplog.set_level(logging.INFO)
    waiting = pending(disk.open, JournalNotReady(WHY, "/srv/journal.db"))
    for _ in range(1000):
        now[0] += 5
        waiting.inspect()
    assert disk.tries > 300
    assert len(logged(caplog, logging.ERROR)) == 2
    assert logged(caplog, logging.ERROR)[0].startswith(f"{WHY}. Until then readings wait in memory")
    now[0] += 20
    disk.is_full = False
    waiting.inspect()
    assert [line.partition(" is open now")[0] for line in caplog.messages[2:]] == [
        f"the journal {disk.journal.location}"
    ]


# --- sources and clocks


def test_a_source_that_needs_no_checkpoint_collects_meanwhile(
    waiting: Journal, disk: Disk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is opened at once, and what it brings is kept when the journal is there; meters of before are known then."""
    monkeypatch.setattr("btcore.sources.worker.RESTORE_INTERVAL", 0.0)
    disk.journal.append([Entry(1, "panel", OTHER_METER, "ecm1220bin", packet(OTHER_METER, secs=1), boot=7)])
    asked, opened = threading.Event(), threading.Event()

    def items(_stop: threading.Event) -> Iterator[Chunk]:
        yield Chunk(packet(secs=2))
        asked.set()
        assert opened.wait(5)
        yield Chunk(packet(OTHER_METER, secs=3))

    with RunningSource(waiting, IteratorSource(items=items), settings={"max_new_meters_per_day": 1}) as work:
        assert asked.wait(5)
        assert work.worker.waiting == 1
        disk.is_full = False
        waiting.inspect()
        opened.set()
        wait_for(lambda: len(kept_packets(disk.journal)) == 3, "the readings to be kept")
    assert work.worker.refused == 0
    assert logged(caplog, logging.WARNING) == []


@plugin(api=1)
class Store(IteratorSource):
    """A source that goes on where it was."""

    begun: list[str] = attrs.field(factory=list)

    @hookimpl
    def open(self, context: Context) -> None:
        """Read how far it had come."""
        self.begun.append(context.checkpoint)


def test_a_source_with_a_checkpoint_is_opened_when_it_can_be_read(waiting: Journal, disk: Disk) -> None:
    """It never begins anew for want of it."""
    disk.journal.commit_source("panel", "far")
    source = Store(items=lambda _stop: iter(()))
    with RunningSource(waiting, source) as work:
        wait_for(lambda: bool(work.worker.status().last_error), "it to fail")
        assert source.begun == []
        disk.is_full = False
        waiting.inspect()
        wait_for(lambda: source.begun == ["far"], "it to be opened")


@pytest.mark.parametrize("is_synchronized", [False, True])
def test_clocks_are_watched_meanwhile(waiting: Journal, disk: Disk, *, is_synchronized: bool) -> None:
    """What an earlier run has left without a time gets it; from where this one has some is kept when that can be."""
    if is_synchronized:
        disk.journal.append([attrs.evolve(entry(5), boot=-3, monotonic=1_000_000)])
        disk.journal.commit_source(NAME, "0")
    watch = ClockWatch(
        waiting, now=lambda: NOON, steady=lambda: 10_000_000, is_synchronized=lambda: is_synchronized, boot=3
    )
    assert watch.is_holding
    with pytest.raises(JournalNotReady):
        watch.check()
    disk.is_full = False
    waiting.inspect()
    watch.check()
    assert watch.is_holding is not is_synchronized
    assert disk.journal.source_checkpoint(NAME) == ("" if is_synchronized else "0")
    if is_synchronized:
        (found,) = disk.journal.read(START, 9)
        assert found.key == to_microseconds(NOON - timedelta(seconds=9))
