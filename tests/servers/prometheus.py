# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Prometheus and VictoriaMetrics for tests: each with a directory and a port of its own, and PromQL to ask them.

    with Prometheus(scrape="127.0.0.1:9465") as server:
        server.query("energy_power_watts")

They are stopped at the end of the block. A test that uses them is marked `servers`.
"""

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from servers.database_servers import DatabaseServer

MISSING_PROMETHEUS = "" if shutil.which("prometheus") else "apt install prometheus: it is missing"
MISSING_VICTORIA = "" if shutil.which("victoria-metrics") else "apt install victoria-metrics: it is missing"
"""Why a server cannot be started; "" if it can."""

Series = frozenset[tuple[str, str]]
"""The labels of a series."""


class MetricsServer(DatabaseServer):
    """A server that answers PromQL."""

    path = ""
    """The path that answers once it is up."""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def write_url(self) -> str:
        """Where it takes remote-write."""
        return f"{self.url}/api/v1/write"

    def is_up(self) -> bool:
        """Whether it answers."""
        with suppress(OSError), urllib.request.urlopen(f"{self.url}{self.path}", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def query(self, promql: str, time: float | None = None) -> list[dict[str, Any]]:
        """Return the series that a query finds, each with `metric` and `value` or `values`."""
        form = {"query": promql} | ({"time": str(time)} if time is not None else {})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{urlencode(form)}", timeout=20) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found

    def samples(self, metric: str, since: float, until: float) -> dict[Series, list[tuple[int, float]]]:
        """Return all samples of a metric between two times, by the labels of its series: milliseconds and value."""
        found = self.query(f"{metric}[{round(until - since) + 2}s]", until + 1)
        return {
            frozenset((name, text) for name, text in one["metric"].items() if name != "__name__"): [
                (round(float(time) * 1000), float(value)) for time, value in one["values"]
            ]
            for one in found
        }


class Prometheus(MetricsServer):
    """Prometheus: it scrapes an address each second, if there is one, and takes remote-write.

    `out_of_order`: how old samples may be that come behind newer ones, such as "1h".
    """

    path = "/-/ready"

    def __init__(self, *, scrape: str = "", out_of_order: str = "", receiver: bool = True) -> None:
        """Choose a port; nothing is started yet."""
        super().__init__()
        self._receiver = ["--web.enable-remote-write-receiver"] if receiver else []
        self._settings = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "energy", "static_configs": [{"targets": [scrape]}]}] if scrape else [],
            "storage": {"tsdb": {"out_of_order_time_window": out_of_order}} if out_of_order else {},
        }

    def create(self) -> None:
        """Write the configuration: JSON is YAML."""
        (self.folder / "prometheus.yml").write_text(json.dumps(self._settings))

    def command(self) -> Sequence[str]:
        """Return the command that is the server."""
        return [
            "prometheus",
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
            *self._receiver,
        ]


class VictoriaMetrics(MetricsServer):
    """VictoriaMetrics, as one process."""

    path = "/health"

    def create(self) -> None:
        """Create nothing: it does that."""

    def command(self) -> Sequence[str]:
        """Return the command that is the server."""
        return [
            "victoria-metrics",
            f"-storageDataPath={self.folder / 'data'}",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            *("-search.latencyOffset=0s", "-retentionPeriod=100y", "-memory.allowedBytes=64MB"),
            *("-loggerLevel=WARN", "-search.disableCache", "-http.maxGracefulShutdownDuration=1s"),
        ]

    def flush(self) -> None:
        """Make all that was written visible."""
        with urllib.request.urlopen(f"{self.url}/internal/force_flush", timeout=20):
            pass
