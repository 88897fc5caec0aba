"""The contract of a journal, of the one in SQLite and of the one in memory."""

from pathlib import Path

from helpers.property_tests import examples
from hypothesis import settings

from btcore.journal import Journal
from btcore.journal.memory import MemoryJournal
from btcore.journal.sqlite import SqliteJournal
from btcore.testing.journal import JournalContract, contract_machine


def open_sqlite(folder: Path) -> SqliteJournal:
    """Open the journal in a folder."""
    return SqliteJournal(folder / "journal.db")


def open_memory(_: Path) -> MemoryJournal:
    """Make a journal."""
    return MemoryJournal()


class TestSqlite(JournalContract):
    """What SQLite keeps is there after the death of the process."""

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

TestMemoryModel = contract_machine(open_memory, survives=False).TestCase
TestMemoryModel.settings = settings(max_examples=examples(30), stateful_step_count=25, deadline=None)
