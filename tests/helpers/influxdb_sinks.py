# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a sink for each time series database of the tests, and a batch for it."""

from typing import Any

from servers.influxdb_api import TOKEN, InfluxDB2, InfluxDB3
from servers.time_series_servers import TimeSeriesServer, VictoriaMetrics

from btcore import Batch, Polarity, Secret
from btcore.testing import HostedService
from helpers.golden_streams import recorded_readings
from helpers.samplers import samples_between


def settings_for(server: HostedService | TimeSeriesServer, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - what a table may hold
    """Return the settings of a sink that writes to one of these servers."""
    if isinstance(server, InfluxDB2):
        own = {"server": "influxdb-2", "org": server.org, "bucket": server.bucket, "token": Secret(TOKEN)}
    elif isinstance(server, InfluxDB3):
        own = {"server": "influxdb-3", "database": "house", "token": Secret(TOKEN)}
    elif isinstance(server, VictoriaMetrics):
        own = {"server": "victoriametrics", "database": "house"}
    else:
        own = {"server": "influxdb-1", "database": "house"}
    return {"url": server.url, **own, **more}


def recorded_batch(stream: str = "ecm1240bin_steady", polarity: Polarity = "brultech") -> Batch:
    """Return the readings of a recorded stream, and the samples between them."""
    readings = recorded_readings(stream)
    return Batch(tuple(readings), tuple(samples_between(readings, polarity)))
