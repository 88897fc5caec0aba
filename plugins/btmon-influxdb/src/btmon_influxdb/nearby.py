# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of these servers run on this computer: a request that reads their version. Nothing is written.

InfluxDB of each version tells its own in the header X-Influxdb-Version of `/ping`. VictoriaMetrics has its own port.
"""

from collections.abc import Iterator

from btcore import Discovered, Reject, Retry, Stop
from btcore.web import Answer, Client
from btmon_influxdb.servers import Kind

INFLUXDB, VICTORIAMETRICS = "http://localhost:8086", "http://localhost:8428"

VERSION = "x-influxdb-version"

ACCOUNTS: dict[Kind, tuple[str, ...]] = {
    "influxdb-1": ("database", "user", "password"),
    "influxdb-2": ("org", "bucket", "token"),
    "influxdb-3": ("database", "token"),
    "victoriametrics": (),
}
"""What the person is asked for."""


def discover(timeout: float, influxdb: str = INFLUXDB, victoriametrics: str = VICTORIAMETRICS) -> Iterator[Discovered]:
    """Yield each server that answers."""
    client = Client(agent="btmon-influxdb", timeout=timeout)
    try:
        version = _get(client, f"{influxdb}/ping").headers.get(VERSION, "").lstrip("v")
        if server := _server(version):
            yield _offer(f"InfluxDB {version} on this computer", influxdb, server)
        if _get(client, f"{victoriametrics}/health").line == "OK":
            yield _offer("VictoriaMetrics on this computer", victoriametrics, "victoriametrics")
    finally:
        client.close()


def _server(version: str) -> Kind | None:
    kinds: dict[str, Kind] = {"1": "influxdb-1", "2": "influxdb-2", "3": "influxdb-3"}
    return kinds.get(version.partition(".")[0])


def _offer(text: str, url: str, server: Kind) -> Discovered:
    return Discovered(kind="sink", text=text, settings={"url": url, "server": server}, ask=ACCOUNTS[server])


def _get(client: Client, url: str) -> Answer:
    """Return the answer to a request; an empty one where there is none."""
    try:
        return client.send("GET", url)
    except (Retry, Reject, Stop):
        return Answer(0, "")
