# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections of urllib3, the library below requests, that observe the deadline of their request.

All else is urllib3's: TLS, proxies, connections that are kept open.
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
"""The most bytes of the line with the size of a chunk."""


class Adapter(HTTPAdapter):
    """Makes every connection of a session observe the deadline."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever requests gives
        """Make the connections without a proxy."""
        super().init_poolmanager(*args, **kwargs)
        _with(DeadlineConnector, self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - as requests has it
        """Make the connections through a proxy."""
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not known:
            # how a connection goes through a SOCKS proxy is another library's business
            _with(DeadlineConnection if proxy.lower().startswith("socks") else DeadlineConnector, manager)
        return manager


class Response(HTTPResponse):
    """An answer that checks the sizes of its chunks: `0` of a cut `0400` is not the end, `-1` is not a size."""

    fp: Any

    def _read_next_chunk_size(self) -> int:
        line = self.fp.readline(MAX_SIZE_LINE)
        size = line.partition(b";")[0].strip()
        if not line.endswith(b"\n") or not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size):
            raise ValueError(size)  # for the caller, the answer is incomplete
        return int(size, 16)


class DeadlineConnection:
    """A mixin for connections: the socket is shut down when the deadline of the request passes."""

    response_class: ClassVar[type[HTTPResponse]] = Response
    sock: Any

    def connect(self) -> None:
        """Connect; a TLS connection that ends without notice was cut off."""
        super().connect()  # type: ignore[misc]
        if hasattr(self.sock, "suppress_ragged_eofs"):
            self.sock.suppress_ragged_eofs = False

    def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever urllib3 gives
        """Send a request, perhaps over the connection of an earlier one."""
        deadline = Deadline.current()
        if self.sock is not None and deadline is not None:
            deadline.watch(self.sock.fileno())
        super().request(*args, **kwargs)  # type: ignore[misc]

    def _tunnel(self) -> None:
        """Ask a proxy for a tunnel. The library takes an answer that was cut off for consent."""
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
    """The same, and the look-up of the name and the connection observe the deadline too."""

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
    """Make a manager of urllib3 use connections of this class."""
    pools: Mapping[str, Any] = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _pool(kind, pool) for scheme, pool in pools.items()}


def _pool(kind: type[DeadlineConnection], pool: Any) -> Any:  # noqa: ANN401 - a class of connection pools
    connection = type(f"{kind.__name__}{pool.ConnectionCls.__name__}", (kind, pool.ConnectionCls), {})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})
