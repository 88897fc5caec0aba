# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings and samples of the recorded streams, and sinks that are closed in the end."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from btcore import Context
from btmon_sqlite.sink import Sqlite


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
