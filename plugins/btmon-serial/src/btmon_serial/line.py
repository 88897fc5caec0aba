"""The plugin: a serial line as a source, listened to or polled.

How a meter is asked is the core's `Poll`; how a port is opened and read is `port`; what a person is told is `trouble`.
"""

import logging
import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from threading import Event

import attrs

from btcore import (
    Chunk,
    Claim,
    Context,
    Duration,
    Poll,
    Problem,
    Retry,
    Stop,
    hookimpl,
    plugin,
    setting,
    validate_devices,
)
from btmon_serial import trouble
from btmon_serial.port import Port

LOOK = 0.5
"""Seconds of the longest wait without a look at whether to stop."""

QUIET = 0.3
"""Seconds without a byte after which nothing is under way on the line, and a meter may be asked."""

SILENT = 120.0
"""Seconds from the beginning on without a byte after which that is told, if it is not by `idle_timeout` before."""


@plugin(api=1)
class SerialLine:
    """Reads the meters on a serial line: takes what they send by themselves, or asks each of them in turn."""

    port: str = setting(
        help="the serial device by a name that stays the same, or a pyserial URL (rfc2217://HOST:PORT, socket://HOST:PORT)",
        example="/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0-port0",
    )
    baud: int = setting(
        default=19200, validator=attrs.validators.gt(0), help="speed of the line (8N1), as it is set in the meter"
    )
    poll_interval: Duration = setting(
        default=Duration(0),
        validator=attrs.validators.ge(0),
        help="ask the meters this often; 0: take what they send themselves",
    )
    devices: list[str] = setting(
        factory=list,
        validator=validate_devices,
        help='meters to ask: "fc", "fd", "fe", "ff" for ECMs, serial numbers for GEMs; empty: the only GEM on the line',
    )
    timeout: Duration = setting(
        default=Duration(5),
        validator=attrs.validators.gt(0),
        help="how long a meter that is asked has for each step of its answer",
    )
    idle_timeout: Duration = setting(
        default=Duration(300),
        validator=attrs.validators.ge(0),
        help="without poll: say so, and open the port anew, when nothing has come in for this long; 0: never",
    )
    _held: ExitStack = attrs.field(factory=ExitStack, init=False, repr=False)
    _port: Port = attrs.field(init=False, repr=False)
    _log: logging.Logger = attrs.field(init=False, repr=False)
    _poll: Poll | None = attrs.field(default=None, init=False, repr=False)

    @property
    def patience(self) -> float:
        """Seconds that it may be without a packet: then the core tells what came instead."""
        return (
            2 * self.poll_interval + self.timeout * max(len(self.devices), 1)
            if self.poll_interval
            else self.idle_timeout
        )

    def check(self) -> Iterator[Problem]:
        """Find a port that is missing, and devices that would never be asked."""
        if not self.port:
            yield Problem("expected a serial device: `ls /dev/serial/by-path/` shows them", key="port")
        if self.devices and not self.poll_interval:
            yield Problem(
                'meters are asked only where poll is set: add poll_interval = "10s", or leave devices out',
                key="devices",
            )
        if not self.port.lower().startswith("socket:") and (fault := trouble.baud_fault(self.baud)):
            yield Problem(fault, key="baud", warning=self.baud in trouble.BAUDS)

    def claims(self) -> Iterator[Claim]:
        """Claim the device, under whichever of its names: two on one line take each other's bytes."""
        kind, is_url, rest = self.port.lower().partition("://")
        if not is_url:
            device = os.path.realpath(self.port) if "/" in self.port else self.port
            yield Claim(f"serial line {device}", key="port")
        elif kind in {"socket", "rfc2217"}:  # in the words of `tcp-client`, which may be on the same gateway
            yield Claim(f"tcp connection to {re.split('[/?]', rest)[0]}", key="port")

    @hookimpl
    def open(self, context: Context) -> None:
        """Claim the port. Raises Retry when it cannot be had now, Stop when it never can."""
        self._log = context.log
        if (
            self.poll_interval and self._poll is None
        ):  # kept when the port is opened again: it knows who does not answer
            self._poll = Poll(devices=self.devices, timeout=self.timeout, log=context.log)
        self._claim()

    @hookimpl
    def close(self) -> None:
        """Give the port back."""
        self._held.close()

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Chunk]:
        """Yield what comes in, the acknowledgements of a poll left out. Raises Retry when the port fails."""
        try:
            yield from self._polled(self._poll, stop) if self._poll else self._heard(stop)
        except OSError as error:
            raise Retry(trouble.lost(self.port, error)) from error

    def _claim(self) -> None:
        try:
            self._port = self._held.enter_context(closing(Port(self.port, self.baud)))
        except OSError as error:
            raise Retry(trouble.cannot_open(self.port, error)) from error
        except ValueError as error:
            raise Stop(f"port {self.port!r} at {self.baud} baud can never work: {error}") from error

    def _heard(self, stop: Event) -> Iterator[Chunk]:
        last, is_told = time.monotonic(), False
        patience = min(
            self.idle_timeout, SILENT
        )  # until something has come in: then what is told, and done, is by `idle_timeout`
        while not stop.is_set():
            silence = time.monotonic() - last
            if data := self._port.receive(LOOK):
                yield Chunk(data)
                if is_told:
                    self._log.info("%s: bytes are coming in again", self.port)
                last, is_told, patience = time.monotonic(), False, self.idle_timeout
            elif self.idle_timeout and silence >= patience and not is_told and not stop.is_set():
                self._log.warning("%s", trouble.silent(self.port, patience))
                is_told = True
            elif self.idle_timeout and silence >= self.idle_timeout and not stop.is_set():
                self._renew()
                last = time.monotonic()

    def _renew(self) -> None:
        """Open the port anew: an adapter that hangs, or a gateway that restarted, looks like a silent meter."""
        self._held.close()
        self._claim()

    def _polled(self, poll: Poll, stop: Event) -> Iterator[Chunk]:
        due = time.monotonic() + QUIET
        while not stop.is_set():
            yield from self._settle(stop)
            yield from self._ask(poll, stop)
            due = next_due(due, self.poll_interval, time.monotonic())
            yield from self._pause(stop, due - QUIET)

    def _settle(self, stop: Event) -> Iterator[Chunk]:
        """Let a packet that is just coming in end: an acknowledgement must not be looked for in the rest of it."""
        until = time.monotonic() + self.timeout
        while time.monotonic() < until and not stop.is_set() and (data := self._port.receive(QUIET)):
            yield Chunk(data)

    def _ask(self, poll: Poll, stop: Event) -> Iterator[Chunk]:
        for data in poll.ask_all(self._port.send, self._port.receive):
            if data:
                yield Chunk(data)
            if stop.is_set():
                return

    def _pause(self, stop: Event, until: float) -> Iterator[Chunk]:
        """Wait, and take what a meter in real-time mode sends meanwhile."""
        while not stop.is_set() and (left := until - time.monotonic()) > 0:
            if data := self._port.receive(min(left, LOOK)):
                yield Chunk(data)


def next_due(due: float, every: float, now: float) -> float:
    """Return the next time of a steady schedule after `now`: times that have passed are left out, not caught up."""
    return due + every * (math.floor((now - due) / every) + 1)
