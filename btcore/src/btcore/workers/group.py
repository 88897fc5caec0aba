# SPDX-License-Identifier: GPL-3.0-or-later
"""The workers of one kind, sources or sinks: they are started together, and replaced one by one.

A worker that is replaced finishes what it has begun, and the new one starts when it has: two never read one line, nor
move one checkpoint. What has to be replaced is decided in `changes.py`.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from threading import Thread
from time import monotonic
from typing import Generic, Protocol, TypeVar

log = logging.getLogger("btcore")


class Worker(Protocol):
    """What a group needs of a worker."""

    name: str
    thread: Thread

    def end(self) -> None:
        """Tell it to end when it has finished what it has begun."""


W = TypeVar("W", bound=Worker)


class WorkerGroup(Generic[W]):
    """The workers of one kind. `workers` is always the same list, in the order of the configuration."""

    def __init__(self, workers: Sequence[W], ended: Callable[[W], None], patience: float) -> None:
        """Take the first workers. `ended` is called with each that was replaced or removed.

        For `patience` seconds a new worker waits for all that end, as it may need what they hold; then only for its
        own predecessor.
        """
        self.workers = list(workers)
        self._ended = ended
        self._patience = patience
        self._deadline = 0.0
        self._ending: list[W] = []
        self._waiting: list[W] = []
        self._order: list[str] = [worker.name for worker in workers]

    @property
    def threads(self) -> list[Thread]:
        """The threads of the workers that were started."""
        return [worker.thread for worker in self.workers]

    @property
    def is_settled(self) -> bool:
        """Whether no worker has still to end or to start."""
        return not self._ending and not self._waiting

    @property
    def pending(self) -> list[str]:
        """The tables of workers that have still to end."""
        return [worker.name for worker in self._ending]

    def is_waiting(self, name: str) -> bool:
        """Whether a worker of this name has still to start."""
        return any(worker.name == name for worker in self._waiting)

    def start(self) -> None:
        """Start the first workers."""
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        """Tell all to end, and start no more."""
        self._waiting.clear()
        for worker in self.workers:
            worker.end()

    def replace(self, ending: Collection[str], starting: Sequence[W], order: Sequence[str]) -> None:
        """Let the workers of some tables end, and start others in their place. `order` are all tables."""
        self._order = list(order)
        self._deadline = monotonic() + self._patience
        self._waiting = [worker for worker in self._waiting if worker.name not in ending] + list(starting)
        leaving = [worker for worker in self.workers if worker.name in ending and worker not in self._ending]
        self._ending += leaving
        for worker in leaving:
            worker.end()

    def advance(self) -> None:
        """Start the workers that wait, as far as those before them have ended; called now and then."""
        if self.is_settled:
            return
        gone = [worker for worker in self._ending if not worker.thread.is_alive()]
        self._ending = [worker for worker in self._ending if worker not in gone]
        hanging = {worker.name for worker in self._ending}
        is_patient = bool(hanging) and monotonic() < self._deadline
        ready = [] if is_patient else [worker for worker in self._waiting if worker.name not in hanging]
        self._waiting = [worker for worker in self._waiting if worker not in ready]
        kept = [worker for worker in self.workers if worker not in gone]
        self.workers[:] = sorted([*kept, *ready], key=self._rank)
        for worker in gone:
            self._ended(worker)
        for worker in ready:
            worker.thread.start()

    def _rank(self, worker: W) -> int:
        return self._order.index(worker.name) if worker.name in self._order else len(self._order)
