# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks again what is not answered: where the leader of a stream dies, what was sent to it has no answer, ever.

A cluster has another leader after some seconds, and whoever waits for the whole of a long time-out waits in vain. So
the same is asked again soon, for as long as the answer may take. Only for what may be asked twice: a question, or a
message whose id the cluster knows.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext
from nats.js.errors import NoStreamResponseError, ServiceUnavailableError

T = TypeVar("T")

AGAIN = 1.0
"""Seconds after which the same is asked again, at first."""

LEADERLESS = 3.0
"""Seconds for which it may be that nobody takes a message or a request: longer, and there is no such stream."""

POLL = 0.25
"""Seconds between two tries while nobody takes it."""


async def until_answered(ask: Callable[[float], Awaitable[T]], patience: float) -> T:
    """Ask until there is an answer, for `patience` seconds at most; `ask` is given the seconds that it may take.

    Raises what `ask` raised last.
    """
    now = asyncio.get_running_loop().time
    began = now()
    while True:
        left = began + patience - now()
        try:
            wait = max(AGAIN, (now() - began) / 4)  # not a burden to one that is only slow
            return await ask(max(min(wait, left), 0.1))
        except (NatsTimeout, TimeoutError):
            if left <= wait:
                raise
        except NoStreamResponseError:
            if now() - began + POLL > min(patience, LEADERLESS):
                raise
            await asyncio.sleep(POLL)


async def fetch(reader: JetStreamContext.PullSubscription, count: int, wait: float) -> list[Msg]:
    """Return the next messages, at most `count`; none where none comes for `wait` seconds. Raises as the client does.

    For some moments nobody takes the request: where the consumer was made just now, and where its leader has died.
    """
    now = asyncio.get_running_loop().time
    since: float | None = None
    while True:
        try:
            return await reader.fetch(count, timeout=wait)
        except (NatsTimeout, TimeoutError):
            return []
        except ServiceUnavailableError:
            since = since or now()
            if now() - since + POLL > LEADERLESS:
                raise
            await asyncio.sleep(POLL)
