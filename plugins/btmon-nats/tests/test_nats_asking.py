# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not answered is asked again, and not for ever."""

import asyncio

import pytest
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext
from nats.js.errors import NoStreamResponseError, ServiceUnavailableError

from btmon_nats.asking import AGAIN, LEADERLESS, POLL, fetch, until_answered


def asked(failures: list[Exception], patience: float) -> tuple[int, list[float]]:
    """Ask what fails so often; return the answer, and how long each was given."""
    given: list[float] = []

    async def ask(wait: float) -> int:
        given.append(wait)
        if failures:
            raise failures.pop(0)
        return 7

    return asyncio.run(until_answered(ask, patience)), given


def test_what_is_not_answered_is_asked_again_soon() -> None:
    """A leader that died answers never; the next one does, also where nobody took it for a moment."""
    answer, given = asked([NatsTimeout(), TimeoutError(), NoStreamResponseError()], 30.0)
    assert answer == 7
    assert given == [AGAIN] * 4


def test_the_last_try_is_the_answer() -> None:
    """Where the time is over, or nobody takes it for longer than a cluster has no leader, that is told."""
    with pytest.raises(NatsTimeout):
        asked([NatsTimeout()] * 2, AGAIN)
    with pytest.raises(NoStreamResponseError):
        asked([NoStreamResponseError()] * 2, 0.1)
    with pytest.raises(ValueError, match="else"):
        asked([ValueError("something else")], 30.0)


class Reader(JetStreamContext.PullSubscription):
    """What takes a request for messages only after some failures."""

    def __init__(self, failures: list[Exception]) -> None:
        self.failures = failures

    async def fetch(self, *_: object, **__: object) -> list[Msg]:
        """Fail, or return nothing."""
        if self.failures:
            raise self.failures.pop(0)
        return []


def test_a_consumer_that_has_no_leader_for_a_moment_is_asked_again() -> None:
    """That nobody takes a request for messages is no failure before a cluster had the time to choose a leader."""
    reader = Reader([ServiceUnavailableError(), ServiceUnavailableError(), NatsTimeout(), ValueError("else")])
    assert asyncio.run(fetch(reader, 1, 30.0)) == []
    with pytest.raises(ValueError, match="else"):
        asyncio.run(fetch(reader, 1, 30.0))
    reader = Reader([ServiceUnavailableError()] * 100)
    with pytest.raises(ServiceUnavailableError):
        asyncio.run(fetch(reader, 1, 30.0))
    assert len(reader.failures) >= 100 - LEADERLESS / POLL
