# SPDX-License-Identifier: GPL-3.0-or-later
"""What a driver must do: the contract between this package and the plugin that has the driver.

A plugin wraps its driver's connection in a class with these methods. Nothing else of a driver is used.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from btcore.sql.dialect import Value


class Connection(Protocol):
    """An open connection. Every method raises SqlError for what the database answers."""

    def query(self, sql: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """Run a query; return all its rows."""

    def execute(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Run a statement; return how many rows it concerned."""

    def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run a statement for each row."""

    def transaction(self) -> AbstractContextManager[None]:
        """Run a block in a transaction: all of it or nothing."""

    def close(self) -> None:
        """Close it; never raises."""
