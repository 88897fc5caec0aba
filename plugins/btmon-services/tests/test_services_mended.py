# SPDX-License-Identifier: GPL-3.0-or-later
"""A serial number that is mistyped in the table of a service: nothing is sent, and once it is mended, all of it is."""

from pathlib import Path

import pytest
from helpers.configured_sink import deliver_entries, sink_from_toml, without_waits
from helpers.hosted_services import SERVICES, service_sink
from helpers.journal_entries import ecm1240_entries

from btcore.config.site import Sink
from btcore.testing import HostedService

pytestmark = pytest.mark.servers

NAMED = [name for name, case in SERVICES.items() if "ch1 =" in case.table or "312345" in case.table]
"""Those whose own settings name a meter or a channel."""


def mistyped(name: str, server: HostedService, folder: Path) -> Sink:
    """Make a sink of a service whose settings name a meter that does not exist."""
    server.answer = SERVICES[name].taken
    table = SERVICES[name].table.replace("312345", "399999").replace("{ ch1 =", '{ "399999_ch1" =')
    return sink_from_toml(folder, f"[sink.{name}]\n{table.replace('URL', server.url)}")


def times(name: str, server: HostedService) -> list[str | None]:
    """Return the times of what was sent, in order, and forget it."""
    found = [time for request in server.requests for time in SERVICES[name].times(request)]
    server.requests.clear()
    return found


def test_most_services_name_meters() -> None:
    """The others are sent all channels of all meters, but for `meters` of their table."""
    assert sorted(set(SERVICES) - set(NAMED)) == ["emoncms", "eragy", "xively"]


@pytest.mark.parametrize(
    ("name", "mistake"), [*((name, "own") for name in NAMED), *((name, "meters") for name in SERVICES)]
)
def test_mending_it_sends_everything(server: HostedService, tmp_path: Path, name: str, mistake: str) -> None:
    """As if the settings had been right from the start; nothing was said to be delivered before."""
    folder, fresh = tmp_path / "mended", tmp_path / "fresh"
    folder.mkdir()
    fresh.mkdir()
    wrong = (
        mistyped(name, server, folder)
        if mistake == "own"
        else service_sink(name, server, folder, 'meters = ["0312345"]\n')
    )
    worker = deliver_entries(without_waits(wrong), ecm1240_entries(300), folder)
    assert (times(name, server), worker.delivered, worker.stop_reason) == ([], 0, "")
    assert worker.unwanted >= 29
    deliver_entries(
        without_waits(service_sink(name, server, folder)), ecm1240_entries(60, up=310, start=1_700_000_310), folder
    )
    late = times(name, server)
    deliver_entries(
        without_waits(service_sink(name, server, fresh)),
        [*ecm1240_entries(300), *ecm1240_entries(60, up=310, start=1_700_000_310)],
        fresh,
    )
    assert late == times(name, server)
    assert len(late) >= 30
