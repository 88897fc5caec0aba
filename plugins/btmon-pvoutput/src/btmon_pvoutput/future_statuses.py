# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy for statuses that PVOutput refuses as being in the future.

The clock of the meter, the clock of this computer or the zone may be wrong. The wrong date of one meter must not delay
the statuses of the others; where the zone or this computer's clock is wrong, all are wrong and a person has to act.
"""

import time
from collections.abc import Callable, Sequence

from btcore import Reject, Retry, Stop
from btmon_pvoutput.status import Status

MAX_WAIT = 6 * 3600.0
"""Seconds for which a status is retried that is in the future for PVOutput alone; then the sink stops."""


class FuturePolicy:
    """Decides whether such statuses are retried, rejected, or stop the sink.

    `interval` is that of the statuses, in seconds, `zone` describes their time zone. `clock` counts the seconds
    of waiting and never goes back; `now` is the time of this computer, in seconds since 1970.
    """

    def __init__(
        self,
        interval: float,
        zone: str = "",
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Begin with nothing refused."""
        self._interval = interval
        self._zone = zone
        self._clock = clock
        self._now = now
        self._waiting_slot: tuple[str, str] | None = None
        self._since = 0.0

    def note_stored(self) -> None:
        """Note that a status was stored: the clocks agree."""
        self._waiting_slot = None

    def outcome(self, statuses: Sequence[Status], error: Retry) -> Retry | Reject | Stop:
        """Return the outcome of statuses that were refused as being in the future.

        Statuses that are all in the future by this computer's clock, too, are rejected at once: their date is wrong.
        Of other statuses it is not known which one was refused: the core halves them. One status is retried for a
        while, as a clock may be corrected automatically.
        """
        first, last = statuses[0], statuses[-1]
        # the first is the oldest
        ahead = first.end > self._now() + self._interval
        if ahead:
            until = "" if first is last else f" to {' '.join(last.slot)}"
            return Reject(
                f"{error}; {' '.join(first.slot)}{until} is in the future by this computer's clock too: is the clock of"
                " the meter right, or was this computer's wrong for a while?",
                whole_batch=True,
            )
        if first is not last:
            return Reject(str(error))
        return self._retry_or_stop(first, error)

    def _retry_or_stop(self, status: Status, error: Retry) -> Retry | Stop:
        text = "; ".join(part for part in (str(error), self._zone) if part)
        if self._waiting_slot != status.slot:
            self._waiting_slot, self._since = status.slot, self._clock()
        if self._clock() - self._since >= MAX_WAIT:
            return Stop(f"{text}. {' '.join(status.slot)} has been in the future there for {MAX_WAIT / 3600:.0f} h")
        return Retry(text, after=error.after)
