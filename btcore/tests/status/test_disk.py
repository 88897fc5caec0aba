# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk of the journal: how much of it is free, and when it will be full."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from btcore.journal.memory import MemoryJournal
from btcore.journal.opening import open_journal
from btcore.status import ErrorStatus, JournalStatus, SinkStatus, SiteStatus
from btcore.status.disk import full_at, journal_status
from btcore.status.metrics import metrics
from btcore.status.report import MIN_FREE, problems

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
DAY = 86_400.0


@pytest.mark.parametrize(
    ("days", "free", "retention", "expected"),
    [
        (10, 5_000, 30, 5),  # 100 bytes a day: it grows for 20 days more, and fits 50
        (10, 500, 30, 5),
        (30, 500, 30, None),
        (10, 1_999, 30, 19.99),
        (10, 2_000, 30, None),
    ],
)
def test_it_grows_by_its_mean_rate_until_the_retention(
    days: int, free: int, retention: int, expected: float | None
) -> None:
    """A journal grows until its oldest reading may be forgotten; a disk that holds that much is never full."""
    size = 100 * days if free != 5_000 else 10_000 * days
    found = full_at(size, free, NOW - timedelta(days=days), NOW, retention * DAY, NOW)
    rate = size / days
    assert found == (None if expected is None else NOW + timedelta(days=free / rate))


def test_without_a_rate_nothing_is_told() -> None:
    """An empty journal, one of minutes, and a disk that cannot be asked tell no day."""
    for oldest, free in ((None, 1), (NOW - timedelta(minutes=5), 1), (NOW - timedelta(days=5), None)):
        assert full_at(10**9, free, oldest, NOW, 30 * DAY, NOW) is None


MEMORY = Path("/dev/shm")


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a directory on another disk than that of the state directory."""
    if not os.access(MEMORY, os.W_OK) or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has one disk")
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


def test_the_disk_is_that_of_the_journal(tmp_path: Path, other_disk: Path) -> None:
    """Where `journal` names a file on another disk than the state directory's, that disk is told."""
    with closing(open_journal(f"sqlite:///{other_disk}/journal.db", tmp_path)) as journal:
        found = journal_status(journal, 30 * DAY, NOW)
    free = {folder: shutil.disk_usage(folder).free for folder in (tmp_path, other_disk)}
    assert found.free is not None
    assert min(free, key=lambda folder: abs(free[folder] - (found.free or 0))) == other_disk


def test_a_journal_without_a_disk_tells_none() -> None:
    """Nothing is told of a disk that the journal does not use."""
    assert journal_status(MemoryJournal(), 30 * DAY, NOW).free is None


@pytest.mark.parametrize(("free", "is_told"), [(0, True), (MIN_FREE - 1, True), (MIN_FREE, False), (None, False)])
def test_a_full_disk_is_among_what_is_wrong(free: int | None, *, is_told: bool) -> None:
    """`btcore status` says so at its top, also while nothing has failed for it yet."""
    status = SiteStatus(True, NOW, "site.toml", "1", (), (), JournalStatus("journal.db", free=free))  # noqa: FBT003
    assert [line for line in problems(status) if "make room" in line] == list(problems(status))
    assert bool(list(problems(status))) == is_told


def test_a_journal_that_cannot_be_used_is_said_once() -> None:
    """The reason stands at the top, not with each sink that waits for it; no number is shown that nobody knows."""
    why = "cannot open the journal /srv/journal.db: its disk is full"
    sink = SinkStatus("roof", "pvoutput", "failing", last_error=ErrorStatus(f"{why} (readings that wait: 3)", NOW))
    journal = JournalStatus("/srv/journal.db", free=0, last_error=ErrorStatus(why, NOW))
    status = SiteStatus(True, NOW, "site.toml", "1", (), (sink,), journal)  # noqa: FBT003
    assert list(problems(status)) == [f"{why}. Until then readings wait in memory"]
    assert not status.is_ok
    shown = metrics(status)
    assert "btcore_journal_usable 0" in shown
    assert "btcore_journal_disk_free_bytes 0" in shown
    assert "btcore_journal_readings" not in shown
