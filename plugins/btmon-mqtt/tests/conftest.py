# SPDX-License-Identifier: GPL-3.0-or-later
"""A broker for each test that asks for one, certificates for all of a run, and sinks that are closed in the end."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from helpers.needed import need
from servers.mosquitto import MISSING, Certificates, Mosquitto

from btcore import Context
from btmon_mqtt.sink import Mqtt


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Run a broker that everybody may use."""
    need(MISSING)
    with Mosquitto(tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Make an authority and what it has signed."""
    need(MISSING)
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def opened() -> Iterator[Callable[..., Mqtt]]:
    """Open sinks with the settings given, and close them in the end."""
    with ExitStack() as stack:

        def open_sink(port: int, *, context: Context | None = None, **settings: Any) -> Mqtt:  # noqa: ANN401 - any setting
            sink = Mqtt(**{"host": "127.0.0.1", "port": port, **settings})
            stack.callback(sink.close)
            sink.open(context or Context("sink.test", logging.getLogger("sink.test"), polarity="btmon"))
            return sink

        yield open_sink
