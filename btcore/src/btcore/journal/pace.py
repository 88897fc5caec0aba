# SPDX-License-Identifier: GPL-3.0-or-later
"""The pace of a burst: a source that brings many readings at once waits briefly for the sinks that keep up.

A sink that reads near the end of the journal is given readings that are in memory, and that are decoded once for all.
A burst that leaves it behind makes it read the file, and decode by itself, which takes three times as long: so all of
the burst takes longer. A sink that is slow, hung or down is waited for no longer than `TIMEOUT`, and then no more.
"""

from collections.abc import Callable
from threading import Condition

from btcore.journal import Offset

LEAD = 256
"""Readings by which a burst may be ahead of a sink that keeps up."""

NEAR = 1024
"""Readings behind which a sink does not keep up, and is not waited for: it reads the file, whatever the source does."""

PORTION = 500
"""Readings that a sink takes at once: one that catches up is no further ahead of another than that."""

TIMEOUT = 0.25
"""Seconds for which a burst waits at once: a slow board takes so long for `LEAD` readings, and several sinks."""


class Pace:
    """How far the sinks of a site have read. Safe between threads."""

    def __init__(self) -> None:
        """Begin without sinks."""
        self._change = Condition()
        self._read: dict[str, Offset] = {}
        self.is_waiting = False

    def has_read(self, sink: str, offset: Offset) -> None:
        """Note how far a sink has read."""
        with self._change:
            self._read[sink] = offset
            self._change.notify_all()

    def wait(self, newest: Offset) -> None:
        """Wait until all sinks that keep up have nearly read up to the newest offset; those that do not are left."""
        self._wait(lambda: [sink for sink, offset in self._read.items() if newest - NEAR < offset < newest - LEAD])

    def wait_for_others(self, offset: Offset) -> None:
        """Wait, as a sink that catches up and has read up to an offset, for those that are a portion behind.

        They are given what it has read and made of that. Further behind, each would read and decode by itself for good.
        """
        self._wait(lambda: [sink for sink, read in self._read.items() if offset - NEAR < read <= offset - PORTION])

    def _wait(self, late: Callable[[], list[str]]) -> None:
        with self._change:
            if not late():
                return
            self.is_waiting = True
            if not self._change.wait_for(lambda: not late(), TIMEOUT):
                for sink in late():
                    del self._read[sink]  # until it reads on
            self.is_waiting = False
