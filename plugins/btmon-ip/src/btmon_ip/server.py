# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `tcp-server`: its settings. What happens on the connections is in `connections.py`."""

import itertools
from collections.abc import Iterable, Iterator
from threading import Event
from typing import TYPE_CHECKING, Any

from btcore import Chunk, Claim, Context, Duration, hookimpl, plugin
from btcore.light import and_, field, ge, gt, le, setting
from btmon_ip.addresses import LAST_PORT, check_host, claimed_addresses
from btmon_ip.connections import ServerConnections
from btmon_ip.listeners import listen
from btmon_ip.peers import networks
from btmon_ip.succession import Sockets, leave, take

if TYPE_CHECKING:
    from btcore import DiagnosisContext, Discovered, Finding

USUAL_PORT = 8083
"""The port that a GEM and an EtherBee are usually set to."""


def _check_networks(_instance: object, _attribute: Any, texts: list[str]) -> None:  # noqa: ANN401 - as attrs has it
    networks(texts)


@plugin(api=1)
class TcpServer:
    """Listens on a TCP port for meters that send by themselves, on any number of connections at once."""

    host: str = setting(
        default="",
        help="listen on this address of the machine only; empty: on all of them, IPv4 and IPv6",
        validator=check_host,
    )
    port: int = setting(
        default=USUAL_PORT,
        help="the TCP port that the meters send to; 0: any free port, which the log names",
        validator=and_(ge(0), le(LAST_PORT)),
    )
    idle_timeout: Duration = setting(
        default=Duration(600),
        help="close a connection on which nothing came for this long",
        validator=gt(0),
    )
    max_connections: int = setting(
        default=512,
        help="maximum number of open connections; above it, the longest silent one without a packet is closed",
        validator=gt(0),
    )
    allow: list[str] = setting(
        factory=list,
        help="accept connections from these networks and addresses only; empty: from all",
        validator=_check_networks,
    )
    _connections: ServerConnections | None = field(default=None, init=False, repr=False)
    _context: Context | None = field(default=None, init=False, repr=False)
    _numbers: Iterator[int] = field(factory=lambda: itertools.count(1), init=False, repr=False)

    @property
    def patience(self) -> float:
        """Seconds without a packet after which the core reports what came instead."""
        return self.idle_timeout

    def claims(self) -> Iterator[Claim]:
        """Claim the port, on the addresses that are listened on."""
        if self.port:
            yield from (Claim(f"tcp port {self.port}{address}", key="port") for address in claimed_addresses(self.host))

    @classmethod
    def discover(cls, _timeout: float) -> "Iterable[Discovered]":
        """Offer the port that meters are usually set to."""
        from btcore import Discovered  # noqa: PLC0415 - a run does not need it

        text = "a GEM or an EtherBee that connects to this computer"
        settings = {"port": USUAL_PORT}
        yield Discovered(kind="source", text=text, settings=settings, ask=("port",), is_present=False)

    def diagnose(self, context: "DiagnosisContext") -> "Iterable[Finding]":
        """Find out who has the port, or that nobody connects to it."""
        from btmon_ip.diagnosis import diagnose_server  # noqa: PLC0415 - a run does not need it

        return diagnose_server(self, context)

    @hookimpl
    def open(self, context: Context) -> None:
        """Listen on the port, or take over what the last instance left. Raises Retry when the port is not available."""
        self._context = context
        self._connections = self._serve(context, take(context.name, (self.host, self.port)))

    def _serve(self, context: Context, left: Sockets) -> ServerConnections:
        """Return the connections, with what the last instance left. Raises Retry."""
        return ServerConnections(
            left.listeners or listen(self.host, self.port, context.log),
            idle_timeout=self.idle_timeout,
            max_connections=self.max_connections,
            numbers=self._numbers,
            context=context,
            allow=networks(self.allow),
            connected=left.connections,
        )

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Chunk]:
        """Yield what comes in on all connections, each a stream of its own that ends when the connection does."""
        while self._connections is not None and not stop.is_set():
            yield from self._connections.serve_once()
        if self._connections is not None and self._context is not None and self._context.is_replaced():
            yield from self._connections.finish_packets()

    @hookimpl
    def close(self) -> None:
        """Close all connections and give the port back; leave all that to an instance that takes its place."""
        if self._connections is None or self._context is None:
            return
        if self._context.is_replaced():
            leave(self._context.name, (self.host, self.port), self._connections.release())
        else:
            self._connections.close()
        self._connections = None
