# SPDX-License-Identifier: GPL-3.0-or-later
"""The activity report of a run: what each source received, what each sink delivered, and their states.

So the log of a healthy run differs from that of a run that stores nothing. Failures and losses are reported by
`logs/failures.py` when they happen.
"""

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from btcore.classes import define
from btcore.decode.framing import StreamCounts
from btcore.logs.tally import SummarizedCount
from btcore.sinks.state import UP_TO_DATE
from btcore.text import plural

FIRST_REPORT = 60.0
"""Seconds after the start of the first report."""

REPORT_INTERVAL = 3600.0
"""Seconds between two reports after that."""

CHECK_INTERVAL = 1.0
"""Seconds between two looks at how far sinks are behind: each asks the journal."""

FAR_BEHIND = 1000
"""Lag in readings above which it is logged that the sink is up to date again."""

MAX_PARTS = 8
"""Sources, and sinks, that a report names; more are counted."""


class Source(Protocol):
    """What a report needs of a source."""

    name: str
    failure: str

    @property
    def counts(self) -> StreamCounts:
        """What was found in its streams."""

    @property
    def without_packets(self) -> int:
        """How many readings came without packets."""

    @property
    def kept(self) -> int:
        """How many readings were new to the journal."""

    @property
    def meters(self) -> int:
        """How many meters were heard."""

    @property
    def silent(self) -> Sequence[str]:
        """The meters that are silent now."""


class Sink(Protocol):
    """What a report needs of a sink."""

    name: str

    @property
    def delivered(self) -> int:
        """How many readings were delivered."""

    @property
    def state(self) -> str:
        """Its state: `up to date`, `12 readings behind`, `failing for 5 min`, `stopped`."""

    @property
    def behind(self) -> int:
        """How many readings it has not had."""

    @property
    def unwanted(self) -> int:
        """In how many readings its settings selected nothing."""


@define
class _Previous:
    """What a source or a sink had counted at the last report; whether it was far behind since."""

    count: int = 0
    others: int = 0
    is_behind: bool = False


class ActivityReport:
    """Reports the sources and sinks of a run. Seconds are of a monotonic clock."""

    def __init__(
        self,
        sources: Sequence[Source],
        sinks: Sequence[Sink],
        log: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin; the first report comes after a minute."""
        self._sources = sources
        self._sinks = sinks
        self._log = log
        self._clock = clock
        self._began = self._reported_at = clock()
        self._checked_at = -math.inf
        self._previous: defaultdict[str, _Previous] = defaultdict(_Previous)
        self._caught_up: defaultdict[str, SummarizedCount] = defaultdict(self._make_count)

    def forget(self, name: str) -> None:
        """Forget what a source or sink had counted: it was replaced, and counts from zero."""
        self._previous.pop(name, None)

    def _make_count(self) -> SummarizedCount:
        summary = "{last} is up to date again, {count:more time}"
        return SummarizedCount(log=self._log, level=logging.INFO, first=2, summary=summary, clock=self._clock)

    def check(self) -> None:
        """Log what is due; called about every second, or more often: sinks are looked at once a second."""
        now = self._clock()
        if now - self._checked_at >= CHECK_INTERVAL:
            self._checked_at = now
            for sink in self._sinks:
                self._check_sink(sink)
        is_first = self._reported_at == self._began
        if now - self._reported_at >= (FIRST_REPORT if is_first else REPORT_INTERVAL):
            span = "minute" if is_first else "hour"
            self._reported_at = now
            self._report("in the first minute" if is_first else f"in the last {span}")

    def _check_sink(self, sink: Sink) -> None:
        """Log that a sink that was far behind is up to date."""
        previous = self._previous[sink.name]
        if sink.behind >= FAR_BEHIND:
            previous.is_behind = True
        elif previous.is_behind and sink.state == UP_TO_DATE:
            previous.is_behind = False
            self._caught_up[sink.name].add(f"{sink.name} is up to date again", sink.name)
        self._caught_up[sink.name].report_due()

    def _report(self, when: str) -> None:
        came = [self._describe_source(source) for source in self._sources]
        went = [self._describe_sink(sink) for sink in self._sinks]
        packets = sum(count for count, _ in came)
        line = "; ".join([_join_first([text for _, text in came], "source"), _join_first(went, "sink")])
        self._log.log(logging.INFO if packets else logging.WARNING, "%s: %s", when, line)

    def _describe_source(self, source: Source) -> tuple[int, str]:
        count, kept = self._increase(source.name, source.counts.packets + source.without_packets, source.kept)
        what = "packet" if source.counts.packets or not source.without_packets else "reading"
        silent = f" ({plural(len(names), 'meter')} silent)" if (names := source.silent) else ""
        came = f"{plural(source.meters, 'meter')}{silent}, {plural(count, what)}" if count else f"no {what}{silent}"
        none = ", none of them kept" if count and not kept else ""
        stopped = ", stopped" if source.failure else ""
        return count, f"{_short(source.name)}: {came}{none}{stopped}"

    def _describe_sink(self, sink: Sink) -> str:
        count, unwanted = self._increase(sink.name, sink.delivered, sink.unwanted)
        passed = f", {unwanted} not selected by its settings" if unwanted > 0 else ""
        done = plural(count, "reading") if count else "no reading"
        return f"{_short(sink.name)}: {done}{passed}, {sink.state}"

    def _increase(self, name: str, total: int, other: int) -> tuple[int, int]:
        previous = self._previous[name]
        more = total - previous.count, other - previous.others
        previous.count, previous.others = total, other
        return more


def _short(table: str) -> str:
    """Return the name of a table without its kind."""
    return table.partition(".")[2] or table


def _join_first(parts: Iterable[str], what: str) -> str:
    texts = list(parts)
    more = len(texts) - MAX_PARTS
    return "; ".join(texts[:MAX_PARTS]) + (f"; {plural(more, f'more {what}')}" if more > 0 else "")
