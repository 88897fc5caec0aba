# SPDX-License-Identifier: GPL-3.0-or-later
"""Answering for an archive: publishers ask which of their readings it has, and a sink of its configuration knows.

One question after the other; of those that wait, a bounded number. Nothing is stored.
"""

from collections.abc import Callable
from contextlib import suppress
from logging import getLogger
from threading import Event

import attrs
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import TimeoutError as NatsTimeout

from btcore import Batch, BtcoreError, Context, Retry, Table
from btmon_nats.connection import Connection
from btmon_nats.messages import NotAMessage, decode
from btmon_nats.questions import MAX_ASKED, answer, refusal, stored_subject
from btmon_nats.refusals import meaning
from btmon_nats.repetition import Repetition

QUEUE = "archive"
"""Of several that answer for an archive, one gets a question."""

MAX_WAITING = 64
"""Questions that wait; more are dropped, and asked again."""

POLL = 1.0
"""Seconds that a question is waited for, and until a stop is noticed."""

REST = 5.0
"""Seconds after a failure."""

Say = Callable[[str], None]


@attrs.define(eq=False)
class Answering:
    """Answers for one archive, by what a sink has stored. `say` is given what a person should know."""

    connection: Connection
    stream: str
    sink: Table
    say: Say
    _is_open: bool = attrs.field(default=False, init=False)
    _failure: Repetition = attrs.field(factory=Repetition, init=False)

    def run(self, stop: Event) -> None:
        """Answer until a stop. Raises BtcoreError where a person has to act."""
        try:
            while not stop.is_set():
                try:
                    self._listen(stop)
                except Retry as error:
                    self._report(f"{error}; trying again every {REST:.0f} s")
                    stop.wait(REST)
        finally:
            self.connection.close()
            if self._is_open:
                self._call("close")

    def _listen(self, stop: Event) -> None:
        try:
            questions = self.connection.use_client(
                lambda client: client.subscribe(stored_subject(self.stream, "*"), QUEUE, pending_msgs_limit=MAX_WAITING)
            )
            self._failure.end()
            self.say(f"answering for stream {self.stream} at {self.connection.login.address}, by {self.sink.name}")
            while not stop.is_set():
                if message := self.connection.use_client(lambda _client: _next(questions)):
                    self._answer(message)
        except Exception as error:  # noqa: BLE001 - whatever the client meets
            address, denied = self.connection.login.address, self.connection.denials.take()
            raise meaning(error, self.stream, address, denied) from None

    def _answer(self, message: Msg) -> None:
        reply = self.reply(message.data)
        if message.reply:
            self.connection.use_client(lambda client: client.publish(message.reply, reply))

    def reply(self, data: bytes) -> bytes:
        """Return the answer to a question, whatever it is."""
        try:
            readings = decode(data)
            if len(readings) > MAX_ASKED:
                return refusal(f"expected at most {MAX_ASKED} readings in a question")
            if not self._is_open:
                self._call("open", context=Context(self.sink.name, getLogger(self.sink.name)))
                self._is_open = True
            stored = set(self._call("find_stored", batch=Batch(tuple(readings))))
        except NotAMessage as error:
            return refusal(f"the question cannot be read: {error}")
        except BtcoreError as error:
            self._report(f"{self.sink.name}: {error}")
            return refusal(f"{self.sink.name} cannot be asked now; its log says why")
        self._failure.end()
        return answer(readings, stored)

    def _report(self, text: str) -> None:
        """Say why it fails, not at each question of each house, or each try, again."""
        if self._failure.is_new(text):
            self.say(text)

    def _call(self, hook: str, **given: object) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = getattr(self.sink.instance, hook)(**given)
        return found


async def _next(questions: Subscription) -> Msg | None:
    with suppress(NatsTimeout, TimeoutError):
        return await questions.next_msg(POLL)
    return None
