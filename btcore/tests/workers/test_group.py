# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that are replaced one by one: the new one starts when the old one has ended."""

from threading import Event, Thread

from btcore.testing import wait_for
from btcore.workers.group import WorkerGroup


class Worker:
    """A worker that ends when it is told to, and released."""

    def __init__(self, name: str, release: Event | None = None) -> None:
        """Prepare."""
        self.name = name
        self._ending, self._release = Event(), release or Event()
        if release is None:
            self._release.set()
        self.thread = Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        self._ending.wait(60)
        self._release.wait(60)

    @property
    def is_told(self) -> bool:
        """Whether it was told to end."""
        return self._ending.is_set()

    def end(self) -> None:
        """Take note."""
        self._ending.set()


def group(*workers: Worker, patience: float = 60) -> tuple[WorkerGroup[Worker], list[Worker]]:
    """Start a group; return it, and the list of those that have ended."""
    ended: list[Worker] = []
    made = WorkerGroup(workers, ended.append, patience)
    made.start()
    return made, ended


def settle(made: WorkerGroup[Worker]) -> None:
    """Advance until every worker is there."""

    def is_settled() -> bool:
        made.advance()
        return made.is_settled

    wait_for(is_settled)


def test_a_worker_is_replaced_when_it_has_ended() -> None:
    """Until then the new one does not run, so that two never do the same; others go on."""
    release = Event()
    old, other, new = Worker("a", release), Worker("b"), Worker("a")
    made, ended = group(old, other)
    workers = made.workers
    made.replace({"a"}, [new], ["a", "b"])
    made.advance()
    assert (old.is_told, other.is_told, workers, made.pending, made.is_settled) == (
        True,
        False,
        [old, other],
        ["a"],
        False,
    )
    release.set()
    settle(made)
    assert (workers, ended, new.thread.is_alive(), made.pending) == ([new, other], [old], True, [])
    made.end()


def test_workers_are_in_the_order_of_the_configuration() -> None:
    """Added ones stand where the configuration has them; removed ones are gone."""
    made, ended = group(Worker("a"), Worker("b"))
    made.replace({"a"}, [Worker("c"), Worker("d")], ["d", "b", "c"])
    settle(made)
    assert ([worker.name for worker in made.workers], [worker.name for worker in ended]) == (["d", "b", "c"], ["a"])
    made.end()


def test_an_added_worker_waits_for_what_another_may_hold() -> None:
    """A table that was renamed has the same port: it starts when the old one has given it back, or after a while."""
    release = Event()
    old, new = Worker("a", release), Worker("b")
    made, _ = group(old)
    made.replace({"a"}, [new], ["b"])
    made.advance()
    assert made.workers == [old]
    release.set()
    settle(made)
    assert made.workers == [new]
    made.end()


def test_one_that_hangs_delays_only_its_own_successor() -> None:
    """After the patience others start; the successor starts whenever the old one ends."""
    release = Event()
    old, new, other = Worker("a", release), Worker("a"), Worker("b")
    made, _ = group(old, patience=0)
    made.replace({"a"}, [new, other], ["a", "b"])
    made.advance()
    assert (made.workers, made.pending) == ([old, other], ["a"])
    release.set()
    settle(made)
    assert made.workers == [new, other]
    made.end()


def test_a_worker_that_waits_can_be_replaced_itself() -> None:
    """A second change while the first is under way: the last configuration counts, and nothing between was started."""
    release = Event()
    old, between, last = Worker("a", release), Worker("a"), Worker("a")
    made, ended = group(old)
    made.replace({"a"}, [between], ["a"])
    made.advance()
    made.replace({"a"}, [last], ["a"])
    release.set()
    settle(made)
    assert (made.workers, ended, between.thread.ident) == ([last], [old], None)
    made.end()


def test_at_the_end_nothing_is_started_any_more() -> None:
    """What waits for an old worker is forgotten when all are told to end."""
    release = Event()
    old, new = Worker("a", release), Worker("a")
    made, _ = group(old)
    made.replace({"a"}, [new], ["a"])
    made.end()
    release.set()
    settle(made)
    assert (made.workers, new.thread.ident) == ([], None)
