# SPDX-License-Identifier: GPL-3.0-or-later
"""A MariaDB server for all tests of a run, a database for each, and sinks that are closed in the end."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import attrs
import pytest
from servers.certificates import authority
from servers.database_servers import MariaDB

from btcore import Context, Secret
from btmon_mysql.sink import Mysql

__all__ = ["authority"]


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """Run a server."""
    with MariaDB() as server:
        server.sql("CREATE USER 'btcore'@'%' IDENTIFIED BY 'secret'")
        server.sql("GRANT ALL ON *.* TO 'btcore'@'%'")
        yield server


@attrs.frozen
class Energy:
    """The database `energy` of a server."""

    server: MariaDB
    name: str = "energy"

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement in it as the administrator."""
        return self.server.sql(statement, self.name)

    def count(self, table: str = "ecm1240bin_counters") -> int:
        """Count the rows of a table."""
        return int(self.sql(f"SELECT COUNT(*) FROM {table}")[0][0])

    def settings(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - what a table may hold
        """Return the settings of a sink that stores into it."""
        own = {"host": "127.0.0.1", "port": self.server.port, "user": "btcore", "password": Secret("secret")}
        return {**own, "database": self.name, **more}


@pytest.fixture
def energy(mariadb: MariaDB) -> Energy:
    """Return a database that does not exist yet."""
    mariadb.sql("DROP DATABASE IF EXISTS energy")
    return Energy(mariadb)


@pytest.fixture
def opened() -> Iterator[Callable[..., Mysql]]:
    """Open sinks with the settings given, and close them in the end."""
    with ExitStack() as stack:

        def open_sink(*, context: Context | None = None, **settings: Any) -> Mysql:  # noqa: ANN401 - see above
            sink = Mysql(**settings)
            stack.callback(sink.close)
            sink.open(context or Context("sink.test", logging.getLogger("sink.test")))
            return sink

        yield open_sink
