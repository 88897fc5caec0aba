# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads that wait for entries of a journal: each is woken by the one that it waits for, and by no other."""

from threading import Lock, Thread

import pytest

from btcore.journal.waits import Waits

LONG = 60.0


class Waiter:
    """A thread that waits for one offset."""

    def __init__(self, waits: Waits, lock: Lock, offset: int) -> None:
        """Begin to wait."""
        self._waits, self._lock, self._offset = waits, lock, offset
        self._begun = Lock()
        self._begun.acquire()
        self.thread = Thread(target=self._run, daemon=True)
        self.thread.start()
        self._begun.acquire(timeout=LONG)
        with lock:  # it was free, so the thread waits
            pass

    def _run(self) -> None:
        with self._lock:
            self._begun.release()
            self._waits.wait(self._offset, LONG)

    def is_woken(self, within: float = LONG) -> bool:
        """Return whether it waits no more."""
        self.thread.join(within)
        return not self.thread.is_alive()


@pytest.fixture
def lock() -> Lock:
    """Return what guards the newest offset."""
    return Lock()


@pytest.fixture
def waits(lock: Lock) -> Waits:
    """Return who waits: nobody."""
    return Waits(lock)


def test_an_entry_wakes_those_that_wait_for_it(waits: Waits, lock: Lock) -> None:
    """Whoever waits for an entry up to the newest is woken; who waits for a later one goes on."""
    early, late = Waiter(waits, lock, 2), Waiter(waits, lock, 4)
    with lock:
        waits.came(1)
    assert not early.is_woken(0.01)
    with lock:
        waits.came(3)
    assert early.is_woken()
    assert not late.is_woken(0.01)
    with lock:
        waits.came(4)
    assert late.is_woken()


def test_all_can_be_woken(waits: Waits, lock: Lock) -> None:
    """Waking ends each wait, whatever it is for."""
    waiters = [Waiter(waits, lock, offset) for offset in (2, 9)]
    with lock:
        waits.wake()
    assert all(one.is_woken() for one in waiters)


def test_a_wait_ends_after_its_time(waits: Waits, lock: Lock) -> None:
    """Where nothing comes in, a wait ends by itself, and nobody is told afterwards."""
    with lock:
        waits.wait(1, 0.001)
        assert waits._waiting == []
        waits.came(1)
