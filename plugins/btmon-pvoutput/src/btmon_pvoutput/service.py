"""The service: statuses go out in as few requests as may be, within the hour's limit.

What an answer means is in `replies.py`. This module needs requests, so it is imported only when a sink is opened.
"""

import time
from collections.abc import Callable, Sequence

from btcore import Reject, Retry, Secret
from btcore.web import Answer, Client
from btmon_pvoutput.disbelief import Disbelief, Night
from btmon_pvoutput.future import Future
from btmon_pvoutput.replies import Disbelieved, TooNew, TooOld, closed_for, not_stored, requests_left
from btmon_pvoutput.status import Status, chunks, request


class Service:
    """One system of PVOutput. `clock` counts the seconds of waiting for a new hour; it never goes back."""

    def __init__(
        self,
        base: str,
        *,
        api_key: Secret,
        system_id: str,
        timeout: float,
        interval: float,
        zone: str = "",
        night: Night = "stop",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is sent. `base` is the address that the pages are below.

        `timeout` of a request and `interval` of the statuses are seconds. `zone` tells what time zone they are in,
        `night` what is done with generation that PVOutput takes for impossible then.
        """
        self.requests_left: int | None = None
        self._base = base
        self._clock = clock
        self._opens_at = float("-inf")
        self._future = Future(interval, zone)
        self._disbelief = Disbelief(zone, night, lambda status: self._add([status], self._lifetime))
        self._lifetime = ""
        key = api_key.reveal().strip()
        self._client = Client(
            agent="btmon-pvoutput",
            timeout=timeout,
            secrets=[Secret(key)],
            headers={"X-Pvoutput-Apikey": key, "X-Pvoutput-SystemId": system_id.strip(), "X-Rate-Limit": "1"},
        )

    def deliver(self, statuses: Sequence[Status], lifetime: str) -> None:
        """Send statuses, oldest first; what is not stored as one of many is sent by itself, which tells why.

        Raises Retry, Reject or Stop; Reject of the whole batch if the newest status is too old as well.
        """
        self._lifetime = lifetime
        try:
            for some in chunks(statuses):
                for status in self._send(some):
                    self._send([status])
        except TooOld as error:
            whole_batch = len(statuses) == 1 or self._too_old(statuses[-1], lifetime)
            raise Reject(str(error), whole_batch=whole_batch) from None
        except TooNew as error:
            raise self._future.refusal(statuses, error) from None

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def _too_old(self, status: Status, lifetime: str) -> bool:
        """Ask with a status alone. The service knows what it takes, and what day it is; this host may not."""
        try:
            self._add([status], lifetime)
        except Reject as error:
            return isinstance(error, TooOld)
        return False

    def _send(self, statuses: Sequence[Status]) -> list[Status]:
        """Send statuses, and settle it where PVOutput does not believe one; return those that were not stored."""
        try:
            return self._add(statuses, self._lifetime)
        except Disbelieved as error:
            refusal = error
        self._disbelief.settle(statuses, refusal)
        return []

    def _add(self, statuses: Sequence[Status], lifetime: str) -> list[Status]:
        """Send statuses, as many as one request may carry; return those that were not stored.

        Raises Retry, Reject or Stop. Without asking, as long as the service has said that it takes no more requests.
        """
        self._respect_limit()
        page, form = request(statuses, lifetime)
        answer = self._client.send("POST", f"{self._base}{page}", data=form)
        self._note_limit(answer)
        refused = not_stored(answer)
        stored = [status for status in statuses if status.slot not in refused]
        if stored:
            self._future.delivered()
            self._disbelief.taken(stored)
        return [status for status in statuses if status.slot in refused]

    def _respect_limit(self) -> None:
        wait = self._opens_at - self._clock()
        if wait > 0:
            raise Retry("PVOutput takes no more requests with this api_key until the hour is over", after=wait)

    def _note_limit(self, answer: Answer) -> None:
        self.requests_left = requests_left(answer)
        self._opens_at = self._clock() + (closed_for(answer) or 0)
