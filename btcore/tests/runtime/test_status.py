# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a running site: what it says of the program itself."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from helpers.sites import make_site

from btcore import clocks
from btcore.journal.memory import MemoryJournal
from btcore.runtime.status import LiveStatus


def test_a_clock_that_was_set_changes_no_length_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that was started in 1970 has run for as long as the steady clock says; and that time stays the same."""
    live = LiveStatus(make_site(tmp_path), MemoryJournal(), [], [], str)
    monkeypatch.setattr(live, "_started", datetime(1970, 1, 1, tzinfo=UTC))
    monkeypatch.setattr(live, "_began", clocks.steady() - 600_000_000)
    first = live()
    assert first.started is not None
    assert timedelta(seconds=599) < first.time - first.started < timedelta(seconds=660)
    assert live().started == first.started
