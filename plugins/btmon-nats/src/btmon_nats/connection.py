# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to a cluster: opened when it is needed, kept, given up at the first fault.

The client is asyncio's; it runs in a thread of its own, so that the server's pings are answered while a sink has
nothing to do. A connection that has ended is not opened again by itself: the core waits, and calls again. What is
published or read belongs to other rooms, what an error means to `refusals.py`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from random import SystemRandom
from threading import Thread
from typing import Any, TypeVar

from nats.aio.client import Client
from nats.js import JetStreamContext

from btcore import Retry
from btmon_nats.login import Login
from btmon_nats.refusals import Denials, cannot_connect, is_wrong_account, wrong_account

T = TypeVar("T")

GRACE = 5.0
"""Seconds that what has its own time-out may take beyond that."""


class LeftError(Retry):
    """The connection was ended while something waited for an answer, or before it was asked."""


class Connection:
    """A connection to one server of a cluster; `name` is what its operator sees."""

    def __init__(self, login: Login, name: str) -> None:
        """Prepare; nothing is connected yet."""
        self.login = login
        self.denials = Denials()
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._client: Client | None = None
        self._ended = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether it is connected."""
        return self._client is not None and self._client.is_connected

    @property
    def server(self) -> dict[str, Any]:
        """What the server says of itself."""
        return dict(self._client._server_info) if self._client is not None else {}  # noqa: SLF001 - there is no other way

    def open(self) -> None:
        """Connect to any of the servers. Raises Retry or Stop."""
        self.close()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name=f"{self._name}-nats", daemon=True)
        self._thread.start()
        try:
            self._client = self.run(self._connect(), len(self.login.servers) * self.login.timeout)
        except BaseException:
            self.close()
            raise

    def run(self, work: Coroutine[Any, Any, T], patience: float) -> T:
        """Run something in the client's thread, for so many seconds at most. Raises Retry, and what it raises."""
        if self._loop is None:
            work.close()
            raise LeftError(f"{self.login.address} was left meanwhile")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(patience + GRACE)
        except CancelledError:
            raise LeftError(f"{self.login.address} was left meanwhile") from None
        except FutureTimeout:
            future.cancel()
            raise Retry(f"{self.login.address} did not answer within {patience:g} s") from None

    def use(self, work: Callable[[JetStreamContext], Coroutine[Any, Any, T]], patience: float = 0.0) -> T:
        """Run something with JetStream; the connection is opened where it is not. Raises as `open` does."""
        return self.use_client(lambda client: work(client.jetstream(timeout=self.login.timeout)), patience)

    def use_client(self, work: Callable[[Client], Coroutine[Any, Any, T]], patience: float = 0.0) -> T:
        """Run something with the client itself, as `use` does."""
        if not self.is_open:
            self.open()
        return self._use_open_client(work, patience)

    def use_open(self, work: Callable[[JetStreamContext], Coroutine[Any, Any, T]], patience: float = 0.0) -> T:
        """Run something with JetStream, through the connection that there is. Raises Retry, and what it raises."""
        return self._use_open_client(lambda client: work(client.jetstream(timeout=self.login.timeout)), patience)

    def _use_open_client(self, work: Callable[[Client], Coroutine[Any, Any, T]], patience: float) -> T:
        client = self._client
        if client is None:
            raise LeftError(f"{self.login.address} was left meanwhile")
        return self.run(self._while_open(work(client)), patience or self.login.timeout)

    async def _while_open(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something as long as there is a connection: what waits for an answer would wait for it to no end."""
        task = asyncio.ensure_future(work)
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({task, ended}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        finally:
            ended.cancel()
            task.cancel()
        raise LeftError(f"{self.login.address}: the connection ended before there was an answer")

    def begin(self, work: Callable[[JetStreamContext], Coroutine[Any, Any, T]]) -> Future[T]:
        """Begin something that goes on by itself; it is open. What ends the connection cancels it."""
        if self._client is None or self._loop is None:
            raise LeftError(f"{self.login.address} was left meanwhile")
        return asyncio.run_coroutine_threadsafe(work(self._client.jetstream(timeout=self.login.timeout)), self._loop)

    def call_soon(self, work: Callable[[], object]) -> None:
        """Have something done in the client's thread, where it is open."""
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended by now
                self._loop.call_soon_threadsafe(work)

    def close(self) -> None:
        """End it, whatever it is at."""
        loop, self._loop, client, self._client = self._loop, None, self._client, None
        if loop is None:
            return
        if client is not None:
            with suppress(Exception):  # it is gone, then
                asyncio.run_coroutine_threadsafe(client.close(), loop).result(GRACE)
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop)
        if self._thread is not None:
            self._thread.join(GRACE)
            self._thread = None
        if not loop.is_running():
            loop.close()

    async def _connect(self) -> Client:
        options: dict[str, Any] = {
            "name": self._name,
            "allow_reconnect": False,
            "dont_randomize": True,  # one at a time is tried here
            "max_reconnect_attempts": 1,  # it tries 60 times otherwise, also where it may not reconnect
            "reconnect_time_wait": 0,
            "connect_timeout": self.login.timeout,
            "inbox_prefix": self.login.inbox,
            "error_cb": self.denials.note,
            **self.login.options(),
        }
        failures = []
        for server in SystemRandom().sample(self.login.servers, len(self.login.servers)):
            client, self.denials.cause = Client(), None
            ended = self._ended = asyncio.Event()

            async def note_end(ended: asyncio.Event = ended) -> None:
                ended.set()

            options["disconnected_cb"] = options["closed_cb"] = note_end
            try:
                await client.connect(server, **options)
            except Exception as error:  # noqa: BLE001 - whatever the client meets; the next server may answer
                with suppress(Exception):  # it gives nothing back by itself
                    await client.close()
                cause = self.denials.cause or error
                if is_wrong_account(cause):
                    raise wrong_account(server) from None
                failures.append(f"{server}: {cannot_connect(cause)}")
            else:
                return client
        raise Retry("; ".join(failures))


async def _cancel_all() -> None:
    loop = asyncio.get_running_loop()
    tasks = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    loop.stop()
