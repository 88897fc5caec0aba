# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink: its settings and hooks. What a message is, is in `messages.py`, where it goes in `subjects.py`."""

import asyncio
import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from nats.js import JetStreamContext
from nats.js.api import Header

from btcore import (
    Batch,
    Claim,
    Context,
    Delivery,
    Reading,
    Reject,
    Retry,
    Stop,
    hookimpl,
    plugin,
    setting,
)
from btmon_nats.asking import until_answered
from btmon_nats.connection import Connection
from btmon_nats.holdings import Holdings
from btmon_nats.login import Login
from btmon_nats.messages import MAX_READINGS, encode, message_id
from btmon_nats.refusals import meaning
from btmon_nats.stream import partitions_of
from btmon_nats.subjects import NAME, check_name, partition_of, subject_of


def _host_name() -> str:
    name = socket.gethostname().partition(".")[0]
    return name if NAME.fullmatch(name) else "btcore"


@plugin(api=1, delivery=Delivery(batch_size=1000))
class Nats(Login):
    """Publishes readings to a stream of NATS JetStream: from many houses into one archive."""

    publisher: str = setting(
        factory=_host_name, help="what this btcore is called in the stream; left out: this host", validator=check_name
    )

    @property
    def inbox(self) -> str:
        """Where answers to this publisher come."""
        return f"_INBOX.{self.publisher}"

    def claims(self) -> Iterator[Claim]:
        """Claim the publisher: two sinks of one name would publish each reading twice."""
        yield Claim(f"publisher {self.publisher} of the NATS stream {self.stream} at {self.address}", key="publisher")

    @hookimpl
    def open(self, context: Context) -> None:
        """Connect, and ask the stream how many partitions it has. Raises Retry or Stop."""
        self._connection = Connection(self, f"btcore {self.publisher}")
        self._holdings = Holdings(self._connection, self.stream, self.publisher)
        self._partitions = 0
        if not context.dry_run:
            self._ask()

    @hookimpl
    def process_batch(self, batch: Batch) -> None:
        """Publish the readings, and wait until the cluster has them. Raises Retry, Reject or Stop.

        Of a partition one message is under way at a time, so that no reading overtakes one before it.
        """
        if not self._partitions:
            self._ask()
        by_partition: dict[int, list[Reading]] = defaultdict(list)
        for reading in batch.readings:
            by_partition[partition_of(reading.serial, self._partitions)].append(reading)
        longest = max((len(readings) for readings in by_partition.values()), default=0)
        patience = self.timeout * (longest // MAX_READINGS + 1)
        failures = self._connection.use(lambda stream: self._publish_all(stream, by_partition.items()), patience)
        if failures:
            raise self._meaning(failures)

    @hookimpl
    def find_stored(self, batch: Batch) -> list[tuple[str, int]]:
        """Return serial number and key of what the archive has, or the stream has for it. Raises Retry or Reject."""
        return list(self._holdings.arrived(batch.readings))

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Yield what would be published."""
        for reading in batch.readings:
            yield f"{self.stream}.*.{self.publisher} {reading.serial} {reading.time.isoformat()} {reading.format.name}"

    @hookimpl
    def close(self) -> None:
        """Disconnect."""
        if hasattr(self, "_connection"):
            self._connection.close()

    def _ask(self) -> None:
        try:
            self._partitions = self._connection.use(
                lambda stream: until_answered(
                    lambda patience: asyncio.wait_for(partitions_of(stream, self.stream), patience), self.timeout
                )
            )
        except Exception as error:  # noqa: BLE001 - whatever the client meets
            raise self._meaning([error]) from None

    async def _publish_all(
        self, stream: JetStreamContext, partitions: Iterable[tuple[int, Sequence[Reading]]]
    ) -> list[BaseException]:
        work = [self._publish(stream, partition, readings) for partition, readings in partitions]
        done = await asyncio.gather(*work, return_exceptions=True)
        return [error for error in done if error is not None]

    async def _publish(self, stream: JetStreamContext, partition: int, readings: Sequence[Reading]) -> None:
        subject = subject_of(self.stream, partition, self.publisher)
        for at in range(0, len(readings), MAX_READINGS):
            message = encode(readings[at : at + MAX_READINGS])
            await until_answered(partial(self._send, stream, subject, message), self.timeout)

    async def _send(self, stream: JetStreamContext, subject: str, message: bytes, patience: float) -> None:
        """Send a message, again and again if need be: the cluster knows it by its id, and the archive its readings."""
        headers: dict[str, Any] = {Header.MSG_ID: message_id(subject, message)}
        await stream.publish(subject, message, timeout=patience, stream=self.stream, headers=headers)

    def _meaning(self, errors: Sequence[BaseException]) -> Retry | Reject | Stop:
        """Return the one answer to several errors: what a person must act on, else what waiting may cure."""
        denied = self._connection.denials.take()
        answers = [meaning(error, self.stream, self.address, denied) for error in errors]
        return next(one for kind in (Stop, Retry, Reject) for one in answers if isinstance(one, kind))
