# SPDX-License-Identifier: GPL-3.0-or-later
"""The URL of a database: what is in it, and what is wrong with it. Nothing is opened here.

SQLAlchemy is imported when a URL is first read: that takes half a second, and only a site that uses it waits for it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from btcore.sql import DIALECTS, Dialect

if TYPE_CHECKING:
    from sqlalchemy import URL

EXTRAS: Mapping[str, str] = {
    "psycopg": 'pip install "btmon-sql[postgresql]"',
    "psycopg2": "pip install psycopg2-binary",
    "pymysql": 'pip install "btmon-sql[mysql]"',
}
"""What to install for a driver."""

EXPECTED = (
    'expected a URL such as "postgresql+psycopg://user@host/database", "mysql+pymysql://…" or "sqlite:///file.db"'
)

DRIVERS: Mapping[str, str] = {"postgresql": "psycopg", "postgres": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
"""The driver of a database whose URL names none."""


class UrlProblem(ValueError):
    """What is wrong with a URL; the text has no part of it that may be a password."""


@attrs.frozen
class Address:
    """A database. `where` is its name in messages, `secret` the password, which no message may show."""

    url: "URL"
    dialect: Dialect

    @property
    def database(self) -> str:
        """The name of the database, or its file."""
        return str(self.url.database or "")

    @property
    def server(self) -> str:
        """Where the server is; empty for a file."""
        host = str(self.url.query.get("host") or self.url.host or "localhost")
        return "" if self.dialect.name == "sqlite" else f"{host}:{self.url.port or _PORTS[self.dialect.name]}"

    @property
    def where(self) -> str:
        """Name the database in a message."""
        return f"database {self.database} at {self.server}" if self.server else self.database

    @property
    def secret(self) -> str:
        """The password; empty where there is none."""
        return str(self.url.password or "")

    @property
    def user(self) -> str:
        """The user's name."""
        return str(self.url.username or "")


LAST_PORT = 65_535

_PORTS: Mapping[str, int] = {"postgresql": 5432, "mysql": 3306}


def parse_address(text: str, password: str = "") -> Address:
    """Read a URL. Raises UrlProblem."""
    from sqlalchemy import make_url  # noqa: PLC0415 - see above
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise UrlProblem(EXPECTED) from None
    name, _, driver = url.drivername.partition("+")
    if (name not in DIALECTS and name != "postgres") or not url.database:
        raise UrlProblem(EXPECTED if url.database else f"the URL names no database; {EXPECTED}")
    if url.port is not None and not 0 < url.port <= LAST_PORT:
        raise UrlProblem(f"the port is {url.port}, expected 1 to {LAST_PORT}; {EXPECTED}")
    dialect = DIALECTS.get(name, DIALECTS["postgresql"])
    if not driver and name in DRIVERS:
        url = url.set(drivername=f"{dialect.name}+{DRIVERS[name]}")
    return Address(url.set(password=password) if password else url, dialect)


def driver_problem(address: Address) -> str:
    """Tell what to install for the driver of a URL; empty where it is there."""
    driver = address.url.drivername.partition("+")[2]
    try:
        address.url.get_dialect().import_dbapi()
    except ImportError:
        advice = EXTRAS.get(driver, f"pip install {driver}")
        return f"the driver {driver} is not installed: {advice}"
    except Exception:  # noqa: BLE001 - SQLAlchemy's own error for a driver that it does not know
        return f'"{driver}" is no driver that SQLAlchemy knows; {EXPECTED}'
    return ""
