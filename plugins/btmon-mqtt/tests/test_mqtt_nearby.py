# SPDX-License-Identifier: GPL-3.0-or-later
"""A broker on this computer is found, and whether it wants a user."""

from pathlib import Path

import pytest
from helpers.needed import needs
from servers.mosquitto import MISSING, Mosquitto

from btcore.testing import free_port
from btmon_mqtt.nearby import discover

pytestmark = [pytest.mark.servers, needs(MISSING)]

TIMEOUT = 15.0


def test_an_open_broker_is_found(tmp_path: Path) -> None:
    """Nobody is asked for a user, only whether Home Assistant is to learn of the meters."""
    with Mosquitto(tmp_path) as broker:
        (found,) = discover(broker.port, TIMEOUT)
    assert (found.is_present, found.ask, found.settings) == (True, ("homeassistant",), {"host": "localhost"})


def test_a_broker_that_wants_a_user_says_so(tmp_path: Path) -> None:
    """User and password are asked for, and the text says why."""
    with Mosquitto(tmp_path, users={"btcore": "secret"}) as broker:
        (found,) = discover(broker.port, TIMEOUT)
    assert found.ask == ("user", "password", "homeassistant")
    assert "wants a user" in found.text


def test_without_a_broker_one_elsewhere_is_possible() -> None:
    """Where nothing answers, the address is asked for, too."""
    (found,) = discover(free_port(), TIMEOUT)
    assert (found.is_present, found.ask[0]) == (False, "host")
