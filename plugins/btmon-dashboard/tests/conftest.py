# SPDX-License-Identifier: GPL-3.0-or-later
"""Dashboards that are closed in the end, and the local time zone."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.plugin_calls import make_context

from btcore import ChannelDescription, Tariff
from btmon_dashboard.sink import Dashboard


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Dashboard]]:
    """Open dashboards at any free port, and close them in the end."""
    with ExitStack() as stack:

        def open_sink(
            names: dict[str, str] | None = None,
            status: Callable[[], dict[str, Any]] = dict,
            letters: Callable[[Any], Any] = lambda _request: {"letters": []},
            tariff: Tariff | None = None,
            descriptions: Mapping[str, ChannelDescription] | None = None,
            **settings: Any,  # noqa: ANN401 - of any kind
        ) -> Dashboard:
            sink = Dashboard(**{"file": tmp_path / "dashboard.db", "port": 0, **settings})
            stack.callback(sink.close)
            described = {name: ChannelDescription(name=text) for name, text in (names or {}).items()}
            context = attrs.evolve(
                make_context(),
                channels=names or {},
                channel_descriptions=described | dict(descriptions or {}),
                polarity="brultech",
                site_status=status,
                dead_letters=letters,
                tariff=tariff,
            )
            sink.open(context)
            return sink

        yield open_sink


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Set the time zone of this process, until the test ends."""

    def set_zone(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_zone
    monkeypatch.undo()
    time.tzset()
