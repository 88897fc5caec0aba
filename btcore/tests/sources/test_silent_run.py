# SPDX-License-Identifier: GPL-3.0-or-later
"""A meter that falls silent in the midst of a run, and comes back, while another goes on: what the log tells."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.captured_log import logged
from helpers.fake_plugins import IteratorSource, RecordingSink
from helpers.packets import METER, packet
from helpers.sites import make_sink, make_site, make_source

from btcore import Chunk
from btcore.runtime import supervisor
from btcore.runtime.supervisor import Supervisor
from btcore.sources import silence
from btcore.testing import wait_for

OTHER = "412345"


def test_a_meter_that_is_switched_off_for_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is silent is told once, and that it is back; the other's readings go on all along."""
    caplog.set_level(logging.INFO)
    # a minute is a second here
    monkeypatch.setattr(silence, "MIN_SILENCE", 1.0)
    monkeypatch.setattr(supervisor, "POLL_INTERVAL", 0.02)
    is_off, stop = threading.Event(), threading.Event()

    def items(ends: threading.Event) -> Iterator[Chunk]:
        count = 0
        while not ends.wait(0.02):
            count += 1
            yield Chunk(packet(OTHER, secs=count, energy=count), stream="b")
            if not is_off.is_set():
                yield Chunk(packet(METER, secs=count, energy=count), stream="a")

    roof = RecordingSink()
    running = threading.Thread(
        target=Supervisor(make_site(tmp_path, make_source(IteratorSource(items=items)), make_sink(roof)), stop).run
    )
    running.start()
    try:
        wait_for(lambda: len(roof.offsets) > 40, "both meters' readings")
        is_off.set()
        wait_for(lambda: any("is silent" in line for line in logged(caplog)), "the silent meter to be told")
        before = len(roof.offsets)
        wait_for(lambda: len(roof.offsets) > before + 20, "the other meter's readings")
        is_off.clear()
        wait_for(lambda: any("heard again" in line for line in logged(caplog, logging.INFO)), "its return")
    finally:
        stop.set()
        running.join()
    lines = [line for line in logged(caplog, logging.INFO) if line.startswith(f"meter {METER}")]
    assert [line.split(",")[0].split(";")[0].rsplit(" for", 1)[0] for line in lines] == [
        f"meter {METER} is silent",
        f"meter {METER} is heard again",
    ]
    assert "1 other meter of this source can be heard: check the power and the cable" in lines[0]
