# SPDX-License-Identifier: GPL-3.0-or-later
"""A server for each test that asks for one, the command that makes a stream, and sinks and sources that are closed."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from helpers.needed import need
from servers.nats_cluster import MISSING, NatsCluster, NatsServer

from btcore import Batch, Context, Reading, Table
from btcore.cli import OK, main
from btcore.testing import wait_for
from btmon_nats.answering import Answering
from btmon_nats.connection import Connection
from btmon_nats.sink import Nats
from btmon_nats.source import NatsStream
from btmon_sqlite.sink import Sqlite


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


@pytest.fixture
def archive() -> Callable[..., AbstractContextManager[list[str]]]:
    """Answer for an archive that has some readings, in a thread; what it says is yielded."""
    return answering_archive


@contextmanager
def answering_archive(folder: Path, url: str, stored: tuple[Reading, ...], **login: Any) -> Iterator[list[str]]:  # noqa: ANN401 - any setting
    """Answer for an archive that has some readings; yield what it says."""
    make: Any = Sqlite
    sink = make(file=folder / "archive.db")
    sink.open(Context("sink.db", logging.getLogger("sink.db")))
    if stored:
        sink.process_batch(Batch(stored))
    sink.close()
    make_login: Any = NatsStream
    said: list[str] = []
    connection = Connection(make_login(servers=[url], timeout=5.0, **login), "archive")
    answering = Answering(connection, "energy", Table("sink.db", "sink", make(file=folder / "archive.db")), said.append)
    stop = Event()
    thread = Thread(target=answering.run, args=(stop,))
    with ExitStack() as stack:
        thread.start()
        stack.callback(thread.join, 10)
        stack.callback(stop.set)
        wait_for(lambda: said, "the archive to listen")
        yield said
