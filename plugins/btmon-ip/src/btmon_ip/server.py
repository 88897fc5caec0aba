"""The source `tcp-server`: its settings. What happens on the connections is in `connections.py`."""

import itertools
from collections.abc import Iterator
from threading import Event
from typing import Any

import attrs

from btcore import Chunk, Claim, Context, Duration, hookimpl, plugin, setting
from btmon_ip.addresses import LAST_PORT, check_host, own_addresses
from btmon_ip.connections import Connections
from btmon_ip.guests import networks
from btmon_ip.listening import listen


def _check_networks(_instance: object, _attribute: Any, texts: list[str]) -> None:  # noqa: ANN401 - attrs' own type
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
        default=8083,
        help="the TCP port that the meters send to; 0: any free one, which the log tells",
        validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(LAST_PORT)),
    )
    idle_timeout: Duration = setting(
        default=Duration(600),
        help="close a connection on which nothing came for this long",
        validator=attrs.validators.gt(0),
    )
    max_connections: int = setting(
        default=512,
        help="when there are more, the one silent for longest that has brought no packet is closed",
        validator=attrs.validators.gt(0),
    )
    allow: list[str] = setting(
        factory=list,
        help="take connections from these networks and addresses only; empty: from all",
        validator=_check_networks,
    )
    _connections: Connections | None = attrs.field(default=None, init=False, repr=False)
    _numbers: Iterator[int] = attrs.field(factory=lambda: itertools.count(1), init=False, repr=False)

    @property
    def patience(self) -> float:
        """Seconds that it may be without a packet: then the core tells what came instead."""
        return self.idle_timeout

    def claims(self) -> Iterator[Claim]:
        """Claim the port, on the addresses that are listened on."""
        if self.port:
            yield from (Claim(f"tcp port {self.port}{address}", key="port") for address in own_addresses(self.host))

    @hookimpl
    def open(self, context: Context) -> None:
        """Claim the port. Raises Retry when that cannot be had now."""
        self._connections = Connections(
            listen(self.host, self.port, context.log),
            idle=self.idle_timeout,
            most=self.max_connections,
            numbers=self._numbers,
            context=context,
            allow=networks(self.allow),
        )

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Chunk]:
        """Yield what comes in on all connections, each a stream of its own that ends when the connection does."""
        while self._connections is not None and not stop.is_set():
            yield from self._connections.turn()

    @hookimpl
    def close(self) -> None:
        """Close all connections and give the port back."""
        if self._connections is not None:
            self._connections.close()
            self._connections = None
