# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of btmon-pvoutput share: a server, a sink that sends to it, and samples made by hand."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from servers.pvoutput import PVOutputServer

from btcore import FORMATS, ChannelRef, Context, Duration, Number, Polarity, Reading, Sample, Secret
from btcore.testing import Clock
from btmon_pvoutput.future_statuses import FuturePolicy
from btmon_pvoutput.sink import PVOutput, describe_time_zone

NOON = datetime(2024, 6, 1, 12, 0, tzinfo=UTC).timestamp()
"""A moment at the end of a slot, in seconds since 1970."""


@pytest.fixture
def clock() -> Clock:
    """Stand at noon, and half a minute."""
    return Clock(NOON + 30)


@pytest.fixture
def server(clock: Clock) -> Iterator[PVOutputServer]:
    """Run a PVOutput whose time is the clock's."""
    with PVOutputServer(clock=clock) as running:
        yield running


MakeSink = Callable[..., PVOutput]


@pytest.fixture
def make_sink(clock: Clock) -> Iterator[MakeSink]:
    """Make opened sinks with these settings; `interval` and `polarity` are the core's. They wait by the clock."""
    made: list[PVOutput] = []

    def make(
        server: PVOutputServer | None = None, interval: float = 300, polarity: Polarity = "brultech", **settings: object
    ) -> PVOutput:
        given: dict[str, Any] = {"api_key": Secret("k3y"), "system_id": "12345"}
        given |= {"zone": "UTC", "generation": ChannelRef("01000010", "ch2")}
        if server is not None:
            given |= {"api_key": Secret(server.key), "system_id": server.system, "url": server.url}
        sink = PVOutput(**(given | settings))
        context = Context("sink.roof", logging.getLogger("sink.roof"), polarity=polarity, interval=Duration(interval))
        sink.open(context)
        sink._client._clock = clock
        sink._client._future = FuturePolicy(interval, describe_time_zone(sink.zone), clock, clock)
        made.append(sink)
        return sink

    yield make
    for sink in made:
        sink.close()


MakeSample = Callable[..., Sample]


@pytest.fixture(scope="session")
def make_sample() -> MakeSample:
    """Make a sample of a meter that ends at `end` (seconds since 1970), with these calculated and measured numbers."""

    def make(
        end: float = NOON,
        serial: str = "01000010",
        format: str = "gem48ptbin",
        measured: dict[str, Number] | None = None,
        **calculated: Number,
    ) -> Sample:
        kind = FORMATS[format]
        numbers = tuple({"secs": 0, **(measured or {})}.get(label) for label in kind.labels)
        older, newer = (
            Reading(datetime.fromtimestamp(moment, UTC), kind, serial, b"", numbers=numbers)
            for moment in (end - 300, end)
        )
        # a meter that never began anew: the counters that go on are its own
        totals = {f"{label}_total": number for label, number in calculated.items() if label.endswith("wh")}
        return Sample(older, newer, 300, reset=False, calculate=lambda: {**totals, **calculated})

    return make
