# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `proxy`: has the only connection to a meter, reads it as other sources do, and shares it with readers.

How a meter is connected to is known by `tcp-client`, `tcp-server` and `serial`: one of them is within. Who is given
what is in `router`, whose turn it is to send commands in `turns`.
"""

from collections.abc import Iterable, Iterator
from threading import Event, Lock, Timer

import attrs

from btcore import Chunk, Claim, Context, DiagnosisContext, Finding, Problem, hookimpl, plugin, setting
from btmon_ip.client import TcpClient
from btmon_ip.server import TcpServer
from btmon_serial.line import SerialLine
from btmon_tee.readers import Reader
from btmon_tee.router import Router
from btmon_tee.service import ReaderService, ReaderSettings
from btmon_tee.turns import Turns

Line = TcpClient | TcpServer | SerialLine
"""The sources that can be within."""

LINGER = 60.0
"""Seconds for which readers stay connected while the connection to the meter is lost."""


_lingering: "dict[str, Proxy]" = {}
"""By table, the instance whose readers are connected still, while its meter is away."""


@attrs.frozen
class _Sharing:
    """All that serves the readers."""

    service: ReaderService
    router: Router
    turns: Turns

    def close(self) -> None:
        self.turns.close()
        self.service.close()


@plugin(api=1)
class Proxy(ReaderSettings):
    """Reads a meter, and shares its line: every reader gets each packet, and one at a time may send commands."""

    tcp_client: TcpClient | None = setting(
        default=None, help="the meter, or its gateway, waits for a connection: the settings of tcp-client"
    )
    tcp_server: TcpServer | None = setting(
        default=None, help="the meters connect to this computer: the settings of tcp-server"
    )
    serial: SerialLine | None = setting(default=None, help="the meters are on a serial line: the settings of serial")
    commands: bool = setting(default=True, help="whether what readers send is passed on to the meters")
    _context: Context = attrs.field(init=False, repr=False)
    _sharing: _Sharing | None = attrs.field(default=None, init=False, repr=False)
    _expiry: Timer | None = attrs.field(default=None, init=False, repr=False)
    _stop: Event = attrs.field(factory=Event, init=False, repr=False)
    _lock: Lock = attrs.field(factory=Lock, init=False, repr=False)
    _has_warned: bool = attrs.field(default=False, init=False, repr=False)

    @property
    def patience(self) -> float:
        """Seconds without a packet after which the core reports what came instead."""
        return self._line.patience

    def check(self) -> Iterator[Problem]:
        """Find that nobody can read, that it is not said where the meter is, and what is wrong with that."""
        yield from self._reader_problems()
        lines = self._lines()
        if len(lines) != 1:
            what = " and ".join(lines) or "none"
            yield Problem(
                "expected where the meter is: one of tcp_client, tcp_server and serial, such as"
                f' tcp_client = {{ host = "192.168.1.20", port = 5000 }}; found {what}',
                key=next(iter(lines), ""),
            )
        for key, line in lines.items():
            if not isinstance(line, TcpServer):
                yield from (attrs.evolve(problem, key=key) for problem in line.check())

    def claims(self) -> Iterator[Claim]:
        """Claim the line of the meter, the port of the readers, and the connections to them."""
        yield from self._reader_claims()
        for key, line in self._lines().items():
            yield from (attrs.evolve(claim, key=key) for claim in line.claims())

    def diagnose(self, context: DiagnosisContext) -> Iterable[Finding]:
        """Find out what is wrong with the meter's line."""
        return self._line.diagnose(context)

    @hookimpl
    def open(self, context: Context) -> None:
        """Serve the readers, and open the meter's line. Raises Retry when a port or the line is not available."""
        self._context = context
        before = _lingering.pop(context.name, None)
        if before is not None and before is not self:  # a reload has changed the table while its meter was away
            before.let_go()
        with self._lock:
            if self._expiry is not None:
                self._expiry.cancel()
                self._expiry = None
            self._sharing = self._sharing or self._share(context)
        self._line.open(context)

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Chunk]:
        """Yield what the meters send, and pass it on."""
        self._stop = stop
        sharing = self._sharing
        if sharing is not None:
            sharing.router.restart()
        for chunk in self._line.collect(stop):
            if sharing is not None:
                sharing.router.route(chunk)
            yield chunk

    @hookimpl
    def close(self) -> None:
        """Close the meter's line. Unless this is the end, the readers stay connected for a moment."""
        if not isinstance(self._line, TcpClient):  # which closes itself
            self._line.close()
        with self._lock:
            if self._stop.is_set():
                self._end_sharing()
            elif self._expiry is None and self._sharing is not None:
                self._expiry = Timer(LINGER, self.let_go)
                self._expiry.daemon = True
                _lingering[self._context.name] = self
                self._expiry.start()

    def let_go(self) -> None:
        """End the connections of readers that were kept while the meter is away."""
        with self._lock:
            if self._expiry is not None:  # else it was opened again a moment ago
                self._expiry = None
                self._end_sharing()

    @property
    def _line(self) -> Line:
        return next(iter(self._lines().values()))

    def _lines(self) -> dict[str, Line]:
        """Return the sources that are set, by key."""
        found = {"tcp_client": self.tcp_client, "tcp_server": self.tcp_server, "serial": self.serial}
        return {key: line for key, line in found.items() if line is not None}

    def _share(self, context: Context) -> _Sharing:
        service = self._serve(context.log, self._received, self._left)
        router = Router(context.splitter, service.readers, context.commands)
        router.turns = Turns(context.commands, router.streams, router.settle, context.log)
        return _Sharing(service, router, router.turns)

    def _end_sharing(self) -> None:
        sharing, self._sharing = self._sharing, None
        if sharing is not None:
            sharing.close()

    def _received(self, reader: Reader, data: bytes) -> bool:
        sharing = self._sharing
        if self.commands and sharing is not None:
            return sharing.turns.add(reader, data)
        if not self.commands and not self._has_warned:
            self._has_warned = True
            self._context.log.warning("%s sends commands, which commands = false keeps from the meters", reader.name)
        return True

    def _left(self, reader: Reader) -> None:
        sharing = self._sharing
        if sharing is not None:
            sharing.turns.forget(reader)
