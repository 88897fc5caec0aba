# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream: how it is made, and what it says of itself. It says how many partitions it has to all who use it."""

from typing import Any

import attrs
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, KeyValueConfig, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import NotFoundError

from btcore import Stop
from btmon_nats.subjects import MAX_PARTITIONS, PARTITIONS, all_subjects

KEY = "btcore-partitions"
"""Of the stream's metadata."""

DUPLICATES = 120.0
"""Seconds in which a message that comes again is not stored again; later, a reader finds it by serial and key."""


LEASE = 10.0
"""Seconds after which a lease that is not renewed is gone, by the cluster's clock."""


def bucket_of(stream: str) -> str:
    """Return the bucket of what archives remember that have the stream as their journal: checkpoints, baselines."""
    return f"btcore-{stream}"


def letters_of(stream: str) -> str:
    """Return the bucket of their dead letters."""
    return f"btcore-{stream}-dead-letters"


def leases_of(stream: str) -> str:
    """Return the bucket of their leases."""
    return f"btcore-{stream}-leases"


async def make_buckets(stream: JetStreamContext, plan: "StreamPlan", lease: float = LEASE) -> None:
    """Make what an archive needs that has the stream as its journal; what is there stays."""
    for bucket, ttl in ((bucket_of(plan.name), 0.0), (letters_of(plan.name), 0.0), (leases_of(plan.name), lease)):
        try:
            await stream.stream_info(f"KV_{bucket}")
        except NotFoundError:
            config = KeyValueConfig(bucket=bucket, history=1, ttl=ttl or None, replicas=plan.replicas, direct=False)
            await stream.create_key_value(config)


@attrs.frozen
class StreamPlan:
    """What a stream is to be: `max_age` in seconds and `max_bytes`, 0 for no bound."""

    name: str
    partitions: int = PARTITIONS
    replicas: int = 3
    max_age: float = 0.0
    max_bytes: int = 0

    def config(self) -> StreamConfig:
        """Return it as the server is told."""
        return StreamConfig(
            name=self.name,
            description="readings of energy monitors, from btcore",
            subjects=[all_subjects(self.name)],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            # what does not fit is refused, and waits in the publisher's journal; old readings never make room for new
            discard=DiscardPolicy.NEW if self.max_bytes else DiscardPolicy.OLD,
            num_replicas=self.replicas,
            max_age=self.max_age,
            max_bytes=self.max_bytes or -1,
            duplicate_window=min(DUPLICATES, self.max_age or DUPLICATES),
            metadata={KEY: str(self.partitions)},
        )


async def set_up(stream: JetStreamContext, plan: StreamPlan) -> str:
    """Make a stream, or change it to what is planned; return what was done. Raises Stop, and what the client raises.

    The number of partitions cannot change: the readings of a meter would be in two.
    """
    try:
        there = await stream.stream_info(plan.name)
    except NotFoundError:
        await stream.add_stream(plan.config())
        return "made"
    found = partitions_in(there)
    if found not in (0, plan.partitions):
        raise Stop(
            f"stream {plan.name} has {found} partitions, and a meter stays in its own: give --partitions {found}"
        )
    if _bounds(there.config) == _bounds(plan.config()) and found:
        return "there already"
    await stream.update_stream(plan.config())
    return "changed"


async def partitions_of(stream: JetStreamContext, name: str) -> int:
    """Return how many partitions a stream has. Raises Stop for a stream of something else, and as the client does."""
    found = partitions_in(await stream.stream_info(name))
    if not found:
        raise Stop(f"stream {name} is none of btcore's: check `stream`, or let `btcore nats setup` take it")
    return found


def partitions_in(info: StreamInfo) -> int:
    """Return how many partitions a stream says that it has; 0 where it says nothing."""
    text = (info.config.metadata or {}).get(KEY, "")
    return int(text) if text.isdecimal() and 0 < int(text) <= MAX_PARTITIONS else 0


def _bounds(config: StreamConfig) -> list[Any]:
    size = config.max_bytes if (config.max_bytes or 0) > 0 else -1
    return [config.num_replicas, config.max_age or 0.0, size, config.subjects, config.discard]
