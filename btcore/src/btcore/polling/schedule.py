# SPDX-License-Identifier: GPL-3.0-or-later
"""Which device is asked when: the settings of a source that asks, and the schedule that it keeps.

How one meter is asked, and what its answer is, is in `asking.py`.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from logging import Logger
from typing import Any

from btcore.classes import define, field
from btcore.errors import Problem
from btcore.polling.asking import Echo, NoAnswer, Receive, Request, Send, ask, name_device, poll_requests
from btcore.polling.respondents import Respondents
from btcore.records import Packet

EARLY = 0.2
"""Seconds before its time at which a device may be asked, so that several that are due together are asked together."""


def validate_devices(_instance: object, _attribute: Any, value: Sequence[str]) -> None:  # noqa: ANN401 - attrs' own type
    """Validate a setting `devices`. Raises ValueError as `poll_requests` does, and for a device that is named twice."""
    names = [request.words for request in poll_requests(value)]
    twice = [device for device, words in zip(value, names, strict=False) if names.count(words) > 1]
    if twice:
        raise ValueError(f"expected each device once, but {', '.join(map(repr, twice))} are the same")


def check_polling(
    devices: Sequence[str], poll_interval: float, poll_intervals: Mapping[str, float]
) -> Iterator[Problem]:
    """Find devices that would never be asked, and intervals of devices that there are not."""
    if devices and not poll_interval:
        yield Problem(
            'devices has an effect only with poll_interval: add poll_interval = "10s", or remove devices',
            key="devices",
        )
    for device in poll_intervals:
        if device not in devices:
            known = ", ".join(devices) or "none"
            yield Problem(f'device "{device}" is none of those in `devices` ({known})', key="poll_intervals")


def next_due(due: float, interval: float, now: float) -> float:
    """Return the next time of a steady schedule after `now`: times that have passed are left out, not caught up."""
    return due + interval * (math.floor((now - due) / interval) + 1)


@define(kw_only=True)
class Poll:
    """Asks devices in turn, again and again.

    A device that does not answer is skipped; the log says so once, and once more when it answers again. The same holds
    for a device for which another meter answers; the packets of that meter are kept.

    `timeout` is how many seconds a meter has for each step of its answer. `interval` is how often a device is asked, in
    seconds, `intervals` the same for those that have their own. A device that answered before and does not now is
    asked again up to `retries` times, after all others: so one that never answers delays them by its time-out at most.
    """

    devices: Sequence[str] = field(validator=validate_devices)
    timeout: float
    log: Logger
    clock: Callable[[], float] = time.monotonic
    interval: float = 0.0
    intervals: Mapping[str, float] = field(factory=dict)
    retries: int = 0
    _due: dict[str, float] = field(factory=dict, init=False)
    _echo: Echo = field(factory=Echo, init=False)
    _silent: set[str] = field(factory=set, init=False)
    _respondents: Respondents = field(factory=Respondents, init=False)

    def ask_all(self, send: Send, receive: Receive) -> Iterator[bytes]:
        """Ask every device once and yield all bytes that come in, except the acknowledgements.

        Yields at least every half second, b"" if nothing came in, so that the caller can stop. An OSError of `send` or
        `receive` is passed on.
        """
        yield from self._ask(poll_requests(self.devices), send, receive)

    def ask_due(self, send: Send, receive: Receive) -> Iterator[bytes]:
        """Do the same with the devices that are due, each by its own interval; at first all are."""
        now = self.clock()
        due = [request for request in poll_requests(self.devices) if self._due.get(request.device, now) <= now + EARLY]
        for request in due:
            interval = self.intervals.get(request.device, self.interval)
            began = self._due.get(request.device, now)
            self._due[request.device] = next_due(began, interval, now + EARLY) if interval else now
        yield from self._ask(due, send, receive)

    @property
    def next_due(self) -> float:
        """When a device is to be asked next, by `clock`; now, if none was asked yet."""
        return min(self._due.values(), default=self.clock())

    def _ask(self, requests: Sequence[Request], send: Send, receive: Receive) -> Iterator[bytes]:
        for retries_left in range(self.retries, -1, -1):
            again = []
            for request in requests:
                try:
                    packets = yield from ask(
                        request, send, receive, timeout=self.timeout, clock=self.clock, echo=self._echo
                    )
                except NoAnswer as failure:
                    if retries_left and request.device not in self._silent:
                        again.append(request)
                    else:
                        self._failed(request.device, failure)
                else:
                    self._answered(request.device, packets)
            if not again:
                return
            requests = again

    def _failed(self, device: str, failure: NoAnswer) -> None:
        if device not in self._silent:
            self._silent.add(device)
            self.log.warning("%s It is asked again each time; that is logged when it answers.", failure)

    def _answered(self, device: str, packets: Sequence[Packet]) -> None:
        if device in self._silent:
            self._silent.remove(device)
            self.log.info("%s answers again", name_device(device))
        if remark := self._respondents.answered(device, packets):
            self.log.log(logging.INFO if remark.is_good else logging.WARNING, "%s", remark.text)
