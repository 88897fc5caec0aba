# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a sink whose partitions are worked apart: one of all that this program works. Pure."""

from collections.abc import Iterable, Sequence

from btcore.classes import evolve
from btcore.status import ReplayStatus, SinkStatus, State

WORST: Sequence[State] = ("stopped", "failing", "waiting", "behind", "ok", "ended", "not running")
"""States, the one that a person should know of first."""


def left(status: SinkStatus) -> tuple[None, SinkStatus]:
    """Return what is told of a partition that has stopped here and was left to others: what waits is theirs."""
    return None, evolve(status, waiting=0, oldest_waiting=None, dead_letters=0)


def merge(name: str, plugin: str, parts: Iterable[tuple[int | None, SinkStatus]]) -> SinkStatus:
    """Return the status of a sink from those of partitions; where there are none, others work them all.

    A partition whose number is None is not worked here.
    """
    numbers, found = [], []
    for number, status in parts:
        if number is not None:
            numbers.append(number)
        found.append(status)
    if not found:
        return SinkStatus(name, plugin, "waiting", delivered=0, unwanted=0, dropped=0, partitions=())
    errors = [one.last_error for one in found if one.last_error is not None]
    attempts = [one.next_attempt for one in found if one.next_attempt is not None]
    waiting = [one.oldest_waiting for one in found if one.oldest_waiting is not None]
    return SinkStatus(
        name=name,
        plugin=plugin,
        state=min((one.state for one in found), key=WORST.index),
        offset=min(one.offset for one in found),
        waiting=sum(one.waiting for one in found),
        oldest_waiting=min(waiting, default=None),
        delivered=_sum(one.delivered for one in found),
        unwanted=_sum(one.unwanted for one in found),
        dropped=_sum(one.dropped for one in found),
        dead_letters=sum(one.dead_letters for one in found),
        last_error=max(errors, key=lambda error: error.time, default=None),
        next_attempt=min(attempts, default=None),
        replay=_merge_replays([one.replay for one in found if one.replay is not None]),
        partitions=tuple(sorted(numbers)),
    )


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


COUNTS = ("total", "examined", "delivered", "refused", "stored", "missing", "queued")


def _merge_replays(replays: Sequence[ReplayStatus]) -> ReplayStatus | None:
    """Return what is delivered again in all partitions, of the request that is the first in the first of them."""
    same = [one for one in replays if one.number == replays[0].number]
    if not same:
        return None
    sums = {name: sum(getattr(one, name) for one in same) for name in COUNTS}
    error = next((one.last_error for one in same if one.last_error), "")
    return evolve(same[0], **sums, waiting=max(one.waiting for one in same), last_error=error)
