# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures how many topics a second go to a real mosquitto, acknowledged: those of a GEM with all its numbers."""

import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

from helpers.golden_streams import recorded_readings
from helpers.samplers import samples_between
from servers.mosquitto import MISSING, Mosquitto

from btcore import Batch, Context
from btmon_mqtt.sink import Mqtt

ROUNDS = 10

LEVELS: tuple[Literal[0], Literal[1], Literal[2]] = (0, 1, 2)


def measure(broker: Mosquitto, qos: Literal[0, 1, 2]) -> float:
    """Return the topics that are published in a second."""
    readings = recorded_readings("gem48pbin_steady")
    batch = Batch(tuple(readings), tuple(samples_between(readings)))
    sink = Mqtt(host="127.0.0.1", port=broker.port, qos=qos)
    sink.open(Context("sink.mqtt", logging.getLogger("bench")))
    topics = ROUNDS * len(list(sink.preview_batch(batch)))
    started = time.perf_counter()
    for _ in range(ROUNDS):
        sink.process_batch(batch)
    taken = time.perf_counter() - started
    sink.close()
    return topics / taken


def main() -> int:
    """Print the figures."""
    if MISSING:
        print(MISSING)
        return 0
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name)) as broker:
        for qos in LEVELS:
            print(f"{f'MQTT: topics a second, qos {qos}':<32} {measure(broker, qos):10.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
