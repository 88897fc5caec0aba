# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of the core are given: a journal in a folder of their own, a clock, and plugins to load."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from helpers.config_plugins import Load, site_loader

from btcore.journal import Journal
from btcore.journal.opening import open_journal
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing import Clock


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where the SQLite journal is."""
    return tmp_path / "journal.db"


@pytest.fixture(params=["sqlite", "memory"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    """Return an empty journal, of each implementation."""
    with closing(open_journal(request.param, tmp_path)) as opened:
        yield opened


@pytest.fixture
def sqlite_journal(file: Path) -> Iterator[SqliteJournal]:
    """Return an empty journal in SQLite, for a test of what it alone does."""
    with closing(SqliteJournal(file)) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still until a test sets it."""
    return Clock()


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return what loads a configuration, with the plugins of `config_plugins` installed beside it."""
    return site_loader(tmp_path, monkeypatch)
