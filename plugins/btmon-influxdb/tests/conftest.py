# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers for all tests of a run, and sinks that are closed in the end."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from servers.influxdb_api import InfluxDB2, InfluxDB3
from servers.time_series_servers import InfluxDB, VictoriaMetrics

from btcore import Context
from btmon_influxdb.sink import InfluxDB as Sink


@pytest.fixture(scope="session")
def influxdb() -> Iterator[InfluxDB]:
    """Run an InfluxDB 1.6 that asks for no password."""
    with InfluxDB() as server:
        yield server


@pytest.fixture(scope="session")
def guarded() -> Iterator[InfluxDB]:
    """Run an InfluxDB 1.6 that asks for passwords: `writer` may write to `house`, `reader` read it."""
    with InfluxDB(auth=True) as server:
        server.create_users()
        server.query('CREATE DATABASE "house"')
        for user, right in (("writer", "WRITE"), ("reader", "READ")):
            server.query(f"CREATE USER {user} WITH PASSWORD 'pass-word'")
            server.query(f'GRANT {right} ON "house" TO {user}')
        yield server


@pytest.fixture(scope="session")
def victoria() -> Iterator[VictoriaMetrics]:
    """Run a VictoriaMetrics."""
    with VictoriaMetrics() as server:
        yield server


@pytest.fixture
def house(influxdb: InfluxDB) -> str:
    """Return the name of a database that does not exist yet."""
    influxdb.query('DROP DATABASE "house"')
    return "house"


@pytest.fixture
def influxdb2() -> Iterator[InfluxDB2]:
    """Run an InfluxDB 2.x as it is documented."""
    with InfluxDB2() as server:
        yield server


@pytest.fixture
def influxdb3() -> Iterator[InfluxDB3]:
    """Run an InfluxDB 3.x as it is documented."""
    with InfluxDB3() as server:
        yield server


@pytest.fixture
def opened() -> Iterator[Callable[..., Sink]]:
    """Open sinks with the settings given, and close them in the end."""
    with ExitStack() as stack:

        def open_sink(*, context: Context | None = None, **settings: Any) -> Sink:  # noqa: ANN401 - any setting
            sink = Sink(**settings)
            assert not [problem for problem in sink.check() if not problem.warning]
            stack.callback(sink.close)
            sink.open(context or Context("sink.test", logging.getLogger("sink.test")))
            return sink

        yield open_sink
