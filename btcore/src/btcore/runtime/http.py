# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP port for monitoring: `/metrics` for Prometheus, `/health` for a container's health check.

It is off unless [metrics] has `listen`. Nothing can be changed over it.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from btcore.errors import Unavailable
from btcore.status import SiteStatus

if TYPE_CHECKING:
    from btcore.serve import HttpServer, Page

log = logging.getLogger("btcore.metrics")


class Monitoring:
    """The HTTP port of a run, which a new configuration may change."""

    def __init__(self, status: Callable[[], SiteStatus]) -> None:
        """Prepare; nothing is served yet."""
        self._status = status
        self._address: tuple[str, int] | None = None
        self._server: HttpServer | None = None

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


def open_monitoring(address: tuple[str, int], status: Callable[[], SiteStatus]) -> "HttpServer":
    """Return a server that has begun to serve. Raises Unavailable where it cannot listen."""
    from btcore.serve import HttpServer  # noqa: PLC0415 - most sites are not monitored

    pages = {"/metrics": lambda: _metrics(status()), "/health": lambda: _health(status())}
    try:
        server = HttpServer(address, pages, log)
    except OSError as error:
        raise Unavailable(f"[metrics] cannot listen on {address[0]}:{address[1]}: {error.strerror}") from None
    log.info("metrics at %s/metrics", server.url)
    server.open()
    return server


def _metrics(status: SiteStatus) -> "Page":
    from btcore.serve import EXPOSITION, Page  # noqa: PLC0415 - as above
    from btcore.status.metrics import metrics  # noqa: PLC0415 - as above

    return Page(metrics(status), EXPOSITION)


def _health(status: SiteStatus) -> "Page":
    from http import HTTPStatus  # noqa: PLC0415 - as above

    from btcore.serve import Page  # noqa: PLC0415 - as above
    from btcore.status.report import problems  # noqa: PLC0415 - as above

    found = "".join(f"{line}\n" for line in problems(status))
    return Page(found or "ok\n", status=HTTPStatus.OK if status.is_ok else HTTPStatus.SERVICE_UNAVAILABLE)
