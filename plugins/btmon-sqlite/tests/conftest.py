"""Readings and samples of the recorded streams, and sinks that are closed in the end."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from btcore import Context, Packet, Reading, Sample
from btcore.calculate.samples import between
from btcore.decode.brultech import Brultech
from btmon_sqlite.sink import Sqlite

STREAMS = Path(__file__).parents[3] / "tests" / "golden" / "streams"


def read_stream(name: str) -> list[Reading]:
    """Read the packets of a recorded stream, as received at the recorded times."""
    data = (STREAMS / f"{name}.bin").read_bytes()
    readings = []
    for at in json.loads((STREAMS / f"{name}.json").read_text("utf-8"))["packets"]:
        raw = data[at["offset"] : at["offset"] + at["length"]]
        packet = Brultech().decode_packet(memoryview(raw))
        assert isinstance(packet, Packet)
        time = datetime.fromtimestamp(at["receive_time"], UTC)
        readings.append(Reading(time, packet.format, packet.serial, packet.raw))
    return readings


def make_samples(readings: Sequence[Reading]) -> list[Sample]:
    """Calculate between the readings of one meter, with btmon's sign."""
    samples = [between(*pair, "btmon") for pair in pairwise(readings)]
    return [sample for sample in samples if isinstance(sample, Sample)]


@pytest.fixture(name="stream")
def stream_fixture() -> Callable[[str], list[Reading]]:
    """Give the readings of a stream by its name."""
    return read_stream


@pytest.fixture(name="samples")
def samples_fixture() -> Callable[[Sequence[Reading]], list[Sample]]:
    """Give the samples between readings."""
    return make_samples


@pytest.fixture
def opened() -> Iterator[Callable[..., Sqlite]]:
    """Open sinks with the settings given, and close them in the end."""
    with ExitStack() as stack:

        def open_sink(*, dry_run: bool = False, **settings: Any) -> Sqlite:  # noqa: ANN401 - what a table may hold
            sink = Sqlite(**settings)
            stack.callback(sink.close)
            sink.open(Context("sink.test", logging.getLogger("sink.test"), dry_run=dry_run))
            return sink

        yield open_sink
