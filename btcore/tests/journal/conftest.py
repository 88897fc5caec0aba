# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of the SQLite journal are given; the contract of all journals is in `test_contract.py`."""

import pytest

from btcore.sqlite_journal.journal import SqliteJournal


@pytest.fixture
def journal(sqlite_journal: SqliteJournal) -> SqliteJournal:
    """Return an empty journal in SQLite."""
    return sqlite_journal
