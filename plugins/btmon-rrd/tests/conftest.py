"""Sinks that are closed in the end, a real rrdcached, and what is in files."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from btcore import Context, Polarity
from btmon_rrd.plugin import Rrd


@pytest.fixture
def opened() -> Iterator[Callable[..., Rrd]]:
    """Open sinks with the settings given, and close them in the end."""
    with ExitStack() as stack:

        def open_sink(*, dry_run: bool = False, polarity: Polarity = "btmon", **settings: Any) -> Rrd:  # noqa: ANN401 - what a table may hold
            sink = Rrd(**settings)
            stack.callback(sink.close)
            sink.open(Context("sink.test", logging.getLogger("sink.test"), polarity=polarity, dry_run=dry_run))
            return sink

        yield open_sink
