# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink with a real rrdcached: each reading exactly once, whatever happens to the daemon."""

import random
import re
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from helpers.journal_entries import ecm1240_entries
from helpers.rrd_files import START, batch_of, file_info, rates, readings_of_values
from helpers.running_sink import RunningSink, sink_offset
from helpers.small_disk import small_disk
from servers.rrdcached import Rrdcached

from btcore import Batch, Retry, Stop
from btcore.cli import main
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing import wait_for
from btmon_rrd.plugin import Rrd
from btmon_rrd.rrdcached import Connection, parse_address
from btmon_rrd.rrdcached import connect as connect_to

pytestmark = pytest.mark.servers

Opened = Callable[..., Rrd]

COUNT = 400
HISTORY = readings_of_values([{"ch1_aws": 1000 * n} for n in range(COUNT)])
SAMPLES = batch_of(HISTORY).samples
SHOWN = dict.fromkeys(range(20, 10 * COUNT - 9, 10), 100.0)
END = START + 10 * COUNT


def part(first: int, last: int) -> Batch:
    """Return the batch of some readings, with the samples that they have in it."""
    return Batch(tuple(HISTORY[first:last]), tuple(SAMPLES[max(first - 1, 0) : last - 1]))


def is_taken(sink: Rrd, batch: Batch) -> bool:
    """Whether a batch is delivered, or the core would try again: the connection was to a daemon that ended."""
    try:
        sink.process_batch(batch)
    except Retry:
        return False
    return True


def flushed(daemon: Rrdcached) -> dict[str, dict[int, float]]:
    """Make the daemon write all; return what each file of a counter or of volts shows."""
    paths = sorted(daemon.files.rglob("*_ch1_aws.rrd")) + sorted(daemon.files.rglob("*_volts.rrd"))
    with closing(connect_to(parse_address(daemon.address), 10)) as connection:
        for path in paths:
            assert not connection.command("FLUSH", str(path)).failed
    return {path.stem.partition("_")[2]: rates(path, end=END) for path in paths}


def check_complete(daemon: Rrdcached) -> None:
    """Check that every reading is there exactly once."""
    shown = flushed(daemon)
    assert shown["ch1_aws"] == SHOWN
    assert shown["volts"] == dict.fromkeys(SHOWN, 120.0)
    (path,) = daemon.files.rglob("*_ch1_aws.rrd")
    assert file_info(path)["ds[ch1_aws].last_ds"] == str(1000 * (COUNT - 1))


@pytest.fixture(name="sink")
def sink_fixture(opened: Opened, rrdcached: Rrdcached) -> Rrd:
    """Open a sink that writes through the daemon."""
    return opened(dir=rrdcached.files, daemon=rrdcached.address)


def test_all_readings_are_stored_once(sink: Rrd, rrdcached: Rrdcached) -> None:
    """What the daemon writes is what the binding would write, however often and in which parts it is sent."""
    for first, last in ((0, 100), (0, 100), (50, 150), (100, COUNT), (0, COUNT)):
        assert sink.process_batch(part(first, last)) == len(part(first, last).samples)
    check_complete(rrdcached)


def test_a_long_backlog_is_sent_in_commands_that_are_not_too_long(opened: Opened, rrdcached: Rrdcached) -> None:
    """Points that do not fit into one command of rrdcached go into several, in a directory with blanks in its name."""
    sink = opened(dir=rrdcached.files / "our house", daemon=rrdcached.address)
    sink.process_batch(part(0, COUNT))
    check_complete(rrdcached)


def test_what_the_daemon_has_when_the_sink_ends_is_written(sink: Rrd, rrdcached: Rrdcached) -> None:
    """When btcore ends, the daemon writes what it has of it."""
    sink.process_batch(part(0, COUNT))
    sink.close()
    assert file_info(rrdcached.files / "312345_volts.rrd")["last_update"] == str(END - 10)


def test_an_outage_waits(sink: Rrd, rrdcached: Rrdcached) -> None:
    """While the daemon is down the sink says so, and afterwards fills in what is missing."""
    sink.process_batch(part(0, 100))
    rrdcached.stop()
    for _ in range(2):
        with pytest.raises(Retry, match=r"rrdcached at unix:/.*; start it, or correct `daemon`"):
            sink.process_batch(part(100, COUNT))
    rrdcached.start()
    sink.process_batch(part(100, COUNT))
    check_complete(rrdcached)


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("journal", [True, False], ids=["journal", "no journal"])
def test_a_daemon_that_is_restarted_loses_nothing(end: str, journal: bool, opened: Opened, tmp_path: Path) -> None:
    """What the daemon had in memory and lost is sent again, once, whether or not it keeps a journal."""
    with Rrdcached(tmp_path, journal=journal) as daemon:
        sink = opened(dir=daemon.files, daemon=daemon.address)
        for first in range(0, COUNT, 200):
            sink.process_batch(part(first, first + 100))
            getattr(daemon, end)()
            daemon.start()
            wait_for(lambda first=first: is_taken(sink, part(first + 100, first + 200)), "the daemon to take a batch")  # type: ignore[misc]
        check_complete(daemon)


