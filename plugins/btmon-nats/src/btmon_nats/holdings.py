# SPDX-License-Identifier: GPL-3.0-or-later
"""Which readings of a publisher have arrived: the archive is asked, and the stream is looked through.

What the stream has comes to the archive by itself, so what is in either need not be published again.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import attrs

from btcore import Reading, Reject, Retry, Stop
from btmon_nats.connection import Connection
from btmon_nats.published import Published
from btmon_nats.questions import MAX_ASKED, question, stored_in, stored_subject
from btmon_nats.refusals import is_unanswered, meaning

PATIENCE = 600.0
"""Seconds in which a stream has to be read through."""

T = TypeVar("T")

Identities = set[tuple[str, int]]
"""Serial numbers and keys."""


@attrs.define(eq=False)
class Holdings:
    """What the archive, and its stream, have of one publisher. Where a right is missing, all raises Reject."""

    connection: Connection
    stream: str
    publisher: str
    _published: Published = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin with nothing read."""
        self._published = Published(self.stream, self.publisher, self.connection.login.timeout)

    def arrived(self, readings: Sequence[Reading]) -> Identities:
        """Return which of these readings the archive has, or will have from the stream. Raises Retry or Reject."""
        stored = self.in_archive(readings)
        return stored | self.in_stream([one for one in readings if (one.serial, one.key) not in stored])

    def in_archive(self, readings: Sequence[Reading]) -> Identities:
        """Return which of these readings the archive has. Raises Retry or Reject."""
        found: Identities = set()
        for at in range(0, len(readings), MAX_ASKED):
            found |= self._ask(readings[at : at + MAX_ASKED])
        return found

    def in_stream(self, readings: Sequence[Reading]) -> Identities:
        """Return which of these readings the stream has. Raises Retry or Reject."""
        if not readings:
            return set()
        since = min(one.key for one in readings)
        self._try(lambda: self.connection.use(lambda stream: self._published.read(stream, since), PATIENCE))
        return {(one.serial, one.key) for one in readings if self._published.has(one.serial, one.key)}

    def _ask(self, readings: Sequence[Reading]) -> Identities:
        subject, timeout = stored_subject(self.stream, self.publisher), self.connection.login.timeout
        message = self._try(
            lambda: self.connection.use_client(lambda client: client.request(subject, question(readings), timeout))
        )
        return stored_in(message.data, readings)

    def _try(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - whatever the client meets
            denied = self.connection.denials.take()
            if is_unanswered(error) and not denied:
                why = f"nobody answers for the archive of stream {self.stream}: run `btcore nats answer` there"
                raise Retry(why) from None
            answer = meaning(error, self.stream, self.connection.login.address, denied)
            # the sink that asks may lack a right that publishing does not need: it goes on publishing
            raise Reject(str(answer)) if isinstance(answer, Stop) else answer from None
