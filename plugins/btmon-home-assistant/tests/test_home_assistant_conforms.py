# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every plugin holds for the sink of Home Assistant."""

from servers.home_assistant import TOKEN, HomeAssistantApi

from btcore.testing import conforms


def test_it_conforms(server: HomeAssistantApi) -> None:
    """It does all that a sink has to."""
    conforms("home-assistant", {"url": server.url, "token": TOKEN})
