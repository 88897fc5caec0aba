# SPDX-License-Identifier: GPL-3.0-or-later
"""How a sink stands: in a few words for the log, in one word and as a record for `btcore status`.

What it delivers, and when, is in `worker.py`.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from btcore.classes import define, evolve
from btcore.config.site import Sink
from btcore.errors import Unavailable
from btcore.logs.failures import FailureReporter
from btcore.sinks.backlog import Backlog
from btcore.sinks.redelivery import Redelivery
from btcore.status import ReplayStatus, SinkStatus, State
from btcore.status.failures import error_status, next_attempt
from btcore.text import format_duration, plural

UP_TO_DATE = "up to date"

BEHIND_AFTER = 60.0
"""Seconds after which a reading that waits makes its sink `behind`, beside what its intervals let it wait."""


def sink_state(*, stop_reason: str, failing_for: float | None, behind: int, is_up_to_date: bool) -> str:
    """Describe a state: up to date, behind, failing, stopped. `failing_for` is in seconds, None where it works."""
    if stop_reason:
        return "stopped"
    state = UP_TO_DATE if is_up_to_date else f"{plural(behind, 'reading')} behind"
    if failing_for is None:
        return state
    return f"failing for {format_duration(failing_for)}" + ("" if is_up_to_date else f", {state}")


@define(eq=False)
class SinkState:
    """How a sink stands. Safe from any thread. `stop_reason`: why it has stopped until a restart; "" if it has not."""

    _sink: Sink
    _backlog: Backlog
    _reporter: FailureReporter
    _redelivery: Redelivery
    _redact: Callable[[str], str]
    stop_reason: str = ""

    def __str__(self) -> str:
        """Describe it in a few words."""
        failing_for = self._reporter.failing_for
        return sink_state(
            stop_reason=self.stop_reason,
            failing_for=failing_for,
            behind=self._backlog.behind,
            is_up_to_date=self._backlog.is_up_to_date,
        )

    @property
    def word(self) -> State:
        """It in one word."""
        if self.stop_reason:
            return "stopped"
        if self._reporter.failing_for is not None:
            last = self._reporter.last_failure
            return "waiting" if last is not None and last.requested else "failing"
        delivery, oldest = self._sink.delivery, self._backlog.oldest_waiting
        usual = BEHIND_AFTER + 2 * (delivery.interval + delivery.flush_interval + delivery.min_call_interval)
        is_late = oldest is not None and (datetime.now(UTC) - oldest).total_seconds() > usual
        return "behind" if is_late else "ok"

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for it, as far as is known: nobody is asked."""
        return self._backlog.is_idle

    @property
    def failing_for(self) -> float | None:
        """For how many seconds it has failed, without being asked to wait; `math.inf`: it has stopped."""
        if self.stop_reason:
            return math.inf
        return self._reporter.failing_for if self.word == "failing" else None

    def status(self, delivered: int, unwanted: int) -> SinkStatus:
        """Return its status; what was delivered and not selected is counted by the worker."""
        backlog = self._backlog
        return SinkStatus(
            name=self._sink.name,
            plugin=self._sink.plugin,
            state=self.word,
            offset=backlog.offset,
            waiting=backlog.behind,
            oldest_waiting=backlog.oldest_waiting,
            delivered=delivered,
            unwanted=unwanted,
            dropped=backlog.dropped,
            dead_letters=backlog.dead_letters(),
            last_error=error_status(self._reporter.last_failure, self._redact),
            next_attempt=next_attempt(self._reporter),
            replay=self._known_replay_status(),
        )

    def _known_replay_status(self) -> ReplayStatus | None:
        with suppress(Unavailable):
            return self.replay_status()
        return None

    def replay_status(self) -> ReplayStatus | None:
        """Return how far what is delivered again has come, and what keeps it waiting. Raises Unavailable."""
        found = self._redelivery.status()
        last = self._reporter.last_failure
        is_waiting = self._reporter.failing_for is not None or bool(self.stop_reason)
        if found is None or last is None or not is_waiting:
            return found
        return evolve(found, last_error=self._redact(f"it waits for the live delivery: {last.text}"))
