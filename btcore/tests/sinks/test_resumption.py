# SPDX-License-Identifier: GPL-3.0-or-later
"""What the log says of a sink that begins again: since when there is something that it did not have."""

from datetime import timedelta

import pytest
from helpers.journal_entries import raw_entry
from helpers.times import SECOND, START

from btcore.journal import Baseline, Checkpoint, Entry, Journal
from btcore.records import from_microseconds
from btcore.sinks.resumption import describe_resumption


@pytest.fixture
def entries(journal: Journal) -> list[Entry]:
    """Return ten entries of the journal, an hour apart."""
    return list(journal.append([raw_entry(START + hour * 3600 * SECOND) for hour in range(10)]).kept)


def hour(number: int) -> str:
    """Return the time of an entry as the log shows it."""
    return f"{from_microseconds(START) + timedelta(hours=number):%Y-%m-%d %H:%M} UTC"


def test_what_was_not_selected_is_told_from_its_first_reading_on(journal: Journal, entries: list[Entry]) -> None:
    """It is that reading itself, but not one that is only kept as a baseline."""
    checkpoint = Checkpoint(entries[5].offset, {}, first_unwanted=entries[2].offset, settings="before")
    (line,) = describe_resumption(checkpoint, "now", journal)
    assert line.startswith(f"its settings changed, and among the readings since {hour(2)} are some")
    with_baseline = Checkpoint(
        entries[5].offset, {"1": Baseline(entries[2].offset)}, first_unwanted=entries[2].offset, settings="before"
    )
    (line,) = describe_resumption(with_baseline, "now", journal)
    assert f"since {hour(3)} are" in line


def test_what_is_looked_at_again_is_told_where_the_settings_changed(journal: Journal, entries: list[Entry]) -> None:
    """It begins after the offset; nothing is told where nothing is looked at again, or nothing changed."""
    checkpoint = Checkpoint(entries[5].offset, {}, examined=entries[8].offset, settings="before")
    (line,) = describe_resumption(checkpoint, "now", journal)
    assert (
        line == f"its settings changed: looking again at the readings since {hour(6)}, of which nothing was delivered"
    )
    assert list(describe_resumption(checkpoint, "before", journal)) == []
    assert list(describe_resumption(Checkpoint(entries[5].offset, settings="before"), "now", journal)) == []


def test_much_that_is_looked_at_again_is_told_at_each_start(
    journal: Journal, entries: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is what takes long, although nothing changed; how many it is, is asked of the journal."""
    checkpoint = Checkpoint(entries[5].offset, {}, examined=entries[8].offset, settings="before")
    for most, count in ((3, 0), (2, 1)):
        monkeypatch.setattr("btcore.sinks.resumption.LONG", most)
        assert len(list(describe_resumption(checkpoint, "before", journal))) == count
