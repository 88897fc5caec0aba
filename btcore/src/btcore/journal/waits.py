# SPDX-License-Identifier: GPL-3.0-or-later
"""Who waits for new entries of a journal, and from which one on: an append wakes those that it has one for.

A sink that gathers readings for a minute is not woken for each. To wake a thread, and to have it look, takes 0.1 ms of
the processor, in which the sink that delivers at once may wait for the interpreter.
"""

import threading

from btcore.journal import Offset


class Waits:
    """The threads that wait. Whoever calls holds the lock, which is free while one waits."""

    def __init__(self, lock: threading.Lock) -> None:
        """Begin with none; the lock is that under which the journal's newest offset changes."""
        self._lock = lock
        self._waiting: list[tuple[Offset, threading.Condition]] = []

    def wait(self, offset: Offset, timeout: float) -> None:
        """Wait until the newest offset is this one or a later, for so many seconds, or until `wake`."""
        woken = threading.Condition(self._lock)
        one = offset, woken
        self._waiting.append(one)
        try:
            woken.wait(timeout)
        finally:
            self._waiting.remove(one)

    def came(self, newest: Offset) -> None:
        """Wake those that wait for an entry up to the newest."""
        for offset, woken in self._waiting:
            if offset <= newest:
                woken.notify()

    def wake(self) -> None:
        """Wake all."""
        for _, woken in self._waiting:
            woken.notify()
