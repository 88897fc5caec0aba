# SPDX-License-Identifier: GPL-3.0-or-later
"""The client: sends statuses in as few requests as possible, within the limit of requests an hour.

What an answer means is in `answers.py`. This module needs requests, so it is imported only when a sink is opened.
"""

import time
from collections.abc import Callable, Sequence

from btcore import Reject, Retry, Secret
from btcore.web import Answer, Client
from btmon_pvoutput.answers import Implausible, TooNew, TooOld, refused_slots, requests_left, seconds_until_reset
from btmon_pvoutput.future_statuses import FuturePolicy
from btmon_pvoutput.history import Day, is_stored, query, read_day
from btmon_pvoutput.plausibility import Night, PlausibilityPolicy
from btmon_pvoutput.status import Status, request, split_requests

DAY_VALID = 600.0
"""Seconds for which the answer about a day is used: a replay asks for the same day again and again."""


class PVOutputClient:
    """One system of PVOutput. `clock` counts the seconds of waiting for a new hour; it never goes back."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: Secret,
        system_id: str,
        timeout: float,
        interval: float,
        zone: str = "",
        night: Night = "stop",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is sent. `base_url` is the address that the pages are below.

        `timeout` of a request and `interval` of the statuses are seconds. `zone` describes their time zone,
        `night` says what happens when PVOutput refuses generation at night.
        """
        self.requests_left: int | None = None
        self._base_url = base_url
        self._clock = clock
        self._opens_at = float("-inf")
        self._future = FuturePolicy(interval, zone)
        self._plausibility = PlausibilityPolicy(zone, night, lambda status: self._add([status], self._lifetime))
        self._lifetime = ""
        self._day: Day = {}
        self._asked_day = ""
        self._asked_at = float("-inf")
        key = api_key.reveal().strip()
        self._client = Client(
            agent="btmon-pvoutput",
            timeout=timeout,
            secrets=[Secret(key)],
            headers={"X-Pvoutput-Apikey": key, "X-Pvoutput-SystemId": system_id.strip(), "X-Rate-Limit": "1"},
        )

    def deliver(self, statuses: Sequence[Status], lifetime: str) -> None:
        """Send statuses, oldest first; one that was not stored among others is sent alone, to get the reason.

        Raises Retry, Reject or Stop; Reject of all of them where the newest is too old as well.
        """
        self._lifetime = lifetime
        try:
            for some in split_requests(statuses):
                for status in self._send(some):
                    self._send([status])
        except TooOld as error:
            whole_batch = len(statuses) == 1 or self._too_old(statuses[-1], lifetime)
            raise Reject(str(error), whole_batch=whole_batch) from None
        except TooNew as error:
            raise self._future.outcome(statuses, error) from None

    def missing(self, statuses: Sequence[Status]) -> list[Status]:
        """Return the statuses that the system does not have. Raises Retry, Reject or Stop."""
        return [status for status in statuses if not is_stored(status, self._day_of(status.day))]

    def _day_of(self, day: str) -> Day:
        """Return what the system has of a day; of the day that was asked for last, as it was a short time ago."""
        if day != self._asked_day or self._clock() - self._asked_at > DAY_VALID:
            self._respect_limit()
            answer = self._client.send("GET", f"{self._base_url}getstatus.jsp", params=query(day))
            self._note_limit(answer)
            self._day, self._asked_day, self._asked_at = read_day(answer), day, self._clock()
        return self._day

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def _too_old(self, status: Status, lifetime: str) -> bool:
        """Send a status to ask whether it is too old for the service: the clock of this host may be wrong."""
        try:
            self._add([status], lifetime)
        except Reject as error:
            return isinstance(error, TooOld)
        return False

    def _send(self, statuses: Sequence[Status]) -> list[Status]:
        """Send statuses and resolve implausible ones; return those that were not stored."""
        try:
            return self._add(statuses, self._lifetime)
        except Implausible as error:
            refusal = error
        self._plausibility.resolve(statuses, refusal)
        return []

    def _add(self, statuses: Sequence[Status], lifetime: str) -> list[Status]:
        """Send statuses, as many as one request may carry; return those that were not stored.

        Raises Retry, Reject or Stop; Retry without a request while the rate limit is used up.
        """
        self._respect_limit()
        page, form = request(statuses, lifetime)
        answer = self._client.send("POST", f"{self._base_url}{page}", data=form)
        self._note_limit(answer)
        refused = refused_slots(answer)
        stored = [status for status in statuses if status.slot not in refused]
        if stored:
            self._future.note_stored()
            self._plausibility.note_stored(stored)
        return [status for status in statuses if status.slot in refused]

    def _respect_limit(self) -> None:
        wait = self._opens_at - self._clock()
        if wait > 0:
            raise Retry("PVOutput accepts no more requests with this api_key until the hour is over", after=wait)

    def _note_limit(self, answer: Answer) -> None:
        self.requests_left = requests_left(answer)
        self._opens_at = self._clock() + (seconds_until_reset(answer) or 0)
