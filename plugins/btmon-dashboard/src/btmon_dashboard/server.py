# SPDX-License-Identifier: GPL-3.0-or-later
"""The web server: uvicorn in a thread of its own, bounded, so that no browser holds up the sink."""

import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

import attrs
import uvicorn

MAX_CLIENTS = 200
"""The most requests and streams at once; another one is answered 503."""

STOP_TIMEOUT = 2
"""Seconds that a browser has to take its answer when the program ends."""


@attrs.define(eq=False)
class WebServer:
    """Serves an application at a socket."""

    listener: socket.socket
    log: logging.Logger
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        host, port = self.listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def is_stopping(self) -> bool:
        """Whether it is to end."""
        return self._server is None or self._server.should_exit

    def open(self, app: Any) -> None:  # noqa: ANN401 - an ASGI application
        """Serve."""
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CLIENTS,
            timeout_graceful_shutdown=STOP_TIMEOUT,
            ws="none",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve(self._server), name="dashboard", daemon=True)
        self._thread.start()

    def _serve(self, server: uvicorn.Server) -> Callable[[], None]:
        def run() -> None:
            try:
                server.run([self.listener])
            except Exception:
                self.log.exception("the web server has ended; the dashboard is not served until a restart")

        return run

    def close(self, wake: Callable[[], None]) -> None:
        """Stop serving. `wake` wakes the streams, which end then."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            wake()
            self._thread.join(STOP_TIMEOUT + 3)
        self.listener.close()


def listen(host: str, port: int) -> socket.socket:
    """Listen at an address. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(MAX_CLIENTS)
    except OSError:
        listener.close()
        raise
    return listener
