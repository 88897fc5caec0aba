# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of a journal, of the one in SQLite and of the one in memory."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import attrs
import pytest
from helpers.journal_death import open_mortal
from helpers.journal_entries import raw_entry
from helpers.property_tests import examples
from helpers.times import START
from hypothesis import settings

from btcore.journal import Journal, sqlite_entries
from btcore.journal.memory import MemoryJournal
from btcore.journal.sqlite import SqliteJournal
from btcore.testing.journal import JournalContract
from btcore.testing.journal_machine import contract_machine


def open_sqlite(folder: Path) -> SqliteJournal:
    """Open the journal in a folder."""
    return open_mortal(folder)


def open_memory(_: Path) -> MemoryJournal:
    """Make a journal."""
    return MemoryJournal()


class TestSqlite(JournalContract):
    """What SQLite keeps is there after the death of the process."""

    is_shared = False

    def open_journal(self, folder: Path) -> Journal:
        """Open the journal in a folder."""
        return open_sqlite(folder)


class TestMemory(JournalContract):
    """What is in memory is gone with the process."""

    survives = False

    def open_journal(self, folder: Path) -> Journal:
        """Make a journal."""
        return open_memory(folder)


TestSqliteModel = contract_machine(open_sqlite).TestCase
TestSqliteModel.settings = settings(max_examples=examples(30), stateful_step_count=25, deadline=None)


class TestSqliteAtOnceModel(contract_machine(open_sqlite).TestCase):  # type: ignore[misc]
    """The same, where new entries are inserted at once however few they are."""

    settings = settings(max_examples=examples(30), stateful_step_count=25, deadline=None)

    def setUp(self) -> None:
        """Let two be many."""
        self.enterContext(patch.object(sqlite_entries, "MANY", 2))
        super().setUp()


TestMemoryModel = contract_machine(open_memory, survives=False).TestCase
TestMemoryModel.settings = settings(max_examples=examples(30), stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("open_journal", [open_sqlite, open_memory])
def test_a_reading_that_comes_again_under_another_name_adds_nothing(
    tmp_path: Path, open_journal: Callable[[Path], Journal]
) -> None:
    """A packet is known by what is in it, whatever its meter is called by then; a whole reading by its meter too."""
    with closing(open_journal(tmp_path)) as journal:
        assert len(journal.append([raw_entry(START, b"a"), raw_entry(START, b"a", "000000-2")]).kept) == 1
        whole = [attrs.evolve(raw_entry(START + 9, b"{}", serial), packetless=True) for serial in ("1", "2", "1")]
        assert [one.serial for one in journal.append(whole).kept] == ["1", "2"]
