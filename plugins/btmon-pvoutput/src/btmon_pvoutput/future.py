"""How long a status is waited for that PVOutput holds to be in the future, by the clock of which it is.

Whose clock is wrong is not always known. A meter's wrong date must not hold up all others until it is past; where the
zone or this computer's clock is wrong, all others are wrong too, and a person has to act.
"""

import time
from collections.abc import Callable, Sequence

from btcore import Reject, Retry, Stop
from btmon_pvoutput.status import Status

LONGEST = 6 * 3600.0
"""Seconds that a status is sent again when PVOutput alone holds it to be in the future: then the sink stops."""


class Future:
    """Decides whether such statuses are tried again, given up, or stop the sink.

    `interval` is that of the statuses, in seconds, `zone` tells what time zone they are in. `clock` counts the seconds
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
        self._waits: tuple[str, str] | None = None
        self._since = 0.0

    def delivered(self) -> None:
        """Note that a status was stored: the clocks agree, or agree again."""
        self._waits = None

    def refusal(self, statuses: Sequence[Status], error: Retry) -> Retry | Reject | Stop:
        """Return what is to be done about statuses that were refused as being in the future.

        Of several, which of them is not known: they are to be halved, but for those that are all in the future by this
        computer's clock too. A status alone that is so is refused at once: its date is wrong. Else this computer's
        clock or the zone is: it is tried again for a while, as a clock may be set right by itself.
        """
        first, last = statuses[0], statuses[-1]
        # the oldest is the nearest
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
        return self._patience(first, error)

    def _patience(self, status: Status, error: Retry) -> Retry | Stop:
        told = "; ".join(part for part in (str(error), self._zone) if part)
        if self._waits != status.slot:
            self._waits, self._since = status.slot, self._clock()
        if self._clock() - self._since >= LONGEST:
            return Stop(f"{told}. {' '.join(status.slot)} has been in the future there for {LONGEST / 3600:.0f} h")
        return Retry(told, after=error.after)
