# SPDX-License-Identifier: GPL-3.0-or-later
"""The health of a run: it has failed when no source or no sink works any more. What stopped, and why.

The supervisor ends a run that has failed; a service manager or a person starts it again.
"""

from collections.abc import Callable, Iterable, Sequence
from time import monotonic

from btcore.sinks.worker import SinkWorker
from btcore.sources.worker import SourceWorker
from btcore.text import shortened

DRAIN_TIMEOUT = 30.0
"""Seconds that sinks may take to deliver the rest, after the last source has stopped."""

MAX_REASONS = 3
"""Workers whose reasons are named."""

MAX_REASON = 300
"""Characters of each reason."""


class RunHealth:
    """Watches the workers of one run. `clock` counts seconds and is monotonic."""

    def __init__(
        self,
        sources: Sequence[SourceWorker],
        sinks: Sequence[SinkWorker],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Begin while all of them work."""
        self._sources = sources
        self._sinks = sinks
        self._clock = clock
        self._since: float | None = None  # when the last source had stopped

    def has_failed(self) -> bool:
        """Whether the run can do nothing more until a person acts; called again and again.

        If every source has stopped, the sinks first deliver the rest.
        """
        if self._sinks and all(sink.stop_reason for sink in self._sinks):
            return True
        receiving = [worker for worker in self._sources if not worker.source.is_derived]
        ended = not any(worker.thread.is_alive() for worker in receiving)
        if not ended or not any(worker.failure for worker in self._sources):
            self._since = None  # a reload may have started one again
            return False
        now = self._clock()
        self._since = now if self._since is None else self._since
        done = all(sink.stop_reason or sink.is_up_to_date for sink in self._sinks)
        return done or now - self._since >= DRAIN_TIMEOUT

    def describe_failure(self) -> str:
        """Describe what has stopped, and why; "" if nothing has."""
        sinks = [f"{sink.name}: {sink.stop_reason}" for sink in self._sinks if sink.stop_reason]
        sources = [f"{worker.name}: {worker.failure}" for worker in self._sources if worker.failure]
        what = "all sinks have stopped: " if sinks and len(sinks) == len(self._sinks) else ""
        if not what and sources and not any(worker.thread.is_alive() for worker in self._sources):
            what = "all sources have stopped: " if len(sources) == len(self._sources) else ""
        return what + _join_first([*sinks, *sources])


def _join_first(texts: Iterable[str]) -> str:
    texts = list(texts)
    more = f"; and {len(texts) - MAX_REASONS} more" if len(texts) > MAX_REASONS else ""
    return "; ".join(shortened(text, MAX_REASON) for text in texts[:MAX_REASONS]) + more
