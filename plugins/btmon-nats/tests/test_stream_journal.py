# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of a journal, of the one that is a stream, on three servers."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from operator import methodcaller
from pathlib import Path

import pytest
from helpers.needed import need
from helpers.property_tests import examples
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from nats.js.errors import NotFoundError
from servers.nats_cluster import MISSING, NatsCluster

from btcore import Duration
from btcore.journal import Journal
from btcore.journal.opening import open_journal
from btcore.testing.journal import JournalContract
from btcore.testing.journal_machine import contract_machine
from btmon_nats.connection import Connection
from btmon_nats.login import Login
from btmon_nats.stream import StreamPlan, bucket_of, leases_of, letters_of, make_buckets, set_up

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """Run three servers for all tests of this module."""
    need(MISSING)
    with NatsCluster(tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


def make_stream(cluster: NatsCluster, name: str, partitions: int) -> str:
    """Make a stream; return the URL of the journal that is in it."""
    connection = Connection(Login(servers=cluster.urls, timeout=Duration(15)), "test")
    plan = StreamPlan(name, partitions)
    connection.use(lambda stream: set_up(stream, plan))
    connection.use(lambda stream: make_buckets(stream, plan), 60)
    connection.close()
    hosts = ",".join(url.removeprefix("nats://") for url in cluster.urls)
    return f"nats://{hosts}/{name}?partitions={partitions}&timeout=15"


def remove_stream(cluster: NatsCluster, name: str) -> None:
    """Remove a stream, and what archives remember of it: a cluster has room for a few."""
    connection = Connection(Login(servers=cluster.urls, timeout=Duration(15)), "test")
    for one in (name, *(f"KV_{bucket(name)}" for bucket in (bucket_of, letters_of, leases_of))):
        with suppress(NotFoundError):
            connection.use(methodcaller("delete_stream", one))
    connection.close()


class StreamContract(JournalContract):
    """The contract. A stream drops what is too old, or too much, by its own limits, and none of it is changed."""

    forgets = False
    restamps = False
    partitions = 1

    @pytest.fixture(autouse=True)
    def stream(self, cluster: NatsCluster, tmp_path: Path) -> Iterator[None]:
        """Make a stream of its own for each test."""
        name = f"s{abs(hash(str(tmp_path)))}"
        (tmp_path / "url").write_text(make_stream(cluster, name, self.partitions))
        yield
        remove_stream(cluster, name)

    def open_journal(self, folder: Path) -> Journal:
        """Open the journal in the test's stream."""
        return open_journal((folder / "url").read_text(), folder)


class TestOnePartition(StreamContract):
    """A stream with one partition."""


class TestThreePartitions(StreamContract):
    """A stream with three."""

    partitions = 3


def open_fresh(cluster: NatsCluster, folder: Path) -> Journal:
    """Open the journal that belongs to a folder; make its stream the first time."""
    file = folder / "url"
    if not file.exists():
        file.write_text(make_stream(cluster, f"m{abs(hash(str(folder)))}", 2))
    return open_journal(file.read_text(), folder)


def test_the_model_holds(cluster: NatsCluster) -> None:
    """Any operations in any order, with deaths and reopenings between them, do what the model says."""
    machine = contract_machine(partial(open_fresh, cluster), forgets=False)

    class Removed(machine):  # type: ignore[misc, valid-type]
        """The same, that leaves nothing in the cluster."""

        def teardown(self) -> None:
            """Remove the stream too."""
            name = f"m{abs(hash(self.folder.name))}"
            super().teardown()
            remove_stream(cluster, name)

    run_state_machine_as_test(
        Removed, settings=settings(max_examples=examples(3), stateful_step_count=15, deadline=None)
    )
