# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that lags behind, as it was frozen, and then the death of the leader: what was acknowledged is there."""

import os
import signal
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers.needed import need
from servers.nats_cluster import MISSING, NatsCluster

from btcore import FORMATS, Batch, Reading, Retry
from btcore.journal import START, Entry, Unavailable
from btcore.journal.opening import open_journal
from btcore.testing import wait_for
from btmon_nats.sink import Nats

pytestmark = pytest.mark.servers

NUMBERS = tuple(0 for _ in FORMATS["ecm1220bin"].labels)
FIRST = datetime(2026, 6, 21, tzinfo=UTC)


def batch(number: int) -> Batch:
    """Return a batch of ten readings of ten meters."""
    time, form = FIRST + timedelta(seconds=number), FORMATS["ecm1220bin"]
    return Batch(tuple(Reading(time, form, f"3{meter:05}", b"", numbers=NUMBERS) for meter in range(10)))


def test_what_a_lagging_server_missed_is_not_lost(
    tmp_path: Path, setup: Callable[..., str], opened: Callable[..., Any]
) -> None:
    """Two of three servers acknowledge while one is frozen; it runs again, the leader dies: all is there, in order."""
    need(MISSING)
    with NatsCluster(tmp_path, 3) as cluster:
        setup(cluster.urls, "--partitions", "4")
        leader = cluster.leader_of("energy")
        lagging, third = (server for server in cluster.servers if server is not leader)
        sink = opened(Nats, third.url)

        def publish(first: int) -> None:
            for number in range(first, first + 30):
                wait_for(partial(is_taken, sink, batch(number)), "the cluster to take a batch")

        publish(0)
        assert lagging._process is not None
        os.kill(lagging._process.pid, signal.SIGSTOP)
        try:
            publish(30)
        finally:
            os.kill(lagging._process.pid, signal.SIGCONT)
        leader.kill()
        publish(60)
        found: list[Entry] = []

        def is_read() -> bool:
            try:
                with closing(open_journal(f"{third.url}/energy?partitions=4", tmp_path)) as journal:
                    found[:] = journal.read(START, 10_000)
            except Unavailable:  # the buckets have to choose another leader too
                return False
            return True

        wait_for(is_read, "the journal to be read")
    keys: dict[str, list[int]] = {}
    for entry in found:
        keys.setdefault(entry.serial, []).append(entry.key)
    expected = [round((FIRST + timedelta(seconds=number)).timestamp() * 1e6) for number in range(90)]
    assert keys == {f"3{meter:05}": expected for meter in range(10)}


def is_taken(sink: Nats, one: Batch) -> bool:
    """Publish a batch, as the core does."""
    try:
        sink.process_batch(one)
    except Retry:
        return False
    return True
