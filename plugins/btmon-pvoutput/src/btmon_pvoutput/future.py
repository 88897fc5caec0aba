"""How long a status is waited for that PVOutput holds to be in the future, by the clock of which it is.

Whose clock is wrong is not always known. One status must not hold up all others until its date is past.
"""

import time
from collections.abc import Callable, Sequence

from btcore import Reject, Retry
from btmon_pvoutput.status import Status

LONGEST = 6 * 3600.0
"""Seconds that the oldest status is sent again when PVOutput alone holds it to be in the future."""


class Future:
    """Decides whether such statuses are tried again, or given up.

    `interval` is that of the statuses, in seconds. `clock` counts the seconds of waiting and never goes back; `now` is
    the time of this computer, in seconds since 1970.
    """

    def __init__(
        self, interval: float, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time
    ) -> None:
        """Begin with nothing refused."""
        self._interval = interval
        self._clock = clock
        self._now = now
        self._waits: tuple[str, str] | None = None
        self._since = 0.0
        self._given_up = False

    def delivered(self) -> None:
        """Note that a status was stored: the clocks agree, or agree again."""
        self._waits = None
        self._given_up = False

    def refusal(self, statuses: Sequence[Status], error: Retry) -> Retry | Reject:
        """Return what is to be done about statuses that were refused as being in the future.

        Of several, which of them is not known: they are to be halved, but for those that are all in the future by this
        computer's clock too. A status alone that is so is refused at once: its date is wrong. Else this computer's
        clock or the zone is: it is tried again for a while. The next one that is refused is not waited for as well.
        """
        first, last = statuses[0], statuses[-1]
        # the oldest is the nearest
        ahead = first.end > self._now() + self._interval
        if ahead:
            until = "" if first is last else f" to {' '.join(last.slot)}"
            return Reject(
                f"{error}; {' '.join(first.slot)}{until} is in the future by this computer's clock too: is the clock of"
                " the meter right, or was this computer's wrong for a while?",
                whole=True,
            )
        if first is not last:
            return Reject(str(error))
        return self._patience(first, error)

    def _patience(self, status: Status, error: Retry) -> Retry | Reject:
        if self._waits != status.slot:
            self._waits, self._since = status.slot, self._clock()
        self._given_up = self._given_up or self._clock() - self._since >= LONGEST
        if self._given_up:
            return Reject(f"{error}; {' '.join(status.slot)} is given up after {LONGEST / 3600:.0f} h")
        return Retry(str(error), after=error.after)
