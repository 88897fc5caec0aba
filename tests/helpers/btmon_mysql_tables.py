# SPDX-License-Identifier: GPL-3.0-or-later
"""What btmon 3.4.0 stored in MySQL, as it was recorded: its statements, its rows, and a database as it left it."""

import json
from pathlib import Path
from typing import Any, Protocol

from helpers.folders import GOLDEN

RECORDED = sorted((GOLDEN / "sql").glob("mysql.*.json"))

Rows = list[dict[str, Any]]


class DatabaseServer(Protocol):
    """A server, as its administrator uses it."""

    def sql(self, statement: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement."""


class Database(Protocol):
    """A database of a server, which does not exist yet."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def server(self) -> DatabaseServer:
        """The server."""

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement in it."""


def load(path: Path) -> dict[str, Any]:
    """Read a recording."""
    return json.loads(path.read_text("utf-8"))  # type: ignore[no-any-return]


def statements_of(recording: dict[str, Any], word: str) -> list[str]:
    """Return the statements that btmon sent, of those that begin with a word; its database is called energy."""
    batches = [batch for one in recording["passes"] for batch in one["batches"]]
    calls = [call for batch in batches for call in batch["calls"]] + recording["setup"]["calls"]
    found = [call[1] for call in calls if call[0] == "execute" and call[1].lower().startswith(word)]
    return [one.replace(f"{database(recording)}.", "") for one in found]


def database(recording: dict[str, Any]) -> str:
    """Return the name of btmon's database."""
    return str(recording["options"].get("mysql_database", "ecm"))


def table_of(recording: dict[str, Any]) -> str:
    """Return the table that btmon stored into."""
    return statements_of(recording, "create table")[0].split("exists ")[1].split(" ")[0]


def recorded_rows(recording: dict[str, Any]) -> Rows:
    """Return the rows that btmon sent, by column, as it wrote them."""
    rows = []
    for statement in statements_of(recording, "insert"):
        names, values = statement.split(" (", 1)[1].split(") VALUES (")
        texts = values.removesuffix(")").split(",")
        rows.append(
            {n: t.strip("'") if t[0] == "'" else float(t) for n, t in zip(names.split(","), texts, strict=True)}
        )
    return rows


def fill_as_btmon(energy: Database, recording: dict[str, Any]) -> None:
    """Make a database as btmon left it: by its own statements."""
    energy.server.sql(f"CREATE DATABASE {energy.name}")
    for statement in statements_of(recording, "create table") + statements_of(recording, "insert"):
        energy.sql(statement)
