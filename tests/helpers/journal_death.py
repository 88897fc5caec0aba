# SPDX-License-Identifier: GPL-3.0-or-later
"""The death of a process that has a SQLite journal open, for tests that go on within the process."""

from pathlib import Path

from btcore.journal.sqlite import SqliteJournal


class MortalJournal(SqliteJournal):
    """A journal whose process can die: what the system does then is done, and nothing else."""

    is_dead = False

    def die(self) -> None:
        """Let go of the files as they are."""
        if not self.is_dead:
            self.is_dead = True
            self._reader.close()
            self._writer.close()  # SQLite takes back what is not committed

    def close(self) -> None:
        """Close it, unless its process is dead."""
        if not self.is_dead:
            self.is_dead = True
            super().close()


OPEN: dict[Path, MortalJournal] = {}
"""The journal that was opened last in each folder."""


def open_mortal(folder: Path) -> MortalJournal:
    """Open the journal in a folder; whatever had it open is dead from then on."""
    if folder in OPEN:
        OPEN[folder].die()
    OPEN[folder] = MortalJournal(folder / "journal.db")
    return OPEN[folder]
