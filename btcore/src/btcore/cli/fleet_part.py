# SPDX-License-Identifier: GPL-3.0-or-later
"""A part of a fleet of simulated meters: those of one process, each over a TCP connection of its own.

Which packets there are, and when, is the plugin's; here they are spread, sent, and counted. As with a meter, what
cannot be sent is lost: a meter keeps one packet at most, so memory is bounded by the number of meters.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from random import Random
from threading import Event, Semaphore, Thread
from typing import Any

import attrs

from btcore.records import Chunk
from btcore.settings import Context
from btcore.text import describe_error

JITTER = 0.1
"""Of an interval: by how much a packet is late at most."""

MIN_BACKOFF, MAX_BACKOFF = 1.0, 60.0
"""Seconds before a meter connects again; they double."""

CONNECT_TIMEOUT = 10.0

MAX_UNSENT = 4096
"""Bytes of a connection that the other side does not take: further packets are lost."""

REPORT = 1.0
"""Seconds between two reports of a process."""

Share = tuple[str, int, int]
"""The first serial number of a process, how many meters it has, and a number that is its own."""

Make = Callable[[str, int, int], Any]
"""Makes the plugin of a share."""


@attrs.define
class Counts:
    """What a fleet, or a part of it, has done."""

    connected: int = 0
    opened: int = 0
    sent: int = 0
    lost: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Add up two parts."""
        return Counts(*map(sum, zip(attrs.astuple(self), attrs.astuple(other), strict=True)))


class Meter(asyncio.Protocol):
    """One meter: its connection, and the packet that waits for it."""

    def __init__(self, fleet: "Fleet", chance: Random) -> None:
        """Connect when there is something to send."""
        self._fleet = fleet
        self._chance = chance
        self._transport: asyncio.Transport | None = None
        self._waiting = b""
        self._backoff = MIN_BACKOFF
        self._is_trying = False

    def send(self, data: bytes) -> None:
        """Send a packet, or keep it until there is a connection; an older one that waits is lost."""
        counts = self._fleet.counts
        if self._transport is None:
            counts.lost += bool(self._waiting)
            self._waiting = data
            self._connect(0.0)
        elif self._transport.get_write_buffer_size() > MAX_UNSENT:
            counts.lost += 1
        else:
            self._transport.write(data)
            counts.sent += 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what waits."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of TCP
        self._transport, self._is_trying = transport, False
        self._fleet.counts.connected += 1
        self._fleet.counts.opened += 1
        waiting, self._waiting = self._waiting, b""
        if waiting:
            self.send(waiting)

    def connection_lost(self, exc: Exception | None) -> None:
        """Connect again after a while."""
        self._transport = None
        self._fleet.counts.connected -= 1
        self._fleet.report(exc)
        self._retry()

    def _retry(self) -> None:
        delay, self._backoff = self._backoff, min(2 * self._backoff, MAX_BACKOFF)
        self._is_trying = False
        self._connect(delay * self._chance.uniform(0.5, 1.5))

    def _connect(self, delay: float) -> None:
        if not self._is_trying and not self._fleet.is_stopping:
            self._is_trying = True
            self._fleet.start(self._try(delay))

    async def _try(self, delay: float) -> None:
        await asyncio.sleep(delay)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await loop.create_connection(lambda: self, *self._fleet.address)
        except OSError as error:
            self._fleet.report(error)
            self._retry()
        else:
            loop.call_later(MAX_BACKOFF, self._has_worked, self._transport)

    def _has_worked(self, transport: asyncio.Transport | None) -> None:
        if transport is not None and transport is self._transport:
            self._backoff = MIN_BACKOFF


@attrs.define(eq=False)
class Fleet:
    """The meters of one process. `jitter` is by how many seconds a packet is late at most."""

    address: tuple[str, int]
    jitter: float
    chance: Random
    counts: Counts = attrs.field(factory=Counts)
    is_stopping: bool = False
    failure: str = ""
    _meters: dict[str, Meter] = attrs.field(factory=dict)
    _tasks: set[asyncio.Task[None]] = attrs.field(factory=set)

    def take(self, chunk: Chunk, done: Callable[[], None]) -> None:
        """Send a packet at its time, which is a little later; then `done` is called."""
        delay = self.chance.uniform(0.0, self.jitter)
        asyncio.get_running_loop().call_later(delay, self._send, chunk.stream, bytes(chunk.data), done)

    def report(self, error: BaseException | None) -> None:
        """Keep why a connection failed last."""
        if error is not None:
            self.failure = getattr(error, "strerror", None) or describe_error(error)

    def start(self, work: Any) -> None:  # noqa: ANN401 - a coroutine
        """Run something beside."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _send(self, serial: str, data: bytes, done: Callable[[], None]) -> None:
        if serial not in self._meters:
            self._meters[serial] = Meter(self, self.chance)
        self._meters[serial].send(data)
        done()


def run_part(make: Make, share: Share, address: tuple[str, int], report: Connection) -> None:
    """Send what a plugin makes until it ends, or nobody takes the reports: the program's end is that of its parts."""
    seed, plugin = share[2], make(*share)
    plugin.open(context=Context("source.simulator", logging.getLogger("source.simulator")))
    fleet = Fleet(address, JITTER * float(getattr(plugin, "interval", 0.0)), Random(seed))  # noqa: S311 - no secret
    stop = Event()
    with suppress(KeyboardInterrupt, BrokenPipeError):
        asyncio.run(_run_part(fleet, plugin, stop, report))
    stop.set()


async def _run_part(fleet: Fleet, plugin: Any, stop: Event, report: Connection) -> None:  # noqa: ANN401 - as above
    loop, room = asyncio.get_running_loop(), Semaphore(max(2, 2 * plugin.count))

    def make() -> None:
        for chunk in plugin.collect(stop=stop):
            if chunk.data:
                room.acquire()
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(fleet.take, chunk, room.release)

    making = Thread(target=make, daemon=True)
    making.start()
    while making.is_alive():
        await asyncio.sleep(REPORT)
        report.send((attrs.astuple(fleet.counts), fleet.failure))
    await asyncio.sleep(fleet.jitter + REPORT)  # what is under way
    fleet.is_stopping = True
    report.send((attrs.astuple(fleet.counts), fleet.failure))
