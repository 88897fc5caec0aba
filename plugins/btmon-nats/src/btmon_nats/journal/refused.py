# SPDX-License-Identifier: GPL-3.0-or-later
"""What readers of the stream have refused in this run: told once of a kind, and counted."""

import logging
from collections import OrderedDict
from collections.abc import Iterator
from threading import Lock

log = logging.getLogger("btcore")

MAX_KINDS = 1000
"""Kinds that are remembered; a publisher may invent any number."""


class Refused:
    """Counts what was refused. Safe between threads."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._kinds: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._lock = Lock()

    def report(self, text: str, kind: str) -> None:
        """Warn once of a kind, and at each ten times as many."""
        with self._lock:
            first, count = self._kinds.get(kind, (text, 0))
            count += 1
            self._kinds[kind] = first, count
            self._kinds.move_to_end(kind)
            while len(self._kinds) > MAX_KINDS:
                self._kinds.popitem(last=False)
        if count == 10 ** (len(str(count)) - 1):
            log.warning("%s (%d so far)", text, count)

    def lines(self) -> Iterator[str]:
        """Yield a line for each kind."""
        with self._lock:
            found = list(self._kinds.values())
        yield from (f"{text} ({count} so far)" for text, count in found)
