# SPDX-License-Identifier: GPL-3.0-or-later
"""Meters on bad connections: what each sends, how it goes wrong, and which packets must have come in all the same.

A packet that was sent to its last byte must come in. One that was cut must not: nobody sends it again.
"""

import asyncio
import itertools
import random
import socket
import struct
from collections import Counter
from contextlib import suppress

import attrs

from btcore import pack

FAULTS = ("cut", "half-open", "junk", "slow", "reordered", "duplicated", "reconnect")
FAULT_RATE = 0.25
"""Share of the packets with which something goes wrong."""

MAX_PAUSE = 1.5
"""Seconds between two pieces of a slow packet."""

MAX_HALF_OPEN = 50
"""Connections that were left in the middle of a packet, and are never closed from this side."""

FORMATS = ("ecm1240bin", "ecm1220bin", "ecm1240bin", "gem48ptbin")


@attrs.define
class Tally:
    """What was sent: `sent` are the serial number and seconds counter of each packet that must come in."""

    sent: set[tuple[str, int]] = attrs.field(factory=set)
    faults: Counter[str] = attrs.field(factory=Counter)
    half_open: list[asyncio.StreamWriter] = attrs.field(factory=list)


@attrs.define
class Meter:
    """One meter, which connects, sends a packet every `interval` seconds, and has bad luck."""

    number: int
    port: int
    interval: float
    tally: Tally
    _secs: "itertools.count[int]" = attrs.field(factory=itertools.count, init=False)
    _luck: random.Random = attrs.field(init=False)
    _line: asyncio.StreamWriter | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        """Have luck of its own, the same in each run."""
        self._luck = random.Random(self.number)

    @property
    def format(self) -> str:
        """The packet format."""
        return FORMATS[self.number % len(FORMATS)]

    @property
    def serial(self) -> str:
        """The serial number."""
        return f"{'010' if self.format.startswith('gem') else '3'}{self.number:05}"

    async def run(self, over: asyncio.Event) -> None:
        """Send until it is over."""
        await asyncio.sleep(self._luck.uniform(0, self.interval))
        while not over.is_set():
            fault = self._luck.choice(FAULTS) if self._luck.random() < FAULT_RATE else ""
            self.tally.faults[fault] += 1
            await self._send(fault)
            await asyncio.sleep(self._luck.uniform(0.5, 1.5) * self.interval)
        await self._hang_up()

    async def _send(self, fault: str) -> None:
        match fault:
            case "cut" | "half-open":
                await self._leave_in_the_middle(fault)
            case "junk":
                header = self._luck.choice((b"", b"\xfe\xff", b"\xfe\xff\x03", b"\xfe\xff\x05"))
                await self._write(header + self._luck.randbytes(self._luck.randint(1, 300)))
                await self._packets(1)
            case "slow":
                await self._slowly()
            case "reordered":
                await self._packets(2, order=-1)
            case "duplicated":
                await self._packets(1, times=2)
            case "reconnect":
                await self._hang_up()
                await self._packets(1)
            case _:
                await self._packets(1)

    async def _packets(self, count: int, *, order: int = 1, times: int = 1) -> None:
        made = [self._packet() for _ in range(count)]
        await self._write(b"".join(packet for packet, _ in made[::order]) * times)
        self.tally.sent.update(identity for _, identity in made)

    async def _slowly(self) -> None:
        packet, identity = self._packet()
        at = self._luck.randrange(1, len(packet))
        await self._write(packet[:at])
        await asyncio.sleep(self._luck.uniform(0, MAX_PAUSE))
        await self._write(packet[at:])
        self.tally.sent.add(identity)

    async def _leave_in_the_middle(self, fault: str) -> None:
        packet, _ = self._packet()
        await self._write(packet[: self._luck.randrange(1, len(packet))])
        line, self._line = self._line, None
        assert line is not None
        if fault == "cut":
            reset = struct.pack("ii", 1, 0)
            line.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            line.close()
        elif len(self.tally.half_open) < MAX_HALF_OPEN:
            self.tally.half_open.append(line)
        else:
            line.close()

    def _packet(self) -> tuple[bytes, tuple[str, int]]:
        secs = 10 * next(self._secs)
        packet = pack(self.format, self.serial, {"volts": 120.0, "secs": secs, "ch1_aws": 1000 * secs})
        return packet, (self.serial, secs)

    async def _write(self, data: bytes) -> None:
        if self._line is None:
            _, self._line = await asyncio.open_connection("127.0.0.1", self.port)
        self._line.write(data)
        await self._line.drain()

    async def _hang_up(self) -> None:
        if self._line is not None:
            line, self._line = self._line, None
            line.close()
            with suppress(OSError):
                await line.wait_closed()
