# SPDX-License-Identifier: GPL-3.0-or-later
"""btcore as a process, and a broker that is not there, dies in the middle, and comes back."""

import json
from pathlib import Path

import pytest
from helpers.needed import needs
from servers.mosquitto import MISSING, Listener, Mosquitto

from btcore import pack
from btcore.testing import BtcoreProcess, wait_for

pytestmark = [pytest.mark.servers, needs(MISSING)]

PACKETS = 200
STATE = "/house/energy/01000777/state"
SITE = """
state = "state"
[source.file]
path = "capture.bin"
[sink.mqtt]
host = "127.0.0.1"
port = {port}
homeassistant = true
values = true
retain = true
topic = "{{serial}}/{{label}}"
batch_size = 2
min_call_interval = "40ms"
min_backoff = "100ms"
max_backoff = "200ms"
timeout = "2s"
"""


def test_a_broker_that_is_down_and_dies_has_everything_in_the_end(tmp_path: Path) -> None:
    """Not there at the start, killed in the middle and started again: the last of all is there, and one line tells."""
    packets = [
        pack("gem48pbin", "01000777", {"secs": 10 * n, "volts": 120.0, "ch1_aws": 5000 * n, "p1": n})
        for n in range(1, PACKETS + 1)
    ]
    (tmp_path / "capture.bin").write_bytes(b"".join(packets))
    broker = Mosquitto(tmp_path)
    with BtcoreProcess(tmp_path, SITE.format(port=broker.port), "--once") as running:
        wait_for(lambda: "cannot be reached: Connection refused" in running.log, "the failure")
        with broker:
            with Listener(broker, STATE) as listener:
                wait_for(lambda: listener.messages, "the first state")
                broker.kill()
            broker.start()
            assert running.finish() == 0
            kept = broker.retained()
    state = json.loads(kept[STATE])
    assert (state["p1"], state["ch1_import"]) == (PACKETS, round(5000 * PACKETS / 3.6e6, 6))
    assert kept["/house/energy/01000777/p1"] == f"{PACKETS}.0"
    assert kept["/house/energy/status"] == "offline"
    assert running.log.count("cannot be reached") < 5
    assert "homeassistant/device/btcore_01000777/config" in kept
