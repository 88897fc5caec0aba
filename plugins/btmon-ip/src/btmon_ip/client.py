# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `tcp-client`: connects to a meter, or to the gateway in front of it, and listens or asks.

What is sent to ask a meter is the core's (`btcore.Poll`).
"""

import itertools
import time
from collections.abc import Iterable, Iterator
from threading import Event

from btcore import (
    Chunk,
    Claim,
    Context,
    DiagnosisContext,
    Discovered,
    Duration,
    Finding,
    Poll,
    Problem,
    Retry,
    check_polling,
    hookimpl,
    plugin,
    validate_devices,
)
from btcore.light import and_, field, ge, gt, le, setting
from btmon_ip.addresses import LAST_PORT, check_host, format_address
from btmon_ip.client_connection import MAX_WAIT, ClientConnection, connect

COMMAND_WAIT = 0.05
"""Seconds of the longest wait while a meter is given commands: the next one follows as soon as it has answered."""

SILENCE_WARNING_AFTER = 120.0
"""Seconds after which a warning says that nothing has come since the first connection was made."""


@plugin(api=1)
class TcpClient:
    """Connects to a meter's TCP port and reads what it sends, or asks it for a packet again and again."""

    host: str = setting(
        help="address or name of the meter, or of its gateway", example="192.168.1.20", validator=check_host
    )
    port: int = setting(
        default=5000,
        help="the TCP port that the meter listens on",
        validator=and_(ge(1), le(LAST_PORT)),
    )
    poll_interval: Duration = setting(
        default=Duration(0),
        help="ask the meters for a packet this often; 0: read what they send by themselves",
        validator=ge(0),
    )
    devices: list[str] = setting(
        factory=list,
        help='meters to ask, in turn: "fc", "fd", "fe", "ff" for ECMs, serial numbers for GEMs; empty: the only GEM',
        validator=validate_devices,
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
        help="longest wait for the connection, and for each step of an answer",
        validator=gt(0),
    )
    idle_timeout: Duration = setting(
        default=Duration(600),
        help="without poll_interval: close the connection and connect again when no packet came for this long",
        validator=gt(0),
    )
    _is_known: bool = field(
        default=False, init=False, repr=False
    )  # whether the meter has sent something, or its silence was logged
    _context: Context = field(init=False, repr=False)
    _poll: Poll | None = field(default=None, init=False, repr=False)
    _numbers: Iterator[int] = field(factory=lambda: itertools.count(1), init=False, repr=False)

    @property
    def patience(self) -> float:
        """Seconds without a packet after which the core reports what came instead."""
        return (
            2 * self.poll_interval + self.timeout * max(len(self.devices), 1)
            if self.poll_interval
            else self.idle_timeout
        )

    def check(self) -> Iterator[Problem]:
        """Find an address that is missing, and devices that would never be asked."""
        if not self.host:
            yield Problem('expected the address or name of the meter, such as "192.168.1.20"', key="host")
        yield from check_polling(self.devices, self.poll_interval, self.poll_intervals)

    def claims(self) -> Iterator[Claim]:
        """Claim the connection: most gateways take one, and two that ask on one line disturb each other."""
        yield Claim(f"tcp connection to {format_address(self.host.lower(), self.port)}", key="host")

    @classmethod
    def discover(cls, _timeout: float) -> Iterable[Discovered]:
        """Offer a gateway that waits, whose address has to be known."""
        text = "a gateway that waits for a connection, such as a WIZ110SR"
        yield Discovered(kind="source", text=text, settings={"port": 5000}, ask=("port",), is_present=False)

    def diagnose(self, context: DiagnosisContext) -> Iterable[Finding]:
        """Find out why there is no connection, or no packet."""
        from btmon_ip.diagnosis import diagnose_client  # noqa: PLC0415 - a run does not need it

        return diagnose_client(self, context)

    @hookimpl
    def open(self, context: Context) -> None:
        """Prepare the requests. The connection is made in `collect`, which can be told to stop."""
        self._context = context
        if (
            self.poll_interval and self._poll is None
        ):  # kept when the source is opened again: it knows which meters do not answer
            self._poll = Poll(
                devices=self.devices,
                timeout=self.timeout,
                log=context.log,
                interval=self.poll_interval,
                intervals=self.poll_intervals,
                retries=self.retries,
            )

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Chunk]:
        """Yield what the meter sends. Each connection is a stream of its own. Raises Retry when one fails."""
        while not stop.is_set():
            line = self._connect(stop)
            if line is None:
                return
            with line:
                yield from self._read(line, stop)
            self._wait(self._poll.next_due if self._poll else 0, stop)

    def _wait(self, until: float, stop: Event) -> None:
        """Wait for the next request; a command to the meter ends the wait."""
        while not (stop.is_set() or self._context.commands.is_busy) and (left := until - time.monotonic()) > 0:
            stop.wait(min(left, MAX_WAIT))

    def _connect(self, stop: Event) -> ClientConnection | None:
        try:
            return connect(self.host, self.port, self.timeout, stop)
        except OSError as error:
            raise Retry(
                f"cannot connect to {self._name}: {error.strerror or error}. "
                "Check the address and the gateway. Many accept one connection only: another program may hold it"
            ) from error

    def _read(self, line: ClientConnection, stop: Event) -> Iterator[Chunk]:
        """Yield all of one connection, and its end."""
        stream = f"{self._name}#{next(self._numbers)}"
        failure: OSError | None = None
        heard = False
        try:
            for data in self._poll_meters(self._poll, line) if self._poll else self._listen(line, stream):
                if data:
                    heard = True
                    yield Chunk(data, stream=stream)
                if stop.is_set():
                    break
        except OSError as error:
            failure = error
        if heard:
            yield Chunk(b"", stream=stream, end=True)
        if failure is not None:
            raise Retry(f"connection to {self._name}: {failure.strerror or failure}") from failure

    def _poll_meters(self, poll: Poll, line: ClientConnection) -> Iterator[bytes]:
        """Yield what comes in: of commands, as long as there are any, then of the meters that are asked."""
        while self._context.commands.is_busy:
            self._send_commands(line)
            yield line.receive(COMMAND_WAIT)
        yield from poll.ask_due(line.send, line.receive)

    def _send_commands(self, line: ClientConnection) -> None:
        for command in self._context.commands.take():
            line.send(command.data)

    def _listen(self, line: ClientConnection, stream: str) -> Iterator[bytes]:
        """Yield what comes in, b"" where nothing does. Raises TimeoutError after too long without a packet."""
        began = heard = time.monotonic()
        quiet = 0
        while True:
            self._send_commands(line)
            data = line.receive(COMMAND_WAIT if self._context.commands.is_busy else MAX_WAIT)
            yield data
            now, before, quiet = time.monotonic(), quiet, self._context.stream_status(stream).bytes_since_packet
            if data and quiet < before + len(data):  # there was a packet in it
                heard = now
            elif now - heard >= self.idle_timeout:
                raise TimeoutError(_describe_silence(f"{self.idle_timeout:g} s", quiet))
            self._is_known = self._is_known or bool(data)
            if not self._is_known and now - began >= SILENCE_WARNING_AFTER:
                self._is_known = True
                self._context.log.warning("%s: %s", self._name, _describe_silence(f"{SILENCE_WARNING_AFTER:g} s", 0))

    @property
    def _name(self) -> str:
        return format_address(self.host, self.port)


def _describe_silence(time: str, size: int) -> str:
    """Describe a silence, with its most frequent cause and what to do about it."""
    what = f"no packet came for {time}, only {size} bytes." if size else f"nothing came for {time}."
    return (
        f"{what} A meter whose real-time mode is off sends only when it is asked:"
        ' set poll_interval = "10s" (docs/meters.md)'
    )
