# SPDX-License-Identifier: GPL-3.0-or-later
"""A server for each test that asks for one, the command that makes a stream, and sinks and sources that are closed."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from helpers.needed import need
from servers.nats_cluster import MISSING, NatsCluster, NatsServer

from btcore import Context
from btcore.cli import OK, main
from btmon_nats.sink import Nats
from btmon_nats.source import NatsStream


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """Run one server with JetStream, to which everybody may come."""
    need(MISSING)
    with NatsCluster(tmp_path, 1) as cluster:
        yield cluster.servers[0]


@pytest.fixture
def setup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run `btcore nats setup` for some servers; return what it says."""

    def run(urls: list[str], *words: str, more: str = "") -> str:
        site = tmp_path / "setup.toml"
        site.write_text(f'state = "none"\n[source.simulator]\n[sink.nats]\nservers = {urls}\n{more}\n')
        assert main(["nats", "setup", "--config", str(site), *words]) == OK
        return capsys.readouterr().out

    return run


@pytest.fixture
def opened() -> Iterator[Callable[..., Any]]:
    """Open a sink or a source with the settings given, and close it in the end."""
    with ExitStack() as stack:

        def open_plugin(
            cls: type[Nats] | type[NatsStream],
            url: str,
            context: Context | None = None,
            **settings: Any,  # noqa: ANN401 - any setting
        ) -> Any:  # noqa: ANN401 - the class that was given
            make: Any = cls
            plugin = make(servers=[url], timeout=5.0, **settings)
            stack.callback(plugin.close)
            plugin.open(context or Context("sink.test", logging.getLogger("sink.test")))
            return plugin

        yield open_plugin
