# SPDX-License-Identifier: GPL-3.0-or-later
"""The plugin: a serial line as a source, listened to or polled.

How a meter is asked is the core's `Poll`; how a port is opened and read is `port`; the messages are in `messages`.
"""

import logging
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from threading import Event

from btcore import (
    Chunk,
    Claim,
    Context,
    DiagnosisContext,
    Discovered,
    Duration,
    Finding,
    MeterCommands,
    Poll,
    Problem,
    Retry,
    Stop,
    check_polling,
    hookimpl,
    plugin,
    validate_devices,
)
from btcore.light import field, ge, gt, setting
from btmon_serial import messages
from btmon_serial.port import Port
from btmon_serial.usb import check_port, device_of

MAX_WAIT = 0.5
"""Seconds of the longest wait, and so the longest delay until a stop is noticed."""

COMMAND_WAIT = 0.05
"""The longest wait while a meter is given commands: the next one follows as soon as it has answered."""

LINE_IDLE = 0.3
"""Seconds without a byte after which the line is idle, and a meter may be asked."""

SILENCE_WARNING_AFTER = 120.0
"""Seconds after which a warning says that nothing has come since the start, if `idle_timeout` is not shorter."""


@plugin(api=1)
class SerialLine:
    """Reads the meters on a serial line: takes what they send by themselves, or asks each of them in turn."""

    port: str = setting(
        help=(
            "the serial device by a name that stays the same, usb:VENDOR:PRODUCT:SERIAL of a USB adapter, or a pyserial"
            " URL (rfc2217://HOST:PORT, socket://HOST:PORT)"
        ),
        validator=check_port,
        example="/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0-port0",
    )
    baud: int = setting(
        default=19200,
        validator=gt(0),
        help="speed of the line in baud (8N1), as it is set in the meter",
    )
    poll_interval: Duration = setting(
        default=Duration(0),
        validator=ge(0),
        help="ask the meters for a packet this often; 0: read what they send by themselves",
    )
    devices: list[str] = setting(
        factory=list,
        validator=validate_devices,
        help='meters to ask, in turn: "fc", "fd", "fe", "ff" for ECMs, serial numbers for GEMs; empty: the only GEM',
    )
    poll_intervals: dict[str, Duration] = setting(
        factory=dict, help='the interval of some of the devices, in place of poll_interval: { fd = "1m" }'
    )
    retries: int = setting(
        default=0,
        help="ask a device that does not answer so many times again, after the others, unless it was silent before",
        validator=ge(0),
    )
    timeout: Duration = setting(
        default=Duration(5),
        validator=gt(0),
        help="longest wait for each step of an answer",
    )
    idle_timeout: Duration = setting(
        default=Duration(300),
        validator=ge(0),
        help="without poll_interval: log a warning and open the port again when nothing came for this long; 0: never",
    )
    _resources: ExitStack = field(factory=ExitStack, init=False, repr=False)
    _port: Port = field(init=False, repr=False)
    _log: logging.Logger = field(init=False, repr=False)
    _poll: Poll | None = field(default=None, init=False, repr=False)
    _commands: MeterCommands = field(factory=MeterCommands, init=False, repr=False)

    @property
    def patience(self) -> float:
        """Seconds without a packet after which the core reports what came instead."""
        return (
            2 * self.poll_interval + self.timeout * max(len(self.devices), 1)
            if self.poll_interval
            else self.idle_timeout
        )

    def check(self) -> Iterator[Problem]:
        """Find a port that is missing, and devices that would never be asked."""
        if not self.port:
            yield Problem("expected a serial device: `ls /dev/serial/by-path/` shows them", key="port")
        yield from check_polling(self.devices, self.poll_interval, self.poll_intervals)
        if not self.port.lower().startswith("socket:") and (problem := messages.baud_problem(self.baud)):
            yield Problem(problem, key="baud", warning=self.baud in messages.BAUDS)

    def claims(self) -> Iterator[Claim]:
        """Claim the device, under whichever of its names: two on one line take each other's bytes."""
        kind, is_url, rest = self.port.lower().partition("://")
        if not is_url:
            yield Claim(f"serial line {self._device()}", key="port")
        elif kind in {"socket", "rfc2217"}:  # in the words of `tcp-client`, which may be on the same gateway
            yield Claim(f"tcp connection to {re.split('[/?]', rest)[0]}", key="port")

    @classmethod
    def discover(cls, _timeout: float) -> Iterable[Discovered]:
        """Find the serial adapters of this computer. None is opened."""
        from btmon_serial.nearby import discover  # noqa: PLC0415 - a run does not need it

        return discover()

    def diagnose(self, context: DiagnosisContext) -> Iterable[Finding]:
        """Find out why the port cannot be used, or no packet comes in."""
        from btmon_serial.diagnosis import diagnose  # noqa: PLC0415 - a run does not need it

        return diagnose(self, context)

    @hookimpl
    def open(self, context: Context) -> None:
        """Open the port. Raises Retry when it is not available now, Stop when it never can be."""
        self._log, self._commands = context.log, context.commands
        if (
            self.poll_interval and self._poll is None
        ):  # kept when the port is opened again: it knows which meters do not answer
            self._poll = Poll(
                devices=self.devices,
                timeout=self.timeout,
                log=context.log,
                interval=self.poll_interval,
                intervals=self.poll_intervals,
                retries=self.retries,
            )
        self._open_port()

    @hookimpl
    def close(self) -> None:
        """Give the port back."""
        self._resources.close()

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Chunk]:
        """Yield what comes in, the acknowledgements of a poll left out. Raises Retry when the port fails."""
        try:
            yield from self._poll_meters(self._poll, stop) if self._poll else self._listen(stop)
        except OSError as error:
            raise Retry(messages.describe_port_failure(self.port, error)) from error

    def _device(self) -> str:
        """Return the device as the system names it; the port's own name if there is none at the moment."""
        with suppress(OSError):
            device = device_of(self.port)
            return os.path.realpath(device) if "/" in device else device
        return self.port.lower()

    def _open_port(self) -> None:
        try:
            self._port = self._resources.enter_context(closing(Port(device_of(self.port), self.baud)))
        except OSError as error:
            raise Retry(messages.describe_open_failure(self.port, error)) from error
        except ValueError as error:
            raise Stop(f"port {self.port!r} at {self.baud} baud can never work: {error}") from error

    def _listen(self, stop: Event) -> Iterator[Chunk]:
        last, is_warned = time.monotonic(), False
        patience = min(self.idle_timeout, SILENCE_WARNING_AFTER)  # `idle_timeout` alone once something has come
        while not stop.is_set():
            silence = time.monotonic() - last
            self._send_commands()
            if data := self._port.receive(self._max_wait):
                yield Chunk(data)
                if is_warned:
                    self._log.info("%s: bytes are coming in again", self.port)
                last, is_warned, patience = time.monotonic(), False, self.idle_timeout
            elif self.idle_timeout and silence >= patience and not is_warned and not stop.is_set():
                self._log.warning("%s", messages.describe_silence(self.port, patience))
                is_warned = True
            elif self.idle_timeout and silence >= self.idle_timeout and not stop.is_set():
                self._reopen_port()
                last = time.monotonic()

    @property
    def _max_wait(self) -> float:
        return COMMAND_WAIT if self._commands.is_busy else MAX_WAIT

    def _send_commands(self) -> None:
        for command in self._commands.take():
            self._port.send(command.data)

    def _reopen_port(self) -> None:
        """Open the port anew: an adapter that hangs, or a gateway that restarted, looks like a silent meter."""
        self._resources.close()
        self._open_port()

    def _poll_meters(self, poll: Poll, stop: Event) -> Iterator[Chunk]:
        while not stop.is_set():
            yield from self._wait_for_idle_line(stop)
            yield from self._ask(poll, stop)
            yield from self._wait_until_due(stop, poll.next_due - LINE_IDLE)

    def _wait_for_idle_line(self, stop: Event) -> Iterator[Chunk]:
        """Let a packet that is just coming in end: an acknowledgement must not be looked for in the rest of it."""
        until = time.monotonic() + self.timeout
        while time.monotonic() < until and not stop.is_set() and (data := self._port.receive(LINE_IDLE)):
            yield Chunk(data)

    def _ask(self, poll: Poll, stop: Event) -> Iterator[Chunk]:
        for data in poll.ask_due(self._port.send, self._port.receive):
            if data:
                yield Chunk(data)
            if stop.is_set():
                return

    def _wait_until_due(self, stop: Event, until: float) -> Iterator[Chunk]:
        """Wait, and take what a meter in real-time mode sends meanwhile, or answers to commands: these come first."""
        while not stop.is_set() and (self._commands.is_busy or time.monotonic() < until):
            self._send_commands()
            left = self._max_wait if self._commands.is_busy else until - time.monotonic()
            if data := self._port.receive(min(max(left, 0.0), MAX_WAIT)):
                yield Chunk(data)
