# SPDX-License-Identifier: GPL-3.0-or-later
"""A PostgreSQL server for all tests of a run, a database for each, and sinks that are closed in the end."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import attrs
import pytest
from servers.certificates import authority
from servers.database_servers import PostgreSQL

from btcore import Context, Secret
from btmon_sql.sink import Sql

__all__ = ["authority"]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """Run a server."""
    with PostgreSQL() as server:
        server.sql("CREATE USER btcore PASSWORD 'secret' CREATEDB")
        yield server


@attrs.frozen
class Energy:
    """The database `energy` of a server."""

    server: PostgreSQL
    name: str = "energy"

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement in it as the administrator."""
        return self.server.sql(statement, self.name)

    def create(self) -> None:
        """Create it, as the sink's user would."""
        self.server.sql(f"CREATE DATABASE {self.name} OWNER btcore")

    def count(self, table: str = "ecm1240bin_counters") -> int:
        """Count the rows of a table."""
        return int(self.sql(f"SELECT COUNT(*) FROM {table}")[0][0])

    def settings(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - what a table may hold
        """Return the settings of a sink that stores into it."""
        user, password = more.pop("user", "btcore"), more.pop("password", "secret")
        url = f"postgresql+psycopg://{user}:{password}@127.0.0.1:{self.server.port}/{self.name}"
        return {"url": Secret(url), **more}


@pytest.fixture
def energy(postgresql: PostgreSQL) -> Energy:
    """Return a database that does not exist yet."""
    postgresql.sql("DROP DATABASE IF EXISTS energy WITH (FORCE)")
    return Energy(postgresql)


@pytest.fixture
def opened() -> Iterator[Callable[..., Sql]]:
    """Open sinks with the settings given, and close them in the end."""
    with ExitStack() as stack:

        def open_sink(*, context: Context | None = None, **settings: Any) -> Sql:  # noqa: ANN401 - see above
            sink = Sql(**settings)
            stack.callback(sink.close)
            sink.open(context or Context("sink.test", logging.getLogger("sink.test")))
            return sink

        yield open_sink
