# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the thread that runs the site: from a signal, or from a client of the control socket, who gets an answer.

What a request means is decided by whoever takes it.
"""

from collections.abc import Mapping
from queue import Empty, Queue, SimpleQueue
from typing import Any

from btcore.classes import field, frozen
from btcore.errors import Unavailable

Answer = Mapping[str, Any]


@frozen(eq=False)
class Request:
    """A request that waits for its answer."""

    _answers: "SimpleQueue[Answer]" = field(factory=SimpleQueue)

    def answer(self, answer: Answer) -> None:
        """Answer it."""
        self._answers.put(answer)

    def wait(self, timeout: float) -> Answer:
        """Return the answer. Raises Unavailable after so many seconds."""
        try:
            return self._answers.get(timeout=timeout)
        except Empty:
            raise Unavailable("the running btcore is busy: the request is not handled yet") from None


class RequestQueue:
    """Requests of one kind, in order. Safe between threads."""

    def __init__(self) -> None:
        """Begin without a request."""
        self._waiting: Queue[Request] = Queue()

    def put(self) -> Request:
        """Add a request."""
        request = Request()
        self._waiting.put(request)
        return request

    def take(self) -> Request | None:
        """Return the next request, once; None if there is none."""
        try:
            return self._waiting.get_nowait()
        except Empty:
            return None
