# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink for a Unix socket, at which another program of this computer listens."""

import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import attrs

from btcore import Batch, Context, DiagnosisContext, Duration, Finding, Retry, Serials, hookimpl, plugin, setting
from btmon_pipe.exchange import BLOCK, Ended, Exchange, Senseless, TimedOut
from btmon_pipe.sender import LineSender
from btmon_pipe.sink import LineSink, count_readings

GRACE = 2.0
"""Seconds without anything from a program after the end of the lines, until the connection is closed."""


@plugin(api=1)
class PipeSocket(LineSink):
    """Writes each sample to a Unix socket as a line of JSON."""

    path: Path = setting(help="the socket, at which a program listens", example="/run/house/energy.sock")
    acknowledge: bool = setting(
        default=False,
        help="whether the program answers each line with a line of its own: ok, retry WHY or reject WHY",
    )
    timeout: Duration = setting(
        default=Duration(30),
        help="longest wait for a program that neither reads nor answers",
        validator=attrs.validators.gt(0),
    )
    serials: Serials = setting(
        default="full", help="how meters are named: full, the serial number; short, XXX and the last three digits"
    )
    _socket: socket.socket | None = attrs.field(init=False, default=None, repr=False)
    _exchange: Exchange | None = attrs.field(init=False, default=None, repr=False)
    _sender: LineSender = attrs.field(init=False, factory=LineSender, repr=False)

    def diagnose(self, context: DiagnosisContext) -> Iterable[Finding]:
        """Find out whether anybody listens; nothing is written."""
        if context.is_running and not context.failure:
            return  # it is connected, and some programs take one connection
        try:
            self._connect()
        except Retry as error:
            yield Finding("unreachable", str(error), "Start the program that listens there, or correct `path`")
        finally:
            self.close()

    @hookimpl
    def open(self, context: Context) -> None:
        """Prepare; the connection is made for the first batch."""
        self._prepare(context, self.serials)

    @hookimpl
    def close(self) -> None:
        """Close the connection: first this side alone, so that the program can read what is under way, and answer."""
        if self._socket is not None:
            with self._socket, suppress(OSError):
                self._socket.settimeout(GRACE)
                self._socket.shutdown(socket.SHUT_WR)
                while self._socket.recv(BLOCK):
                    pass
        self._drop()

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = self._exchange = None

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Write a batch; return of how many readings something was written. Raises Retry or Reject."""
        records = self._records(batch)
        if records:
            exchange = self._exchange or self._connect()
            try:
                self._sender.send(records, exchange, acknowledge=self.acknowledge, who=f"the program at {self.path}")
            except Ended:
                raise self._failed("closed the connection") from None
            except TimedOut:
                raise self._failed(f"took nothing for {self.timeout:g} s") from None
            except Senseless as error:
                raise self._failed(
                    f"answered {str(error)!r:.100}; expected ok, retry or reject for each line"
                ) from None
        return count_readings(batch, records)

    def _connect(self) -> Exchange:
        """Connect. Raises Retry."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(self.timeout)
        try:
            self._socket.connect(str(self.path))
        except (OSError, ValueError) as error:  # ValueError: a path with a null character
            self._drop()
            reason = getattr(error, "strerror", None) or error
            raise Retry(f"nobody listens at {self.path}: {reason}") from None
        self._exchange = Exchange(self._socket.fileno(), self._socket.fileno(), self.timeout)
        return self._exchange

    def _failed(self, why: str) -> Retry:
        self._drop()
        return Retry(f"the program at {self.path} {why}")
