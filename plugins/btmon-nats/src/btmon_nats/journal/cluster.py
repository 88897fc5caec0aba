# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster as the threads of a journal use it: calls that wait for their answer, and raise Unavailable.

One connection for all. Where it ends, the next call opens another, and what had been begun with the old one has ended.
"""

import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from threading import Lock
from typing import Any, TypeVar

from nats.js import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from btcore import Retry, Stop
from btcore.journal import Unavailable
from btmon_nats.connection import Connection, LeftError
from btmon_nats.login import Login
from btmon_nats.refusals import meaning

T = TypeVar("T")

Work = Callable[[JetStreamContext], Coroutine[Any, Any, T]]

WRONG_LAST = {10071, 10164}
"""JetStream's codes for: something was stored meanwhile."""

PATIENCE = 1.0
"""Seconds for which a failure to connect is the answer to all; as long as it took, where that is longer."""


class ChangedMeanwhileError(Exception):
    """What was to be changed is no longer as it was read."""


class MissingError(Unavailable):
    """There is no such message, key or stream."""


class Cluster:
    """The connection of a journal. Safe between threads."""

    def __init__(self, login: Login, name: str) -> None:
        """Prepare; nothing is connected yet."""
        self.login = login
        self._connection = Connection(login, name)
        self._lock = Lock()
        self._failed: tuple[float, Exception] | None = None
        self._timeouts = 0
        self._number = 0
        self._is_closed = False
        self.refusal = ""
        """Why nothing is done any more; "" while all is well."""

    def use(self, work: Work[T]) -> T:
        """Do something, and wait for it. Raises Unavailable, ChangedMeanwhileError, MissingError."""
        if self.refusal:
            raise Unavailable(self.refusal)
        return self.use_anyway(work)

    def use_anyway(self, work: Work[T]) -> T:
        """Do something also where the journal is refused to others; as `use` does."""
        number = self._opened()
        try:
            done = self._connection.use_open(work)
        except Exception as error:  # noqa: BLE001 - whatever the client meets
            if isinstance(error, TimeoutError | Retry) and not isinstance(error, LeftError):
                self._count_timeout(number)
            raise self._meaning(error) from None
        self._timeouts = 0
        return done

    def begin(self, work: Work[T]) -> Future[T]:
        """Begin something that goes on by itself, until it ends or the connection does. Raises Unavailable."""
        if self.refusal:
            raise Unavailable(self.refusal)
        self._opened()
        try:
            return self._connection.begin(work)
        except Exception as error:  # noqa: BLE001 - as above
            raise self._meaning(error) from None

    def call_soon(self, work: Callable[[], object]) -> None:
        """Have something done in the client's thread, where there is one."""
        self._connection.call_soon(work)

    def close(self) -> None:
        """End it; nobody can use it any more."""
        with self._lock:
            self.refusal, self._is_closed = "the journal was closed", True
            self._connection.close()

    def _opened(self) -> int:
        """See that there is a connection; return which one it is. Raises Unavailable."""
        try:
            self._open()
        except (Retry, Stop) as error:
            raise self._meaning(error) from None
        return self._number

    def _open(self) -> None:
        with self._lock:
            if self._is_closed:
                raise Unavailable(self.refusal)
            if self._connection.is_open:
                return
            if self._failed and time.monotonic() < self._failed[0]:
                raise self._failed[1]
            began = time.monotonic()
            try:
                self._connection.open()
            except (Retry, Stop) as error:
                took = time.monotonic() - began
                self._failed = time.monotonic() + max(took, PATIENCE), error
                raise
            self._failed, self._number = None, self._number + 1

    def _meaning(self, error: Exception) -> Exception:
        if isinstance(error, Unavailable):
            return error
        if isinstance(error, APIError) and error.err_code in WRONG_LAST:
            return ChangedMeanwhileError()
        if isinstance(error, NotFoundError):
            return MissingError(str(error))
        denied = self._connection.denials.take()
        if denied and isinstance(error, Retry):  # what is denied is not answered
            error = TimeoutError()
        found = meaning(error, self.login.stream, self.login.address, denied)
        return Unavailable(f"the journal cannot be reached: {found}")

    def _count_timeout(self, number: int) -> None:
        """Look for another server where this one does not answer; `number` is that of the connection."""
        with self._lock:
            if number != self._number:
                return
            self._timeouts += 1
            if self._timeouts > 1:
                self._timeouts = 0
                self._connection.close()