def test_a_daemon_that_is_killed_in_the_middle_of_a_batch_loses_nothing(
    sink: Rrd, rrdcached: Rrdcached, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of which the daemon had a part when it was killed is stored once when it comes again."""
    sink.process_batch(part(0, 100))
    send = Connection._send

    def cut_off(self: Connection, data: bytes, deadline: float) -> None:
        if b"UPDATE" in data:
            middle = len(data) // 2
            send(self, data[:middle], deadline)
            with closing(connect_to(parse_address(rrdcached.address), 10)) as other:
                wait_for(lambda: "QueueLength: 0" in other.command("STATS").lines, "the daemon to have read it")
            rrdcached.kill()
            data = data[middle:]
        send(self, data, deadline)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "_send", cut_off)
        with pytest.raises(Retry):
            sink.process_batch(part(100, COUNT))
    rrdcached.start()
    sink.process_batch(part(100, COUNT))
    check_complete(rrdcached)


def test_another_writer_is_noticed(sink: Rrd, rrdcached: Rrdcached) -> None:
    """Where a file has a later value than the sink knew of, it goes on from there."""
    sink.process_batch(part(0, 20))
    path = rrdcached.files / "312345_ch1_aws.rrd"
    with closing(connect_to(parse_address(rrdcached.address), 10)) as connection:
        assert not connection.command("UPDATE", str(path), f"{START + 250}:25000").failed
    sink.process_batch(part(20, 60))
    assert flushed(rrdcached)["ch1_aws"][300] == 100
    assert file_info(path)["last_update"] == str(START + 590)


def test_a_directory_that_the_daemon_does_not_allow_stops(opened: Opened, rrdcached: Rrdcached, tmp_path: Path) -> None:
    """Outside its base directory the daemon writes nothing: the sink says which setting that concerns."""
    sink = opened(dir=tmp_path / "elsewhere", daemon=rrdcached.address)
    message = f"{re.escape(str(tmp_path / 'elsewhere'))}.* cannot be written .*or correct `dir`"
    with pytest.raises(Stop, match=message):
        sink.process_batch(part(0, 20))


def test_a_file_of_two_data_sources_gets_nothing(sink: Rrd, rrdcached: Rrdcached) -> None:
    """A value that does not fit a file, which rrdcached would take and lose, is not sent."""
    path = rrdcached.files / "312345_volts.rrd"
    sources = ["DS:a:GAUGE:20:U:U", "DS:b:GAUGE:20:U:U", "RRA:AVERAGE:0.5:1:10"]
    subprocess.run(["rrdtool", "create", str(path), "--start", str(START - 1), *sources], check=True)
    with pytest.raises(Stop, match="has 2 data sources"):
        sink.process_batch(part(0, 20))
    with closing(connect_to(parse_address(rrdcached.address), 10)) as connection:
        assert connection.command("PENDING", str(path)).lines == ()


def test_a_graph_has_what_the_daemon_has_not_written_yet(sink: Rrd, rrdcached: Rrdcached, tmp_path: Path) -> None:
    """`btcore graph` has the daemon write first, so that the picture is up to date."""
    sink.process_batch(part(0, 60))
    site = tmp_path / "site.toml"
    table = f'[sink.rrd]\ndir = "{rrdcached.files}"\ndaemon = "{rrdcached.address}"\n'
    site.write_text(f"[source.simulator]\n{table}")
    picture = tmp_path / "house.png"
    words = ["graph", "--config", str(site), "--from", str(START), "--to", str(START + 600), "-o", str(picture)]
    assert file_info(rrdcached.files / "312345_ch1_aws.rrd")["last_update"] != str(START + 590)
    assert main(words) == 0
    assert file_info(rrdcached.files / "312345_ch1_aws.rrd")["last_update"] == str(START + 590)
    assert picture.stat().st_size > 10_000


@pytest.mark.parametrize("through", ["rrdcached", "binding"])
def test_a_full_disk_waits(through: str, opened: Opened, direct: Opened) -> None:
    """Files that do not fit are made once there is space; every reading is in them then, once."""
    with small_disk(64) as disk, Rrdcached(disk.path) as daemon:
        disk.fill(free=4_000_000)
        open_sink, address = (direct, "") if through == "binding" else (opened, daemon.address)
        sink = open_sink(dir=daemon.files, daemon=address, archives=[])
        with pytest.raises(Retry, match=r"^no space left for .*312345_\w+.rrd: free space"):
            sink.process_batch(part(0, COUNT))
        disk.free()
        sink.process_batch(part(0, COUNT))
        check_complete(daemon)
        assert {path.suffix for path in daemon.files.iterdir()} == {".rrd"}


def test_kills_at_any_moment(rrdcached: Rrdcached, tmp_path: Path) -> None:
    """A daemon that is killed again and again while a worker delivers a backlog: every reading is there once.

    But for what it was writing into a file as it was killed: RRDtool writes a file in several steps, and what a kill
    leaves between two of them cannot be told from what was written. That is a batch, of five, in one of thirty runs.
    """
    choose = random.Random(9)
    sink = Rrd(dir=rrdcached.files, daemon=rrdcached.address)
    with closing(SqliteJournal(tmp_path / "journal.db")) as journal:
        journal.append(list(ecm1240_entries(10 * COUNT - 10, watts=100)))
        last = max(entry.offset for entry in journal.read(0, COUNT))
        with RunningSink(journal, sink, settings={"batch_size": 5}) as running:
            while sink_offset(journal) < last:
                goal = min(sink_offset(journal) + choose.randint(1, 60), last)
                wait_for(lambda goal=goal: sink_offset(journal) >= goal, "the sink to go on")  # type: ignore[misc]
                rrdcached.kill()
                rrdcached.start()
            running.finish()
    shown = flushed(rrdcached)
    torn = {("ch1_aws", *one) for one in shown["ch1_aws"].items() ^ SHOWN.items()}
    torn |= {("volts", *one) for one in shown["volts"].items() ^ dict.fromkeys(SHOWN, 120.0).items()}
    assert len(torn) <= 3 * 5, torn
    (path,) = rrdcached.files.rglob("*_ch1_aws.rrd")
    assert file_info(path)["ds[ch1_aws].last_ds"] == str(1000 * (COUNT - 1))
