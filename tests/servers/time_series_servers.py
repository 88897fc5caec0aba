# SPDX-License-Identifier: GPL-3.0-or-later
"""Real time series databases for tests: InfluxDB 1.6 and VictoriaMetrics, as `database_servers.py` has others.

with InfluxDB() as server:
    server.query('SELECT * FROM "energy"', "house")
"""

import json
import shutil
from base64 import b64encode
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from servers.database_servers import DatabaseServer

TIMEOUT = 30.0
"""Seconds that a test waits for an answer."""

ADMIN = ("admin", "secret")
"""The administrator of an InfluxDB that asks for passwords, where there is one."""


def fetch(url: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> str:
    """Return the body of an answer, whatever its code; with a form, to a POST."""
    data = None if form is None else urlencode(form).encode()
    try:
        with urlopen(Request(url, data, dict(headers or {})), timeout=TIMEOUT) as answer:
            return str(answer.read().decode())
    except HTTPError as error:
        return error.read().decode()


def post(url: str, lines: str) -> None:
    """Write points, all of which are taken."""
    with urlopen(Request(url, lines.encode()), timeout=TIMEOUT) as answer:
        assert answer.status == HTTPStatus.NO_CONTENT


class TimeSeriesServer(DatabaseServer):
    """A server that is asked over HTTP."""

    health = ""
    """The page that answers once the server is up."""

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"http://127.0.0.1:{self.port}"

    def create(self) -> None:
        """Create nothing: the server does."""

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            fetch(self.url + self.health)
        except (URLError, OSError):
            return False
        return True


class InfluxDB(TimeSeriesServer):
    """InfluxDB 1.6. `auth`: it asks for passwords; `http`: further lines of this part of its configuration."""

    health = "/ping"

    def __init__(self, port: int | None = None, *, auth: bool = False, http: str = "") -> None:
        """Choose ports; nothing is started yet."""
        super().__init__(port)
        self.auth = auth
        self.http = http

    def create(self) -> None:
        """Write the configuration."""
        folder = self.folder
        (folder / "config").write_text(
            'reporting-disabled = true\nbind-address = "127.0.0.1:0"\n'
            f'[meta]\ndir = "{folder}/meta"\n[monitor]\nstore-enabled = false\n'
            f'[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\nmax-series-per-database = 5000\n'
            f'[http]\nbind-address = "127.0.0.1:{self.port}"\nauth-enabled = {str(self.auth).lower()}\n{self.http}\n'
        )

    def command(self) -> Sequence[str]:
        """Return the command that is the server."""
        return [shutil.which("influxd") or "/usr/bin/influxd", "-config", str(self.folder / "config")]

    def query(self, statement: str, database: str = "") -> list[dict[str, Any]]:
        """Run a statement as the administrator; return the series of its result."""
        user = {"Authorization": f"Basic {b64encode(':'.join(ADMIN).encode()).decode()}"} if self.auth else {}
        answer = json.loads(fetch(f"{self.url}/query", {"db": database, "epoch": "u", "q": statement}, user))
        assert "error" not in answer, answer
        (result,) = answer["results"]
        assert "error" not in result, result
        found: list[dict[str, Any]] = result.get("series", [])
        return found

    def create_users(self) -> None:
        """Create the administrator."""
        self.query(f"CREATE USER {ADMIN[0]} WITH PASSWORD '{ADMIN[1]}' WITH ALL PRIVILEGES")

    def points(self, database: str) -> set[tuple[str, tuple[tuple[str, str], ...], int, str, float]]:
        """Return all that a database holds: measurement, tags, time in microseconds, field, value."""
        return {
            (
                series["name"],
                tuple(sorted((tag, text) for tag, text in series.get("tags", {}).items() if text)),
                row[0],
                field,
                float(value),
            )
            for series in self.query("SELECT * FROM /.*/ GROUP BY *", database)
            for row in series["values"]
            for field, value in list(zip(series["columns"], row, strict=True))[1:]
            if value is not None
        }


class VictoriaMetrics(TimeSeriesServer):
    """VictoriaMetrics. `flags` are further ones of its command."""

    health = "/health"

    def __init__(self, port: int | None = None, *, flags: Sequence[str] = (), retention: str = "100y") -> None:
        """Choose a port; nothing is started yet."""
        super().__init__(port)
        self.flags = [*flags, f"-retentionPeriod={retention}"]

    def command(self) -> Sequence[str]:
        """Return the command that is the server: it keeps what is old, and shows what is new at once."""
        return [
            shutil.which("victoria-metrics") or "/usr/bin/victoria-metrics",
            *(f"-storageDataPath={self.folder}/data", f"-httpListenAddr=127.0.0.1:{self.port}"),
            *("-search.latencyOffset=0s", "-memory.allowedBytes=64MB", *self.flags),
        ]

    def export(self, match: str = '{__name__!=""}', **headers: str) -> list[dict[str, Any]]:
        """Return the series that match, each with its `metric`, `values` and `timestamps` in milliseconds."""
        fetch(f"{self.url}/internal/force_flush", headers=headers)
        found = fetch(f"{self.url}/api/v1/export", {"match[]": match, "start": "0"}, headers)
        return [json.loads(line) for line in found.split("\n") if line]

    def delete(self, match: str) -> None:
        """Delete the series that match."""
        fetch(f"{self.url}/api/v1/admin/tsdb/delete_series", {"match[]": match})
