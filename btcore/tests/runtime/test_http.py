# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP port for monitoring."""

import http.client
from datetime import UTC, datetime

import pytest

from btcore.runtime.http import open_monitoring
from btcore.status import SiteStatus


def status() -> SiteStatus:
    """Return the status of a site without anything."""
    return SiteStatus(
        running=True, time=datetime.now(UTC), file="site.toml", version="1", sources=(), sinks=(), journal=None
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_it_listens_on_either_kind_of_address(host: str) -> None:
    """IPv4 and IPv6."""
    server = open_monitoring((host, 0), status)
    try:
        client = http.client.HTTPConnection(host, server.server_address[1], timeout=20)
        client.request("GET", "/health")
        assert client.getresponse().read() == b"ok\n"
        client.close()
    finally:
        server.close()
