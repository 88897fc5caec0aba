# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore simulate --fleet N`: many meters from a few processes: who has which meters, and what came of it.

What a process does is in `fleet_part.py`.
"""

import logging
import multiprocessing
import resource
import signal
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from threading import Event
from typing import Any

import attrs

from btcore.cli.fleet_part import CONNECT_TIMEOUT, REPORT, Counts, Make, run_part
from btcore.errors import Unavailable
from btcore.logs.handler import say
from btcore.settings import Context

MAX_METERS = 25_000
"""So many connections a computer can have to one port of another."""

SHARE = 2500
"""Meters of a process, unless said otherwise."""

MAX_PROCESSES = 16

SHOW = 10.0
"""Seconds between two lines for a person."""

SPARE_FILES = 64
"""Files that a process needs beside its connections."""


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
