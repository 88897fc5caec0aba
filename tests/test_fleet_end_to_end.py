# SPDX-License-Identifier: GPL-3.0-or-later
"""Two houses, three NATS servers and an archive, as processes: whatever is killed, it has each reading once."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs
import psycopg
import pytest
from helpers.database_rows import JOURNAL_FILE, table_rows
from helpers.needed import need
from nats.js import JetStreamContext
from servers.database_servers import PostgreSQL
from servers.nats_cluster import MISSING, NatsCluster

from btcore.testing import BtcoreProcess, wait_for
from btmon_nats.connection import Connection
from btmon_nats.login import Login as NatsLogin
from btmon_nats.messages import decode

pytestmark = pytest.mark.servers

HOUSES = {"house-1": ("01000101", "01000102"), "house-2": ("01000201",)}
METERS = [serial for meters in HOUSES.values() for serial in meters]
ENOUGH = 3
"""Readings of each meter that have to arrive after each blow."""

RETRY = 'timeout = "5s"\nmin_backoff = "100ms"\nmax_backoff = "1s"'


def house(name: str, urls: list[str], *, has_meters: bool = True) -> str:
    """Return the configuration of a house, whose meters may have gone."""
    meters = f'serial = "{HOUSES[name][0]}"\ncount = {len(HOUSES[name])}\ninterval = "1s"'
    source = f"[source.simulator]\n{meters}" if has_meters else '[source.file]\npath = "none.bin"'
    return f'state = "state"\n{source}\n[sink.nats]\nservers = {urls}\npublisher = "{name}"\n{RETRY}\n'


def archive(urls: list[str], database: str) -> str:
    """Return the configuration of the archive, which knows whose meters are whose."""
    publishers = ", ".join(f'"{name}" = {list(meters)}' for name, meters in HOUSES.items())
    source = f'use = "nats-stream"\nservers = {urls}\npublishers = {{ {publishers} }}\n{RETRY}'
    sink = f'use = "sql"\nurl = "{database}"\nflush_interval = 0\ntable = "readings"'
    return f'state = "state"\n[source.fleet]\n{source}\n[sink.store]\n{sink}\n'


@attrs.define
class Fleet:
    """The houses and the archive, each with a folder of its own."""

    folder: Path
    urls: list[str]
    database: PostgreSQL
    stack: ExitStack
    running: dict[str, BtcoreProcess] = attrs.field(factory=dict)

    @property
    def archive(self) -> str:
        """The configuration of the archive."""
        return archive(self.urls, f"postgresql+psycopg://btcore:secret@127.0.0.1:{self.database.port}/energy")

    def place(self, name: str) -> Path:
        """Return the folder of a house or of the archive."""
        (self.folder / name).mkdir(exist_ok=True)
        return self.folder / name

    def start(self, name: str) -> None:
        """Start a house or the archive."""
        site = self.archive if name == "archive" else house(name, self.urls)
        self.running[name] = self.stack.enter_context(BtcoreProcess(self.place(name), site))

    def kill(self, name: str) -> None:
        """Kill it, at any moment."""
        self.running[name].process.kill()
        self.running[name].process.wait()

    def stop(self, name: str) -> None:
        """Stop it as a service manager does."""
        assert self.running[name].stop() == 0, self.running[name].log

    def run(self, name: str, *words: str) -> str:
        """Run a command of btcore there, to its end; return what it says."""
        command = [sys.executable, "-m", "btcore", *words]
        done = subprocess.run(command, cwd=self.place(name), capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def drain(self, name: str) -> None:
        """Stop a house, and deliver what waits there."""
        self.stop(name)
        (self.place(name) / "site.toml").write_text(house(name, self.urls, has_meters=False))
        (self.place(name) / "none.bin").write_bytes(b"")
        self.run(name, "run", "--once", "--quiet")

    def journalled(self, *names: str) -> dict[str, list[int]]:
        """Return the keys of each meter's readings in the journals of these, in their order; none is there twice."""
        found: dict[str, list[int]] = {}
        for name in names:
            for serial, key in table_rows(self.place(name) / JOURNAL_FILE, "entry ORDER BY offset", "serial, key"):
                found.setdefault(serial, []).append(key)
        assert all(keys == sorted(set(keys)) for keys in found.values())
        return found

    def stored(self) -> Counter[str]:
        """Return how many readings of each meter the archive's database has."""
        try:
            return Counter(dict(self.database.sql("SELECT serial, COUNT(*) FROM readings GROUP BY serial", "energy")))
        except psycopg.Error:  # there is no table yet
            return Counter()

    def wait_for_more(self) -> None:
        """Wait until more of every meter has arrived."""
        before = self.stored()
        wait_for(lambda: all(self.stored()[one] >= before[one] + ENOUGH for one in METERS), "more of each meter")

    def wait_for_stored(self, sent: dict[str, list[int]]) -> None:
        """Wait until the database has as many as were sent."""
        wait_for(lambda: self.stored().total() >= sum(map(len, sent.values())), "all to be stored")

    def published(self) -> int:
        """Return how many readings the stream has."""
        connection = Connection(NatsLogin(servers=self.urls), "test")
        try:
            return connection.use(readings_in)
        finally:
            connection.close()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Answer for the archive which readings it has."""
        command = [sys.executable, "-m", "btcore", "nats", "answer"]
        with subprocess.Popen(command, cwd=self.place("archive"), stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            try:
                assert "answering for stream energy" in process.stderr.readline()
                yield
            finally:
                process.kill()

    def wait_for_all(self, sent: dict[str, list[int]]) -> None:
        """Wait until the archive has as many as were sent; they are those, once and in order."""
        self.wait_for_stored(sent)
        self.stop("archive")
        assert self.journalled("archive") == sent
        assert self.stored() == {serial: len(keys) for serial, keys in sent.items()}


async def readings_in(stream: JetStreamContext) -> int:
    """Return how many readings the stream has."""
    reader, count = await stream.pull_subscribe("energy.*.*", stream="energy"), 0
    for _ in range((await stream.stream_info("energy")).state.messages):
        (message,) = await reader.fetch(1, timeout=10)
        count += len(decode(message.data))
    return count


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    """Run three servers."""
    need(MISSING)
    with NatsCluster(tmp_path) as servers:
        yield servers


@pytest.fixture
def fleet(tmp_path: Path, cluster: NatsCluster) -> Iterator[Fleet]:
    """Run two houses and the archive."""
    with ExitStack() as stack, PostgreSQL() as database:
        database.sql("CREATE USER btcore PASSWORD 'secret' CREATEDB")
        fleet = Fleet(tmp_path, cluster.urls, database, stack)
        (fleet.place("archive") / "site.toml").write_text(fleet.archive)
        assert "made" in fleet.run("archive", "nats", "setup")
        for name in (*HOUSES, "archive"):
            fleet.start(name)
        fleet.wait_for_more()
        yield fleet


def test_whatever_is_killed_each_reading_arrives_once(fleet: Fleet, cluster: NatsCluster) -> None:
    """The stream's leader, the archive, a house, all servers at once: each reading is in the archive, in order."""
    leader = cluster.leader_of("energy")
    leader.kill()
    fleet.wait_for_more()
    leader.start()
    for name in ("archive", "house-1"):
        fleet.kill(name)
        fleet.start(name)
    fleet.wait_for_more()
    for server in cluster.servers:
        server.kill()
    for server in cluster.servers:
        server.start()
    fleet.wait_for_more()
    for name in HOUSES:
        fleet.drain(name)
    fleet.wait_for_all(fleet.journalled(*HOUSES))


def test_a_lost_cluster_is_filled_from_the_houses(fleet: Fleet, cluster: NatsCluster, tmp_path: Path) -> None:
    """Where the cluster lost its disks, one command in each house brings what the archive lacks, and nothing else."""
    before = fleet.stored()
    fleet.stop("archive")
    wait_for(lambda: fleet.published() >= before.total() + ENOUGH, "more in the stream than in the archive")
    for name in HOUSES:
        fleet.drain(name)
    for server in cluster.servers:
        server.kill()
        shutil.rmtree(tmp_path / server.name)
    for server in cluster.servers:
        server.start()
    wait_for(cluster.is_ready, "the cluster to choose a leader")
    assert "made" in fleet.run("archive", "nats", "setup")
    fleet.start("archive")
    sent = fleet.journalled(*HOUSES)
    with fleet.answering():
        for name in HOUSES:
            assert "in neither" in fleet.run(name, "nats", "gaps", "--fill")
        fleet.wait_for_stored(sent)
        published = fleet.published()
        assert published < sum(map(len, sent.values())), "what the archive had is not published again"
        for name in HOUSES:
            assert ", 0 in neither" in fleet.run(name, "nats", "gaps", "--fill")
        assert fleet.published() == published
    fleet.wait_for_all(sent)
