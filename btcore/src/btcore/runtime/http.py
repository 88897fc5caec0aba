# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP port for monitoring: `/metrics` for Prometheus, `/health` for a container's health check.

It is off unless [metrics] has `listen`. Nothing can be changed over it.
"""

import logging
from collections.abc import Callable
from http import HTTPStatus

from btcore.serve import EXPOSITION, HttpServer, Page
from btcore.status import SiteStatus
from btcore.status.metrics import metrics
from btcore.status.report import problems

log = logging.getLogger("btcore.metrics")


class Monitoring:
    """The HTTP port of a run, which a new configuration may change."""

    def __init__(self, status: Callable[[], SiteStatus]) -> None:
        """Prepare; nothing is served yet."""
        self._status = status
        self._address: tuple[str, int] | None = None
        self._server: HttpServer | None = None

    def listen(self, address: tuple[str, int] | None) -> None:
        """Serve at this address from now on; nowhere if it is None."""
        if address == self._address and (self._server is not None or address is None):
            return
        self.close()
        self._address = address
        self._server = open_monitoring(address, self._status) if address is not None else None

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.close()
        self._server = None


def open_monitoring(address: tuple[str, int], status: Callable[[], SiteStatus]) -> HttpServer | None:
    """Return a server that has begun to serve; None where it cannot listen: readings matter more than who watches."""
    pages = {"/metrics": lambda: _metrics(status()), "/health": lambda: _health(status())}
    try:
        server = HttpServer(address, pages, log)
    except OSError as error:
        log.error("[metrics] cannot listen on %s:%s: %s; running without it", *address, error.strerror)  # noqa: TRY400 - no fault of ours
        return None
    log.info("metrics at %s/metrics", server.url)
    server.open()
    return server


def _metrics(status: SiteStatus) -> Page:
    return Page(metrics(status), EXPOSITION)


def _health(status: SiteStatus) -> Page:
    found = "".join(f"{line}\n" for line in problems(status))
    return Page(found or "ok\n", status=HTTPStatus.OK if status.is_ok else HTTPStatus.SERVICE_UNAVAILABLE)
