# SPDX-License-Identifier: GPL-3.0-or-later
"""Sinks that are opened with the settings given, and closed in the end."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import attrs
import pytest
from helpers.plugin_calls import make_context

Opened = Callable[..., Any]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Open sinks of a class."""
    with ExitStack() as stack:

        def make(kind: type, names: dict[str, str] | None = None, **settings: Any) -> Any:  # noqa: ANN401 - any sink
            sink = kind(**settings)
            stack.callback(sink.close)
            sink.open(attrs.evolve(make_context(), channels=names or {}, polarity="brultech"))
            return sink

        yield make
