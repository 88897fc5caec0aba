# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the thread that runs the site."""

import threading

import pytest

from btcore.control.requests import RequestQueue
from btcore.errors import Unavailable


def test_requests_are_taken_in_order_and_answered() -> None:
    """Each is taken once, and whoever has put it gets its answer."""
    queue = RequestQueue()
    first, second = queue.put(), queue.put()
    taken = [queue.take(), queue.take(), queue.take()]
    assert taken == [first, second, None]
    answers = [{"number": 1}, {"number": 2}]

    def answer() -> None:
        first.answer(answers[0])
        second.answer(answers[1])

    thread = threading.Thread(target=answer)
    thread.start()
    assert [first.wait(60), second.wait(60)] == answers
    thread.join()


def test_nobody_waits_for_ever() -> None:
    """A request that is not handled is told to be late."""
    with pytest.raises(Unavailable, match="busy"):
        RequestQueue().put().wait(0)
