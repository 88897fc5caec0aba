# SPDX-License-Identifier: GPL-3.0-or-later
"""Sinks that share the partitions of a journal: workers come and go with the shares, and requests are of them all."""

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from threading import Event
from typing import Any, cast

import attrs
import pytest
from helpers.journal_entries import raw_entry
from helpers.times import START

from btcore import Stop
from btcore.config.site import Sink, Site
from btcore.journal import Checkpoint
from btcore.journal.memory import MemoryJournal
from btcore.journal.partitions import PartitionedJournal, Share, partitioned, parts_of, replay_name
from btcore.replay.requests import Request, RequestBook
from btcore.runtime.running_site import RunningSite
from btcore.settings import Delivery
from btcore.testing import wait_for
from btcore.workers.factory import RunOptions
from btcore.workers.fitness import FAILING, FAILING_AGAIN, RETURN, Fitness
from btcore.workers.sharing import Sharing

TABLE = "sink.store"


class InParts(MemoryJournal):
    """A journal with three partitions, of which a test says which are ours."""

    partitions = 3

    def __init__(self) -> None:
        """Begin with all of them."""
        super().__init__()
        self.parts = [MemoryJournal() for _ in range(self.partitions)]
        self.mine = {Share(TABLE, number) for number in range(self.partitions)}
        self.working: Collection[Share] = ()
        self.unfit: Collection[str] = ()

    def partition(self, number: int) -> MemoryJournal:
        """Return one."""
        return self.parts[number]

    def hold(self, _sinks: Sequence[str], working: Collection[Share], unfit: Collection[str] = ()) -> Collection[Share]:
        """Return those that are ours."""
        self.working, self.unfit = working, unfit
        return self.mine

    def wake(self) -> None:
        """Wake all."""
        super().wake()
        for part in self.parts:
            part.wake()


@attrs.define(eq=False)
class Store:
    """A sink that counts, by instance."""

    stored: list[int] = attrs.field(factory=list)


@pytest.fixture
def journal() -> InParts:
    """Return a journal with partitions."""
    return InParts()


@pytest.fixture
def running(journal: InParts, tmp_path: Path) -> Iterable[RunningSite]:
    """Run a site whose sink has the partitions of the journal."""
    sink = Sink(name="store", table=TABLE, plugin="store", instance=Store(), delivery=Delivery())
    site = Site(file=tmp_path / "site.toml", state=tmp_path, sinks=(sink,))
    stop = Event()
    running = RunningSite(site, cast("Any", journal), stop, Event(), RunOptions(), 30)
    running.start()
    yield running
    stop.set()
    running.end()
    for thread in running.threads:
        thread.join(30)


def names(running: RunningSite) -> list[str]:
    """Return the names of the workers of sinks."""
    return [worker.name for worker in running.sinks.workers]


def checked(running: RunningSite, condition: Callable[[], object]) -> Callable[[], bool]:
    """Return a condition that is looked at after a check of the site, as the supervisor makes it."""

    def is_so() -> bool:
        running.check()
        return bool(condition())

    return is_so


def test_a_journal_of_one_computer_has_no_partitions() -> None:
    """It is its own only part, and is asked nothing."""
    journal = MemoryJournal()
    assert partitioned(journal) is None
    assert parts_of(journal) == [journal]


def test_workers_follow_the_shares(running: RunningSite, journal: InParts) -> None:
    """There is one for each share; what is lost ends, and counts as worked on until it has; what comes starts."""
    assert names(running) == [f"{TABLE} partition {number}" for number in range(3)]
    assert len({id(worker._calls._hooks) for worker in running.sinks.workers}) == 3
    lost = running.sinks.workers[1]
    journal.mine = {Share(TABLE, 0), Share(TABLE, 2)}
    wait_for(checked(running, lambda: len(names(running)) == 2), "the worker to end")
    assert not lost.thread.is_alive()
    running.check()
    assert set(journal.working) == journal.mine
    journal.mine = {Share(TABLE, 0), Share(TABLE, 1), Share(TABLE, 2)}
    wait_for(checked(running, lambda: len(names(running)) == 3), "another to start")
    assert lost not in running.sinks.workers


def test_who_was_superseded_ends_and_the_run_goes_on(running: RunningSite, journal: InParts) -> None:
    """A worker whose checkpoint another program has changed ends without a failure; the share may come back."""
    first = running.sinks.workers[0]
    wait_for(lambda: journal.parts[0].checkpoint(TABLE) is not None, "its checkpoint")
    journal.parts[0].commit(TABLE, cast("Checkpoint", journal.parts[0].checkpoint(TABLE)))
    journal.parts[0].append([raw_entry(START, b"a")])
    wait_for(lambda: first.is_superseded, "the worker to notice")
    assert not first.stop_reason
    assert not running.health.has_failed()
    wait_for(checked(running, lambda: first not in running.sinks.workers and len(names(running)) == 3), "a new one")
    assert running.is_alive


