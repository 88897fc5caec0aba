# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command of another distribution is told of the journal: what identifies its readings, running or at rest."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from helpers.database_rows import JOURNAL_FILE, table_rows

from btcore import BtcoreError
from btcore.cli import OK, main
from btcore.cli.extensions import load_configuration
from btcore.commands import Configuration
from btcore.testing import BtcoreProcess, wait_for

NOON = int(datetime(2026, 6, 21, 12, tzinfo=UTC).timestamp()) * 1_000_000
MINUTE = 60_000_000

SIMULATED = (
    '[source.simulator]\nstart = "2026-06-21T12:00:00Z"\npace = "fast"\ninterval = "1m"\npackets = 30\ncount = 2\n'
)


def test_a_command_is_told_what_a_journal_at_rest_has(tmp_path: Path) -> None:
    """All readings, or those of a span whose ends belong to it, as the journal has them."""
    site = tmp_path / "site.toml"
    site.write_text(f'state = "state"\n{SIMULATED}[sink.print]\n')
    assert main(["run", "--once", "--quiet", "--config", str(site)]) == OK
    configuration = load_configuration(site)
    stored = table_rows(tmp_path / JOURNAL_FILE, "entry ORDER BY offset", "serial, key, 'gem48ptbin'")
    assert list(configuration.journalled()) == stored
    assert len(stored) == 60
    since, until = NOON + 5 * MINUTE, NOON + 9 * MINUTE
    some = list(configuration.journalled(since=since, until=until))
    assert some == [one for one in stored if since <= one[1] <= until]
    assert {serial for serial, _, _ in some} == {"01000101", "01000102"}


def told(configuration: Configuration) -> list[tuple[str, int, str]]:
    """Return what is told now; nothing while the program begins."""
    try:
        return list(configuration.journalled())
    except BtcoreError:
        return []


@pytest.mark.servers
def test_a_command_is_told_what_the_journal_of_a_running_btcore_has(tmp_path: Path) -> None:
    """The running program is asked, which has its journal open."""
    with BtcoreProcess(tmp_path, 'state = "state"\n[source.simulator]\ninterval = "1s"\n[sink.print]\n') as running:
        configuration = load_configuration(tmp_path / "site.toml")
        wait_for(lambda: running.log, "btcore to begin")
        wait_for(lambda: len(told(configuration)) >= 3, "three readings")
        found = list(configuration.journalled(since=int((datetime.now(UTC) - timedelta(hours=1)).timestamp() * 1e6)))
        assert running.stop() == 0
    assert set(found) <= set(configuration.journalled())
    assert {one[::2] for one in found} == {("01000101", "gem48ptbin")}


def test_a_configuration_without_a_journal_says_so(tmp_path: Path) -> None:
    """What never ran has none; nor has what btcore did not load."""
    site = tmp_path / "site.toml"
    site.write_text(f'state = "state"\n{SIMULATED}[sink.print]\n')
    with pytest.raises(BtcoreError, match="has not run with"):
        list(load_configuration(site).journalled())
    with pytest.raises(BtcoreError, match="was not loaded by btcore"):
        Configuration(site, ()).journalled()
