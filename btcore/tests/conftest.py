"""What tests of the core are given: a journal in a folder of their own, a clock, and plugins to load."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from helpers.clocks import Clock
from helpers.config_plugins import Load, site_loader

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


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still until a test sets it."""
    return Clock()


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return what loads a configuration, with the plugins of `config_plugins` installed beside it."""
    return site_loader(tmp_path, monkeypatch)
