# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every plugin holds for the sink of MQTT, with a broker."""

import pytest
from servers.mosquitto import Mosquitto

from btcore.testing import conforms

pytestmark = pytest.mark.servers


def test_it_conforms(broker: Mosquitto) -> None:
    """It does all that a sink has to."""
    conforms("mqtt", {"host": "127.0.0.1", "port": broker.port})
