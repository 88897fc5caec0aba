"""What tests of the core are given: a journal in a folder of their own."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from btcore.journal.sqlite import SqliteJournal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where the journal is."""
    return tmp_path / "journal.db"


@pytest.fixture
def journal(file: Path) -> Iterator[SqliteJournal]:
    """Return an empty journal."""
    with closing(SqliteJournal(file)) as made:
        yield made
