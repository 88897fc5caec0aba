# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of what is delivered again, from what the journal keeps of it: its requests."""

from btcore.classes import evolve
from btcore.replay.requests import Request, Requests
from btcore.status import ReplayStatus


def request_status(request: Request, *, finished: bool = False) -> ReplayStatus:
    """Return how far a request has come, as the journal has it."""
    return ReplayStatus(
        request.number,
        delivered=request.delivered,
        refused=request.refused,
        stored=request.stored,
        missing=request.missing,
        last_error=request.why,
        finished=finished,
    )


def waiting_replay(requests: Requests) -> ReplayStatus | None:
    """Return the status of the first request that is not done, and how many come after it. Raises Unavailable."""
    waiting = requests.waiting()
    return evolve(request_status(waiting[0]), waiting=len(waiting) - 1) if waiting else None
