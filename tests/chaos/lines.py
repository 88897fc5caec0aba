# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines from the meters to the program: who sends when, over which port, and what was sent at what moment."""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from threading import Event, Lock

import attrs
from chaos.meters import Meter, Packet

from btcore.testing.kit.waiting import in_background

CALM_STEP = 1
"""Seconds that pass for a meter from packet to packet while something is being done to the program.

What is lost then is so little of a meter's time that its readings before and after it still belong together.
"""

CALM_PACE = 3
"""By how much longer the pauses between packets are meanwhile: a busy computer catches up."""

LOST_AFTER_EACH_CUT = 2
"""Packets at most that a meter makes while it has no connection: nobody ever gets them."""


@attrs.define
class Lines:
    """The meters of a site, each of which has a connection to a port of the program, and a thread."""

    meters: Sequence[Meter]
    ports: Sequence[int]
    pause: float
    step: int
    sent: dict[bytes, list[float]] = attrs.field(factory=dict)
    """When each packet was sent, by the steady clock: none, once, or more often."""
    _slower: int = 1
    _over: Event = attrs.field(factory=Event)
    _on_hold: Event = attrs.field(factory=Event)
    _lock: Lock = attrs.field(factory=Lock)

    @contextmanager
    def sending(self) -> Iterator["Lines"]:
        """Send while the block runs; what a meter holds back is sent at its end."""
        with in_background(
            self._over, *(partial(self._send, *pair) for pair in zip(self.meters, self.ports, strict=True))
        ):
            yield self

    @contextmanager
    def calm(self) -> Iterator[None]:
        """Let the meters' time pass slowly while the block runs."""
        with self._lock:
            self._set_pace(CALM_STEP, CALM_PACE)
        try:
            yield
        finally:
            with self._lock:
                self._set_pace(self.step, 1)

    def _set_pace(self, step: int, slower: int) -> None:
        self._slower = slower
        for meter in self.meters:
            meter.step = step

    def restart(self, number: int) -> None:
        """Restart a meter."""
        with self._lock:
            self.meters[number % len(self.meters)].restart()

    def _send(self, meter: Meter, port: int) -> None:
        """Send until it is over; connect again wherever the connection ends."""
        while not self._over.is_set():
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while not self._over.wait(self.pause * self._slower):
                    self._send_next(meter, connection)
                while meter.is_holding:
                    self._send_next(meter, connection)
                return
            with self._lock:
                for _ in range(meter.random.randint(0, LOST_AFTER_EACH_CUT)):
                    meter.next()
            self._over.wait(0.1)

    def _send_next(self, meter: Meter, connection: socket.socket) -> None:
        with self._lock:
            packets = meter.next()
        for packet in packets:
            connection.sendall(packet.raw)
            self.sent.setdefault(packet.raw, []).append(time.monotonic())

    def packets(self) -> Iterator[Packet]:
        """Yield the packets that were sent."""
        for meter in self.meters:
            yield from (packet for raw, packet in meter.packets.items() if raw in self.sent)
