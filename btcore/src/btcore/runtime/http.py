# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP port for monitoring: `/metrics` for Prometheus, `/health` for a container's health check.

It is off unless [metrics] has `listen`. Nothing can be changed over it.
"""

import logging
import socket
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from btcore.errors import BtcoreError, Unavailable
from btcore.status import SiteStatus
from btcore.status.metrics import CONTENT_TYPE, metrics
from btcore.status.report import problems
from btcore.text import describe_error
from btcore.version import __version__

log = logging.getLogger("btcore.metrics")

TIMEOUT = 10.0
"""Seconds that a client may take for its request, and for taking the answer."""

MAX_CLIENTS = 8
"""Clients that are served at once; another one is hung up on."""


class MonitoringServer(ThreadingHTTPServer):
    """Serves the status of a site."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = MAX_CLIENTS

    def __init__(self, address: tuple[str, int], status: Callable[[], SiteStatus]) -> None:
        """Listen at an address. Raises OSError."""
        self.status = status
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._free = threading.BoundedSemaphore(MAX_CLIENTS)
        super().__init__(address, _Handler)

    def open(self) -> None:
        """Serve, in a thread of its own."""
        host, port = self.server_address[:2]
        name = host if isinstance(host, str) else host.decode()
        log.info("metrics at http://%s:%s/metrics", f"[{name}]" if ":" in name else name, port)
        threading.Thread(target=self.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self.shutdown()
        self.server_close()

    def process_request(self, request: object, client_address: object) -> None:
        """Serve a client in a thread, if one is free."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)  # type: ignore[arg-type]
            return
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def process_request_thread(self, request: object, client_address: object) -> None:
        """Serve a client."""
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._free.release()

    def handle_error(self, _request: object, client_address: object) -> None:
        """Log what went wrong with a client, which is no fault of the program."""
        log.debug("a client of [metrics], %s, is gone", client_address, exc_info=sys.exc_info())


class Monitoring:
    """The HTTP port of a run, which a new configuration may change."""

    def __init__(self, status: Callable[[], SiteStatus]) -> None:
        """Prepare; nothing is served yet."""
        self._status = status
        self._address: tuple[str, int] | None = None
        self._server: MonitoringServer | None = None

    def begin(self, address: tuple[str, int] | None) -> str:
        """Serve at an address, if there is one; return why not, or "": readings matter more than who watches."""
        self._address = address
        try:
            self._listen()
        except Unavailable as error:
            return f"{error}; running without it"
        return ""

    def change(self, address: tuple[str, int] | None) -> str:
        """Serve at another address from now on. Raises Unavailable, and goes on at the one before.

        Where the address is the same and could not be had, it is tried again; returns as `begin`.
        """
        if address == self._address:
            return self.begin(address) if self._server is None else ""
        before = self._address
        self.close()  # the new address may include the one before
        self._address = address
        try:
            self._listen()
        except Unavailable:
            self.begin(before)
            raise
        return ""

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.close()
        self._server = None

    def _listen(self) -> None:
        self._server = open_monitoring(self._address, self._status) if self._address is not None else None


def open_monitoring(address: tuple[str, int], status: Callable[[], SiteStatus]) -> MonitoringServer:
    """Return a server that has begun to serve. Raises Unavailable where it cannot listen."""
    try:
        server = MonitoringServer(address, status)
    except OSError as error:
        raise Unavailable(f"[metrics] cannot listen on {address[0]}:{address[1]}: {error.strerror}") from None
    server.open()
    return server


class _Handler(BaseHTTPRequestHandler):
    server: MonitoringServer
    server_version = f"btcore/{__version__}"
    sys_version = ""
    timeout = TIMEOUT
    pages: ClassVar[dict[str, Callable[[SiteStatus], tuple[HTTPStatus, str, str]]]]

    def do_GET(self) -> None:
        """Answer with a page."""
        page = self.pages.get(self.path.partition("?")[0])
        if page is None:
            self._send(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", "expected /metrics or /health\n")
            return
        try:
            code, kind, text = page(self.server.status())
        except BtcoreError as error:
            code, kind, text = HTTPStatus.SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", f"{describe_error(error)}\n"
        self._send(code, kind, text)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def _send(self, code: HTTPStatus, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Log nothing of a request."""


def _metrics(status: SiteStatus) -> tuple[HTTPStatus, str, str]:
    return HTTPStatus.OK, CONTENT_TYPE, metrics(status)


def _health(status: SiteStatus) -> tuple[HTTPStatus, str, str]:
    found = "".join(f"{line}\n" for line in problems(status))
    code = HTTPStatus.OK if status.is_ok else HTTPStatus.SERVICE_UNAVAILABLE
    return code, "text/plain; charset=utf-8", found or "ok\n"


_Handler.pages = {"/metrics": _metrics, "/health": _health}
