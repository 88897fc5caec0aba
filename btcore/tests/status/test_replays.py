# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits to be delivered again is in the status, also while nothing runs."""

from datetime import UTC, datetime
from pathlib import Path

import attrs
from helpers.fake_plugins import RecordingSink
from helpers.running_sink import fill_journal
from helpers.sites import endless_source, make_sink, make_site, make_source

from btcore.journal import Journal
from btcore.replay.requests import Request, Requests
from btcore.status.at_rest import status_at_rest
from btcore.status.report import report


def test_at_rest_the_replays_that_wait_are_listed(tmp_path: Path, journal: Journal) -> None:
    """The first that waits is told with how far it has come, and how many come after it; of no other sink."""
    fill_journal(journal, 5)
    requests = Requests(journal, "sink.roof")
    first, second = Request(), Request(retry=True)
    requests.ask(first)
    requests.ask(second)
    requests.update(attrs.evolve(first, delivered=3))
    site = make_site(
        tmp_path, make_source(endless_source()), make_sink(RecordingSink()), make_sink(RecordingSink(), "db")
    )
    roof, db = status_at_rest(site, journal, datetime.now(UTC)).sinks
    assert roof.replay is not None
    assert (roof.replay.number, roof.replay.delivered, roof.replay.waiting) == (first.number, 3, 1)
    assert db.replay is None
    lines = list(report(status_at_rest(site, journal, datetime.now(UTC))))
    assert f"    waits to be delivered again ({first.number}): 3 delivered, 1 request after it" in lines
    requests.finish(first)
    requests.finish(second)
    assert status_at_rest(site, journal, datetime.now(UTC)).sinks[0].replay is None
