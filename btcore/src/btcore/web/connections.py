"""Connections of requests' library below, urllib3, that keep the deadline of the request which they serve.

Everything else of theirs stays as it is: TLS, proxies, connections that are kept.
"""

import errno
import os
import re
import socket
from collections.abc import Mapping
from http.client import HTTPResponse
from typing import Any, ClassVar

from requests.adapters import HTTPAdapter

from btcore.web.deadline import Deadline

MAX_SIZE_LINE = 4096
"""Bytes of the line that tells the size of a chunk."""


class Adapter(HTTPAdapter):
    """Makes every connection of a session one that keeps the deadline."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever requests gives
        """Make the connections that need no proxy."""
        super().init_poolmanager(*args, **kwargs)
        _with(DeadlineConnector, self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - as requests has it
        """Make the connections by way of a proxy."""
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not known:
            # how a connection goes through a SOCKS proxy is another library's business
            _with(DeadlineConnection if proxy.lower().startswith("socks") else DeadlineConnector, manager)
        return manager


class Response(HTTPResponse):
    """An answer whose chunks have sizes that are whole and sane: `0` of `0400` is no end, `-1` no number of bytes."""

    fp: Any

    def _read_next_chunk_size(self) -> int:
        line = self.fp.readline(MAX_SIZE_LINE)
        size = line.partition(b";")[0].strip()
        if not line.endswith(b"\n") or not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size):
            raise ValueError(size)  # which the caller takes for an answer that is cut
        return int(size, 16)


class DeadlineConnection:
    """Added to a class of connections: its socket is shut down when the time of the request is over."""

    response_class: ClassVar[type[HTTPResponse]] = Response
    sock: Any

    def connect(self) -> None:
        """Connect; an end of a TLS connection that was not announced is a cut, not an end."""
        super().connect()  # type: ignore[misc]
        if hasattr(self.sock, "suppress_ragged_eofs"):
            self.sock.suppress_ragged_eofs = False

    def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever urllib3 gives
        """Send a request, perhaps over a connection that was kept from an earlier one."""
        deadline = Deadline.current()
        if self.sock is not None and deadline is not None:
            deadline.watch(self.sock.fileno())
        super().request(*args, **kwargs)  # type: ignore[misc]

    def _tunnel(self) -> None:
        """Ask a proxy for a tunnel. Of an answer that was broken off the library takes what there is for a yes."""
        super()._tunnel()  # type: ignore[misc]
        deadline = Deadline.current()
        if deadline is not None and deadline.over:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    def _new_conn(self) -> socket.socket:
        made: socket.socket = super()._new_conn()  # type: ignore[misc]
        deadline = Deadline.current()
        if deadline is not None:
            deadline.watch(made.fileno())
        return made


class DeadlineConnector(DeadlineConnection):
    """The same, and connected within the time of the request, the look-up of the name included."""

    port: int
    source_address: tuple[str, int] | None
    socket_options: Any
    _dns_host: str

    def _new_conn(self) -> socket.socket:
        deadline = Deadline.current()
        if deadline is None:
            return super()._new_conn()
        return deadline.connect(self._dns_host, self.port, self.source_address, self.socket_options)


def _with(kind: type[DeadlineConnection], manager: Any) -> None:  # noqa: ANN401 - a PoolManager of urllib3
    """Have a manager of urllib3 make its connections of this kind."""
    pools: Mapping[str, Any] = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _pool(kind, pool) for scheme, pool in pools.items()}


def _pool(kind: type[DeadlineConnection], pool: Any) -> Any:  # noqa: ANN401 - a class of connection pools
    connection = type(f"{kind.__name__}{pool.ConnectionCls.__name__}", (kind, pool.ConnectionCls), {})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})