def test_what_cannot_be_delivered_here_is_left_and_tried_again_later(
    running: RunningSite, journal: InParts, caplog: pytest.LogCaptureFixture
) -> None:
    """A sink all of whose workers have stopped is unfit; what was left stays to be seen, until it is tried again."""
    now = [0.0]
    sharing = cast("Sharing", running._sharing)
    sharing.fitness = Fitness(lambda: now[0])
    first = running.sinks.workers[0]
    first._stopped(Stop("wrong password"))
    running.check()
    assert not journal.unfit  # one partition says nothing of the program
    for worker in running.sinks.workers:
        worker._stopped(Stop("wrong password"))
        worker.end()
    wait_for(lambda: not any(one.thread.is_alive() for one in running.sinks.workers), "the threads to end")
    for worker in running.sinks.workers:
        worker.has_ended = False
    running.check()
    assert (set(journal.unfit), set(journal.working)) == ({TABLE}, set())
    journal.mine = set()
    running.check()
    assert "wrong password" in caplog.text
    assert "tries again in 10 min" in caplog.text
    [found] = running.status().sinks
    assert (found.state, found.partitions) == ("stopped", ())
    now[0] = RETURN
    wait_for(checked(running, lambda: not names(running)), "what was left to be forgotten")
    assert not journal.unfit
    journal.mine = {Share(TABLE, 1)}
    wait_for(checked(running, lambda: names(running) == [f"{TABLE} partition 1"]), "it to be tried again")
    assert running.sinks.workers[0] is not first


@attrs.define
class Failing:
    """What is looked at of a worker."""

    failing_for: float | None
    table: str = TABLE
    is_left: bool = False
    has_ended: bool = False
    delivered: int = 0
    name: str = ""
    is_idle: bool = False


def test_a_sink_that_fails_for_long_is_unfit_and_a_doubted_one_soon() -> None:
    """After two minutes all of them; within seconds where it has not worked since; one that works makes it fit."""
    now = [0.0]
    fitness = Fitness(lambda: now[0])

    def is_unfit(*seconds: float | None, delivered: int = 0) -> bool:
        workers = [Failing(one, delivered=delivered, name=f"{at}") for at, one in enumerate(seconds)]
        return TABLE in fitness.look([TABLE], cast("Any", workers))

    assert not is_unfit(FAILING_AGAIN, FAILING_AGAIN)
    assert not is_unfit(FAILING, None)
    assert is_unfit(FAILING, FAILING)
    assert is_unfit()
    now[0] = RETURN
    assert not is_unfit()
    assert is_unfit(FAILING_AGAIN)
    assert not is_unfit(None, delivered=1)
    assert not is_unfit(FAILING_AGAIN)


def test_a_partition_without_readings_keeps_no_program_fit() -> None:
    """A worker that has nothing to deliver shows nothing; one that has delivered of late, or is about to, does."""
    now = [0.0]
    fitness = Fitness(lambda: now[0])
    fails, other = Failing(FAILING, name="1"), Failing(None, name="2", delivered=7, is_idle=True)

    def is_unfit() -> bool:
        return TABLE in fitness.look([TABLE], cast("Any", [fails, other]))

    assert not is_unfit()
    now[0] = FAILING - 1
    other.delivered = 8
    assert not is_unfit()
    now[0] = 2 * FAILING
    other.is_idle = False
    assert not is_unfit()
    other.is_idle = True
    assert is_unfit()
    assert not Fitness(lambda: now[0]).look([TABLE], cast("Any", [other]))


def test_requests_are_asked_of_all_partitions(journal: InParts) -> None:
    """What is asked is kept in each; it is done when each has done it, and its counts are those of all."""
    book = RequestBook(cast("PartitionedJournal", journal))
    asked = Request()
    everywhere = book.of_all(TABLE)
    everywhere.ask(asked)
    assert all(part.checkpoint(replay_name(TABLE)) for part in journal.parts)
    for number in range(3):
        assert everywhere.is_waiting(asked.number)
        one = book.of_share(Share(TABLE, number))
        one.finish(attrs.evolve(asked, delivered=number + 1))
    assert not everywhere.is_waiting(asked.number)
    elsewhere = RequestBook(cast("PartitionedJournal", journal)).of_all(TABLE).get(asked.number)
    assert elsewhere is not None
    assert elsewhere.delivered == 6
