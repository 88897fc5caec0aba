# SPDX-License-Identifier: GPL-3.0-or-later
"""Two meters that send one serial number: each channel that is named is that of one of them alone."""

from pathlib import Path

import attrs
import pytest
from helpers.configured_sink import deliver_entries, sink_from_toml
from helpers.journal_entries import ECM1240_START, ecm1240_entries
from servers.pvoutput import PVOutputServer

pytestmark = pytest.mark.servers


@pytest.mark.parametrize(
    ("named", "watts"), [("031909_ch1", {1500}), ("031909-2_ch1", {600}), ("031909-2_aux1", {200})]
)
def test_a_channel_of_the_second_of_two_meters_is_its_own(tmp_path: Path, named: str, watts: set[int]) -> None:
    """`031909-2_ch1` is a channel as any other: its power is sent, and nothing of the meter of the same number."""
    first = ecm1240_entries(7200, serial="031909")
    second = [
        attrs.evolve(entry, key=entry.key + 5_000_000, serial="031909-2")
        for entry in ecm1240_entries(7200, serial="031909", up=70_000, watts=600)
    ]
    with PVOutputServer(clock=lambda: ECM1240_START + 7300) as server:
        table = f"""\
[sink.pvoutput]
api_key = "{server.key}"
system_id = "12345"
consumption = "{named}"
consumption_direction = "both"
zone = "UTC"
url = "{server.url}"
polarity = "brultech"
"""
        worker = deliver_entries(
            sink_from_toml(tmp_path, table), sorted([*first, *second], key=lambda one: one.key), tmp_path
        )
    assert (worker.stop_reason, worker.dead_letters) == ("", 0)
    assert {int(status["v4"]) for status in server.accepted} == watts
