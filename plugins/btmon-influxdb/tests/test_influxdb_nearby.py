# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of this computer are found, each with what it has to be asked for."""

import pytest
from servers.time_series_servers import InfluxDB, VictoriaMetrics

from btcore.testing import HostedService, Reply
from btmon_influxdb.nearby import discover

pytestmark = pytest.mark.servers

TIMEOUT = 15.0
NOWHERE = "http://127.0.0.1:1"


def test_real_servers_are_found(influxdb: InfluxDB, victoria: VictoriaMetrics) -> None:
    """InfluxDB tells its version, and VictoriaMetrics that it is well; each with its own settings."""
    first, second = discover(TIMEOUT, influxdb.url, victoria.url)
    assert first.settings == {"url": influxdb.url, "server": "influxdb-1"}
    assert first.text.startswith("InfluxDB 1.")
    assert second.settings == {"url": victoria.url, "server": "victoriametrics"}


@pytest.mark.parametrize(("version", "server"), [("v2.7.1", "influxdb-2"), ("3.0.1", "influxdb-3")])
def test_later_versions_are_told_apart(version: str, server: str) -> None:
    """A version decides which settings are asked for; an unknown one is not offered."""
    with HostedService(Reply(204, "", {"X-Influxdb-Version": version})) as service:
        (found,) = discover(TIMEOUT, service.url, NOWHERE)
        assert (found.settings["server"], "token" in found.ask) == (server, True)


@pytest.mark.parametrize("reply", [Reply(200, "hello"), Reply(404), Reply(200, "", {"X-Influxdb-Version": "9"})])
def test_another_program_is_not_taken_for_one(reply: Reply) -> None:
    """A web server on the port is no database."""
    with HostedService(reply) as service:
        assert list(discover(TIMEOUT, service.url, service.url)) == []


def test_nothing_is_found_where_nothing_listens() -> None:
    """A closed port is no error."""
    assert list(discover(TIMEOUT, NOWHERE, NOWHERE)) == []
