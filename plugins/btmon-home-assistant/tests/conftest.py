# SPDX-License-Identifier: GPL-3.0-or-later
"""A Home Assistant as it is documented, and sinks that are closed in the end."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers.metered_house import CHANNELS
from servers.home_assistant import TOKEN, HomeAssistantApi

from btcore import Context, Duration, Secret
from btmon_home_assistant.sink import HomeAssistant


@pytest.fixture
def server() -> Iterator[HomeAssistantApi]:
    """Run one for one test."""
    with HomeAssistantApi() as running:
        yield running


@pytest.fixture
def opened(server: HomeAssistantApi) -> Callable[..., HomeAssistant]:
    """Open sinks that write to it, unless the settings say otherwise."""

    def open_sink(*, context: Context | None = None, **settings: Any) -> HomeAssistant:  # noqa: ANN401 - any setting
        sink = HomeAssistant(
            **{"url": server.url, "token": Secret(TOKEN), "timeout": Duration(10), **settings},
        )
        names = {key: one.name for key, one in CHANNELS.items()}
        log = logging.getLogger("sink.test")
        sink.open(context or Context("sink.test", log, channels=names, channel_descriptions=CHANNELS))
        return sink

    return open_sink
