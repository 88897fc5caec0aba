# SPDX-License-Identifier: GPL-3.0-or-later
"""Sinks that are closed in the end, with the real binding or a real rrdcached."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from helpers.needed import need
from servers.rrdcached import BINDING_MISSING, MISSING, Rrdcached

from btcore import Context, Polarity
from btmon_rrd.plugin import Rrd

Opened = Callable[..., Rrd]

SMALL = ["10s:6h", "1m:1d"]
"""Archives for tests that do not look at btmon's own, which take 162 MB for a GEM."""


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Open sinks with the settings given, and close them in the end."""
    with ExitStack() as stack:

        def open_sink(*, dry_run: bool = False, polarity: Polarity = "brultech", **settings: Any) -> Rrd:  # noqa: ANN401 - what a table may hold
            sink = Rrd(**{"archives": SMALL, **settings})
            stack.callback(sink.close)
            sink.open(Context("sink.test", logging.getLogger("sink.test"), polarity=polarity, dry_run=dry_run))
            return sink

        yield open_sink


@pytest.fixture
def direct(opened: Opened) -> Opened:
    """Open sinks that write by the binding, which must be there."""
    need(BINDING_MISSING)
    return opened


@pytest.fixture
def rrdcached(tmp_path: Path) -> Iterator[Rrdcached]:
    """Start rrdcached."""
    need(MISSING)
    with Rrdcached(tmp_path) as daemon:
        yield daemon


@pytest.fixture
def set_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Return a function that has this process live in a time zone."""

    def change(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield change
    monkeypatch.undo()
    time.tzset()
