# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded HTTP server of pages: few clients at once, each with a time limit. Nothing can be changed over it."""

import logging
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

from btcore.classes import frozen
from btcore.errors import BtcoreError
from btcore.text import describe_error
from btcore.version import __version__

TIMEOUT = 10.0
"""Seconds that a client may take for its request, and for taking the answer."""

MAX_CLIENTS = 8
"""Clients that are served at once; another one is hung up on."""

PLAIN = "text/plain; charset=utf-8"


@frozen
class Page:
    """What is answered: a text, its type, and the status."""

    text: str
    kind: str = PLAIN
    status: HTTPStatus = HTTPStatus.OK


class HttpServer(ThreadingHTTPServer):
    """Serves pages to whoever asks. A client that is slow, or sends what is no request, costs itself alone."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = MAX_CLIENTS

    def __init__(self, address: tuple[str, int], pages: Mapping[str, Callable[[], Page]], log: logging.Logger) -> None:
        """Listen at an address (port 0: any that is free). Raises OSError.

        `pages` makes each page by its path, in a thread of its own. A BtcoreError that it raises is answered as 503
        with its text.
        """
        self.pages, self.log = pages, log
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._thread: threading.Thread | None = None
        self._free = threading.BoundedSemaphore(MAX_CLIENTS)
        super().__init__(address, _Handler)

    @property
    def url(self) -> str:
        """Where it is."""
        host, port = self.server_address[:2]
        name = host if isinstance(host, str) else host.decode()
        return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"

    def open(self) -> None:
        """Serve, in a thread of its own."""
        self._thread = threading.Thread(target=self.serve_forever, name="http server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        if self._thread is not None:  # otherwise it would wait for the end of what has not begun
            self.shutdown()
        self.server_close()

    def server_bind(self) -> None:
        """Bind, without asking for the name of the address: that may take long, and only CGI needs it."""
        TCPServer.server_bind(self)

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
        self.log.debug("a client, %s, is gone", client_address, exc_info=sys.exc_info())

    def page(self, path: str) -> Page:
        """Return the page of a path, whatever stands behind `?`."""
        make = self.pages.get(path.partition("?")[0])
        if make is None:
            return Page(f"expected {' or '.join(self.pages)}\n", status=HTTPStatus.NOT_FOUND)
        try:
            return make()
        except BtcoreError as error:
            return Page(f"{describe_error(error)}\n", status=HTTPStatus.SERVICE_UNAVAILABLE)


class _Handler(BaseHTTPRequestHandler):
    server: HttpServer
    server_version = f"btcore/{__version__}"
    sys_version = ""
    timeout = TIMEOUT

    def do_GET(self) -> None:
        """Answer with a page."""
        page = self.server.page(self.path)
        data = page.text.encode(errors="replace")
        self.send_response(page.status)
        self.send_header("Content-Type", page.kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, *_: object) -> None:
        """Log nothing of a request."""
