# SPDX-License-Identifier: GPL-3.0-or-later
"""Delivering again to one sink: replays, and dead letters that are retried, a little at a time.

It is done in the sink's own thread, with its own instance and within its limits, whenever the live delivery has nothing
to do: so a plugin is never called twice at once, and the live delivery waits for one call at most. It has no part in
the sink's checkpoint. What is wanted and how far it has come is in the journal (`replay/requests.py`); here is when
there is a turn, and how long it waits after a failure. What is done in a turn is in `request_work.py`.
"""

import math
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from btcore.backoff import Backoff
from btcore.classes import evolve
from btcore.decode.decoders import Decoders
from btcore.errors import UPGRADED, Unavailable, is_upgraded
from btcore.journal import Journal, Superseded
from btcore.replay.requests import Requests
from btcore.settings import Context, Delivery
from btcore.sinks.calls import Failure, HookCalls
from btcore.sinks.limits import RateLimit
from btcore.status import ReplayStatus
from btcore.status.replays import waiting_replay
from btcore.text import describe_error, format_duration

if TYPE_CHECKING:
    from btcore.sinks.request_work import RequestWork

MAX_WHY = 500
"""Characters of a reason that are kept."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two turns, where the first could do nothing."""


class Redelivery:
    """Delivers again what was asked for, to one sink. `turn` is for the sink's thread, the rest for any."""

    def __init__(
        self,
        journal: Journal,
        decoders: Decoders,
        context: Context,
        delivery: Delivery,
        limiter: RateLimit,
        redact: Callable[[str], str] = str,
        requests: Requests | None = None,
    ) -> None:
        """Prepare; nothing is read before the first turn. `delivery` says whether the sink takes only what is live.

        `requests` are those of the sink, where others see them too.
        """
        self.requests = requests or Requests(journal, context.name)
        self._is_shared = self.requests.is_shared
        self._journal = journal
        self._decoders = decoders
        self._context = context
        self._delivery = delivery
        self._limiter = limiter
        self._redact = redact
        self._backoff = Backoff(delivery.min_backoff, delivery.max_backoff)
        self._work: RequestWork | None = None
        self._not_before = -math.inf
        self._error = ""

    @property
    def next_turn_in(self) -> float:
        """Seconds until the next turn may do anything, where the last one could not; never long."""
        has_begun = self._work is not None and self._work.has_begun
        if not has_begun and monotonic() >= self._not_before:
            return LONGEST_PAUSE  # nothing is asked for
        return min(max(self._limiter.spare_wait(), self._not_before - monotonic(), SHORTEST_PAUSE), LONGEST_PAUSE)

    def status(self) -> ReplayStatus | None:
        """Return how far the request has come that is worked on, or that waits to be."""
        work, kept = self._work, waiting_replay(self.requests)
        if kept is None:
            return None
        known = evolve(kept, last_error=self._error or kept.last_error)
        return known if work is None else work.status(known)

    def turn(self, calls: HookCalls) -> bool:
        """Do a little; return whether there is more to do at once. Raises Stop, ShuttingDown."""
        if monotonic() < self._not_before:
            return False
        try:
            return self._turn(calls)
        except Superseded:  # another program has changed what is asked for, or delivers it: look again
            if not self._is_shared:
                raise
            self._forget()
            return False
        except Unavailable as error:
            self._forget()  # what was read is read again
            self._failed(Failure(describe_error(error)))
            return False
        except ImportError as error:
            if not is_upgraded(error):
                raise
            self._forget()
            self._failed(Failure(UPGRADED))  # the live delivery goes on
            return False

    def finish(self, calls: HookCalls) -> None:
        """Do all that was asked for, and wait for it. Raises Stop, ShuttingDown."""
        while self.turn(calls) or self._is_anything_left():
            calls.raise_if_stopping()
            if monotonic() < self._not_before or self._limiter.spare_wait() > 0:
                calls.wait(self.next_turn_in)

    def _is_anything_left(self) -> bool:
        try:
            return self.requests.first() is not None
        except Unavailable:  # the next turn says why
            return True

    def _turn(self, calls: HookCalls) -> bool:
        request = self.requests.first()
        if request is None:
            self._forget()
            return False
        return self._made_work().turn(request, calls)

    def _made_work(self) -> "RequestWork":
        """Return what works on requests, made with the first of them."""
        if self._work is None:
            from btcore.sinks.request_work import RequestWork  # noqa: PLC0415 - most runs are never asked

            self._work = RequestWork(
                self._journal,
                self._decoders,
                self._context,
                self._delivery,
                self._limiter,
                self.requests,
                plain=self._plain,
                failed=self._failed,
                answered=self._has_answered,
            )
        return self._work

    def _forget(self) -> None:
        if self._work is not None:
            self._work.forget()

    def _plain(self, why: str) -> str:
        return " ".join(self._redact(why).split())[:MAX_WHY]

    def _has_answered(self) -> None:
        self._error = ""
        self._backoff.worked()

    def _failed(self, failure: Failure) -> None:
        wait = self._backoff.failed(failure.after)
        self._not_before = monotonic() + wait
        if not self._error:
            again = format_duration(math.ceil(wait))
            self._context.log.warning("delivering again: %s; trying again in %s", self._plain(failure.why), again)
        self._error = self._plain(failure.why)
