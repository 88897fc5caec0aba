# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every plugin holds for the sink and the source of NATS, with a server."""

from collections.abc import Callable

import pytest
from servers.nats_cluster import NatsServer

from btcore.testing import conforms

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("name", ["nats", "nats-stream"])
def test_they_conform(name: str, server: NatsServer, setup: Callable[..., str]) -> None:
    """They do all that a sink, and a source, has to."""
    setup([server.url], "--replicas", "1")
    conforms(name, {"servers": [server.url]})
