# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore simulate --fleet N`: many meters from a few processes, each over a TCP connection of its own.

Which packets there are, and when, is the plugin's; here they are spread, sent, and counted. As with a meter, what
cannot be sent is lost: a meter keeps one packet at most, so memory is bounded by the number of meters.
"""

import asyncio
import logging
import multiprocessing
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from random import Random
from threading import Event, Semaphore, Thread
from typing import Any

import attrs

from btcore.classes import define
from btcore.errors import Unavailable
from btcore.logs.handler import say
from btcore.records import Chunk
from btcore.settings import Context
from btcore.text import describe_error

MAX_METERS = 25_000
"""So many connections a computer can have to one port of another."""

SHARE = 2500
"""Meters of a process, unless said otherwise."""

MAX_PROCESSES = 16

JITTER = 0.1
"""Of an interval: by how much a packet is late at most."""

MIN_BACKOFF, MAX_BACKOFF = 1.0, 60.0
"""Seconds before a meter connects again; they double."""

CONNECT_TIMEOUT = 10.0

MAX_UNSENT = 4096
"""Bytes of a connection that the other side does not take: further packets are lost."""

REPORT = 1.0
"""Seconds between two reports of a process."""

SHOW = 10.0
"""Seconds between two lines for a person."""

SPARE_FILES = 64
"""Files that a process needs beside its connections."""


Share = tuple[str, int, int]
"""The first serial number of a process, how many meters it has, and a number that is its own."""

Make = Callable[[str, int, int], Any]
"""Makes the plugin of a share."""


@define
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


@define(eq=False)
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


def shares(count: int, processes: int) -> Iterator[range]:
    """Yield which meters, by their numbers, each process has."""
    size, rest = divmod(count, processes)
    start = 0
    for number in range(processes):
        end = start + size + (number < rest)
        yield range(start, end)
        start = end


def raise_open_files(share: int) -> None:
    """Raise the bound of open files to what a process needs. Raises Unavailable where it may not be that high."""
    needed = share + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise Unavailable(f"{share} meters of a process need {needed} open files, and {hard} are allowed: --processes")
    if soft != resource.RLIM_INFINITY and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def run_fleet(make: Make, address: tuple[str, int], count: int, processes: int) -> str:
    """Run a fleet until all packets are sent, or until it is interrupted; return what it did, for a person.

    `make` is given to other processes. Raises Unavailable.
    """
    raise_open_files(-(-count // processes))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    serials, address = _serials(make("", count, 1)), resolve(*address)
    spawn = multiprocessing.get_context("spawn")
    parts: dict[Connection, Any] = {}
    for number, share in enumerate(shares(count, processes)):
        ours, theirs = spawn.Pipe(duplex=False)
        mine = (serials[share.start], len(share), number + 1)
        process = spawn.Process(target=run_part, args=(make, mine, address, theirs), daemon=True)
        process.start()
        theirs.close()
        parts[ours] = process
    counts = dict.fromkeys(parts, Counts())
    try:
        with suppress(KeyboardInterrupt):
            _watch(parts, counts, count)
    finally:
        for process in parts.values():
            process.terminate()
            process.join(CONNECT_TIMEOUT)
    total = sum(counts.values(), Counts())
    if total.lost and not total.sent:
        raise Unavailable(f"nothing was received at {address[0]}:{address[1]}: check that a source listens there")
    return f"{total.sent} packets sent over {total.opened} connections, {total.lost} lost"


def resolve(host: str, port: int) -> tuple[str, int]:
    """Return the address of a host by number: one that answers, else the first. Raises Unavailable."""
    try:
        found = [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError as error:
        raise Unavailable(f"there is no host {host}: {error.strerror or error}") from None
    for one in found:
        with suppress(OSError), socket.create_connection((one, port), CONNECT_TIMEOUT):
            return one, port
    return found[0], port


def _serials(plugin: Any) -> Sequence[str]:  # noqa: ANN401 - any plugin
    """Return the serial numbers of all meters, in order: those of their first packets."""
    first = attrs.evolve(plugin, packets=1, pace="fast")
    first.open(context=Context("source.simulator", log=logging.getLogger("source.simulator")))
    return list(dict.fromkeys(chunk.stream for chunk in first.collect(stop=Event()) if chunk.data))


def _watch(parts: dict[Connection, Any], counts: dict[Connection, Counts], count: int) -> None:
    """Show how it goes until all parts have ended."""
    open_parts, last, before = set(parts), time.monotonic(), 0
    failures: dict[Connection, str] = {}
    while open_parts:
        for one in wait(open_parts, REPORT):
            assert isinstance(one, Connection)  # noqa: S101 - nothing else was given
            try:
                numbers, failures[one] = one.recv()
                counts[one] = Counts(*numbers)
            except (EOFError, OSError):
                open_parts.discard(one)
        if (now := time.monotonic()) - last >= SHOW:
            total = sum(counts.values(), Counts())
            say(line(total, count, (total.sent - before) / (now - last), failures.values()))
            last, before = now, total.sent


def line(total: Counts, count: int, rate: float, failures: Iterable[str]) -> str:
    """Return how it goes, in a line."""
    why = next(filter(None, failures), "") if total.connected < count else ""
    text = f"{total.connected} of {count} meters connected, {rate:,.0f} packets/s, {total.lost} lost"
    return f"btcore simulate: {text}{why and f' ({why})'}"
