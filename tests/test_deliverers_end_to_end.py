# SPDX-License-Identifier: GPL-3.0-or-later
"""Two houses, three NATS servers and three deliverers, as processes: each reading is in PostgreSQL once, in order."""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import attrs
import pytest
from helpers.database_rows import JOURNAL_FILE, table_rows
from helpers.needed import need
from servers.database_servers import PostgreSQL
from servers.nats_cluster import MISSING, NatsCluster

from btcore import BtcoreError, Duration
from btcore.control.client import ask_once
from btcore.journal import START, DeadLetter
from btcore.journal.opening import open_journal
from btcore.testing import BtcoreProcess, free_port, wait_for
from btmon_nats.connection import Connection
from btmon_nats.login import Login

pytestmark = pytest.mark.servers

HOUSES = {"house-1": ("01000101", 4), "house-2": ("01000201", 4)}
"""The first meter of each house, and how many it has."""

METERS = 8
PARTITIONS = 8
"""Each has one of the meters."""
ENOUGH = 3
"""Readings of each meter that have to arrive after each blow."""

RETRY = 'min_backoff = "100ms"\nmax_backoff = "1s"'

ROWS = "SELECT serial, time_created FROM readings ORDER BY id"


@attrs.define
class Archive:
    """The houses and the deliverers, each with a folder of its own."""

    folder: Path
    cluster: NatsCluster
    database: PostgreSQL
    stack: ExitStack
    metrics_port: int = attrs.field(factory=free_port)
    running: dict[str, BtcoreProcess] = attrs.field(factory=dict)

    def place(self, name: str) -> Path:
        """Return the folder of a house or of a deliverer."""
        (self.folder / name).mkdir(exist_ok=True)
        return self.folder / name

    def house(self, name: str, *, has_meters: bool = True) -> str:
        """Return the configuration of a house, whose meters may have gone."""
        first, count = HOUSES[name]
        source = f'[source.simulator]\nserial = "{first}"\ncount = {count}\ninterval = "1s"'
        source = source if has_meters else '[source.file]\npath = "none.bin"'
        sink = f'[sink.nats]\nservers = {self.cluster.urls}\npublisher = "{name}"\ntimeout = "5s"\n{RETRY}'
        return f'state = "state"\n{source}\n{sink}\n'

    def deliverer(self, more: str = "") -> str:
        """Return the configuration of a deliverer, which has no source; `more` are further tables."""
        hosts = ",".join(url.removeprefix("nats://") for url in self.cluster.urls)
        url = f"postgresql://btcore@127.0.0.1:{self.database.port}/energy"
        return (
            f'state = "state"\njournal = "nats://{hosts}/energy?partitions={PARTITIONS}"\n'
            f'[sink.store]\nuse = "sql"\nurl = "{url}"\npassword = "secret"\ntable = "readings"\nflush_interval = 0\n'
            f"only_live = false\n{RETRY}\n{more}"
        )

    def start(self, name: str, more: str = "") -> None:
        """Start a house or a deliverer."""
        site = self.house(name) if name in HOUSES else self.deliverer(more)
        self.running[name] = self.stack.enter_context(BtcoreProcess(self.place(name), site))

    def signal(self, name: str, number: int) -> None:
        """Send a signal to one."""
        os.kill(self.running[name].process.pid, number)

    def kill(self, name: str) -> None:
        """Kill one, at any moment."""
        self.running[name].process.kill()
        self.running[name].process.wait()

    def run(self, name: str, *words: str) -> str:
        """Run a command of btcore there, to its end; return what it prints."""
        command = [sys.executable, "-m", "btcore", *words]
        done = subprocess.run(command, cwd=self.place(name), capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def drain(self, name: str) -> None:
        """Stop a house, and deliver what waits there."""
        assert self.running[name].stop() == 0, self.running[name].log
        (self.place(name) / "site.toml").write_text(self.house(name, has_meters=False))
        (self.place(name) / "none.bin").write_bytes(b"")
        self.run(name, "run", "--once", "--quiet")

    def journalled(self) -> dict[str, int]:
        """Return how many readings of each meter are in the journals of the houses."""
        found: dict[str, int] = defaultdict(int)
        for name in HOUSES:
            for (serial,) in table_rows(self.place(name) / JOURNAL_FILE, "entry", "serial"):
                found[serial] += 1
        return dict(found)

    def stored(self) -> dict[str, list[int]]:
        """Return the times of each meter's readings in the database, in the order in which they came."""
        found: dict[str, list[int]] = defaultdict(list)
        for serial, time in self.database.sql(ROWS, "energy"):
            found[serial].append(time)
        return dict(found)

    def counts(self) -> dict[str, int]:
        """Return how many of each meter are in the database."""
        return {serial: len(times) for serial, times in self.stored().items()}

    def wait_for_more(self, what: str) -> None:
        """Wait until more of every meter has arrived."""
        before = self.counts()
        wait_for(
            lambda: len(now := self.counts()) == METERS and all(now[one] >= before.get(one, 0) + ENOUGH for one in now),
            f"more of each meter after {what}",
        )

    def partitions(self, name: str) -> list[int]:
        """Return which partitions a deliverer says that it works."""
        try:
            found = ask_once(self.place(name) / "state", "status")
        except BtcoreError:  # it is not up yet
            return []
        return list(found["status"]["sinks"][0]["partitions"])

    def wait_for_shares(self, *names: str) -> None:
        """Wait until these deliverers share all partitions evenly, each worked by one."""

        def is_shared() -> bool:
            found = [self.partitions(name) for name in names]
            is_fair = max(map(len, found)) - min(map(len, found)) <= 1
            return is_fair and sorted(itertools.chain.from_iterable(found)) == list(range(PARTITIONS))

        wait_for(is_shared, f"{names} to share the partitions")


@contextmanager
def archive_on(folder: Path, servers: int) -> Iterator[Archive]:
    """Run so many servers, a database, two houses and two deliverers."""
    need(MISSING)
    with NatsCluster(folder, servers) as cluster, PostgreSQL() as database, ExitStack() as stack:
        database.sql("CREATE USER btcore PASSWORD 'secret'")
        database.sql("CREATE DATABASE energy OWNER btcore")
        archive = Archive(folder, cluster, database, stack)
        (archive.place("setup") / "site.toml").write_text(archive.deliverer())
        assert "made" in archive.run("setup", "nats", "setup", "--replicas", str(servers))
        for name in HOUSES:
            archive.start(name)
        archive.start("one", f'[metrics]\nlisten = "127.0.0.1:{archive.metrics_port}"\n')
        archive.start("two")
        wait_for(lambda: database.sql("SELECT to_regclass('readings')", "energy") != [(None,)], "a table")
        archive.wait_for_more("the start")
        yield archive


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """Run an archive on three servers."""
    with archive_on(tmp_path, 3) as archive:
        yield archive


@pytest.fixture
def small_archive(tmp_path: Path) -> Iterator[Archive]:
    """Run an archive on one server."""
    with archive_on(tmp_path, 1) as archive:
        yield archive


def test_deliverers_share_a_stream_whatever_happens_to_them(archive: Archive) -> None:
    """Servers killed, a deliverer frozen beyond its lease, one killed, one added: each reading once, and in order."""
    archive.wait_for_shares("one", "two")
    leader = archive.cluster.leader_of("energy")
    leader.kill()
    archive.wait_for_more("the death of a server")
    leader.start()

    archive.start("three")
    archive.wait_for_shares("one", "two", "three")

    archive.signal("one", signal.SIGSTOP)
    archive.wait_for_more("one sleeps")  # others have its partitions
    archive.signal("one", signal.SIGCONT)
    archive.wait_for_shares("one", "two", "three")

    archive.kill("two")
    archive.wait_for_more("the death of a deliverer")
    archive.wait_for_shares("one", "three")

    for server in archive.cluster.servers:
        server.kill()
    for server in archive.cluster.servers:
        server.start()
    archive.wait_for_more("the death of all servers")

    for name in HOUSES:
        archive.drain(name)
    sent = archive.journalled()
    wait_for(lambda: sum(archive.counts().values()) >= sum(sent.values()), "all to be in the database")
    stored = archive.stored()
    assert archive.counts() == sent
    assert {serial: times == sorted(set(times)) for serial, times in stored.items()} == dict.fromkeys(stored, True)


def test_commands_work_at_every_deliverer(small_archive: Archive) -> None:
    """What is asked of one deliverer is done in all partitions; its status and its metrics are those of its share."""
    archive = small_archive
    archive.wait_for_shares("one", "two")
    for name in HOUSES:
        archive.drain(name)
    sent = archive.journalled()
    wait_for(lambda: archive.counts() == sent, "all to be in the database")

    archive.database.sql("DELETE FROM readings WHERE id % 3 = 0", "energy")
    said = archive.run("one", "replay", "store")
    assert f"{sum(sent.values())} delivered" in said
    assert archive.counts() == sent

    archive.database.sql("DELETE FROM readings WHERE serial = '01000101'", "energy")
    letter = refuse_one(archive, "01000101")
    for name in ("one", "two"):
        (found,) = json.loads(archive.run(name, "dead-letters", "list", "--json"))
        assert (found["serial"], found["reason"]) == (letter.serial, letter.why)
    archive.run("two", "dead-letters", "retry", "store")
    wait_for(lambda: archive.counts().get("01000101") == 1, "the dead letter to be delivered")
    wait_for(
        lambda: json.loads(archive.run("one", "dead-letters", "list", "--json")) == [], "no dead letter to be left"
    )

    mine = json.loads(archive.run("one", "status", "--json"))["sinks"][0]
    page = metrics_of(archive.metrics_port)
    assert f'btcore_sink_readings_delivered_total{{sink="store"}} {mine["delivered"]}' in page
    assert 'btcore_sink_readings_waiting{sink="store"} 0' in page
    assert len(mine["partitions"]) == PARTITIONS // 2


def test_who_cannot_deliver_leaves_its_share_to_others(small_archive: Archive) -> None:
    """A deliverer with a wrong password stops; the others have all, and its status says why it has none."""
    archive = small_archive
    archive.wait_for_shares("one", "two")
    archive.database.sql("CREATE USER stranger PASSWORD 'other'")
    assert archive.running["two"].stop() == 0
    other = '[sink.other]\nuse = "sqlite"\nfile = "other.db"\n'  # where all sinks have stopped, the program ends
    site = archive.deliverer(other).replace("btcore@", "stranger@")
    archive.running["two"] = archive.stack.enter_context(BtcoreProcess(archive.place("two"), site))
    wait_for(lambda: "are left to other programs" in archive.running["two"].log, "two to leave what it has")
    wait_for(lambda: archive.partitions("one") == list(range(PARTITIONS)), "one to have all")
    archive.wait_for_more("two cannot deliver")
    said = ask_once(archive.place("two") / "state", "status")["status"]["sinks"]
    found = next(one for one in said if one["name"] == "store")
    assert (found["state"], found["partitions"], found["waiting"]) == ("stopped", [], 0)
    assert "password" in found["last_error"]["text"]
    assert archive.partitions("one") == list(range(PARTITIONS))


def test_deliverers_go_on_with_a_stream_that_was_made_anew(small_archive: Archive) -> None:
    """None is restarted, each tells it, and all that the new stream has is stored, each meter's in order."""
    archive = small_archive
    archive.wait_for_shares("one", "two")
    url = archive.cluster.urls[0]
    connection = Connection(Login(servers=[url], timeout=Duration(15)), "test")
    connection.use(lambda stream: stream.delete_stream("energy"))
    connection.close()
    assert "made" in archive.run("setup", "nats", "setup", "--replicas", "1")
    archive.wait_for_more("the stream was made anew")
    archive.wait_for_shares("one", "two")
    for name in HOUSES:
        archive.drain(name)
    journal = open_journal(f"{url}/energy?partitions={PARTITIONS}", archive.folder)
    with closing(journal):
        sent: dict[str, list[int]] = defaultdict(list)
        for entry in journal.read(START, 10_000):
            sent[entry.serial].append(entry.key // 1_000_000)
    assert len(sent) == METERS
    wait_for(
        lambda: all(archive.stored()[one][-len(times) :] == times for one, times in sent.items()),
        "all of the new stream to be stored",
    )
    for name in ("one", "two"):
        assert archive.running[name].process.poll() is None
        assert "was made anew: this program goes on with it" in archive.running[name].log
    assert all(times == sorted(set(times)) for times in archive.stored().values())


def refuse_one(archive: Archive, serial: str) -> DeadLetter:
    """Keep a reading as a dead letter, as a sink that refuses it does; return it."""
    url = next(line for line in archive.deliverer().splitlines() if line.startswith("journal")).split('"')[1]
    with closing(open_journal(url, archive.folder)) as journal:
        entry = next(one for one in journal.read(START, 1000) if one.serial == serial)
        time = datetime.fromtimestamp(entry.key / 1e6, UTC)
        letter = DeadLetter("sink.store", serial, time, time, "too large", (entry.offset,), (entry.key,))
        journal.keep_dead_letters([letter])
    return letter


def metrics_of(port: int) -> str:
    """Return the metrics of a deliverer."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return str(answer.read(), "utf-8")
