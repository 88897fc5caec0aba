# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not answered is asked again, and not for ever."""

import asyncio

import pytest
from nats.errors import TimeoutError as NatsTimeout
from nats.js.errors import NoStreamResponseError

from btmon_nats.asking import AGAIN, until_answered


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
