# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of plugins work with does what it says: runs, packets, servers, the watch on what is opened, fixtures."""

import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import attrs
import pytest

from btcore import Batch, Chunk, Context, Reject, Retry, hookimpl, plugin
from btcore.journal import Journal
from btcore.testing import (
    BtcoreProcess,
    Clock,
    HostedService,
    MeterServer,
    Reply,
    batch_of_restart,
    batch_without_numbers,
    make_batch,
    make_packet,
    make_readings,
    run_decoder,
    run_sink,
    run_source,
    wait_for,
)
from btcore.testing.kit.guard import NETWORK, OPENING, OutsideError, watching
from btmon_ip.client import TcpClient


@plugin(api=1)
class Picky:
    """A sink that is busy at first, and never takes the reading with an offset."""

    refused: int = attrs.field(default=0)
    busy: list[str] = attrs.field(factory=lambda: ["busy"])
    taken: list[int] = attrs.field(factory=list)

    @hookimpl
    def open(self, context: Context) -> None:
        """Say so."""
        context.log.info("open: dry run %s", context.dry_run)

    @hookimpl
    def process_batch(self, batch: Batch) -> None:
        """Take it, if it may."""
        if self.busy:
            raise Retry(self.busy.pop())
        if any(one.offset == self.refused for one in batch.readings):
            raise Reject("a bad row")
        self.taken += [one.offset for one in batch.readings]


PACKETS = [make_packet(count) for count in range(8)]


def test_a_sink_is_run_as_in_earnest(tmp_path: Path) -> None:
    """A run decodes, retries, and makes a dead letter of what is refused, once the sink has taken something."""
    sink = Picky(refused=6)
    run = run_sink(sink, PACKETS, tmp_path, batch_size=2)
    assert [one.raw for one in run.readings] == PACKETS
    assert sorted(sink.taken) == [1, 2, 3, 4, 5, 7, 8]
    assert [one.why for one in run.dead_letters] == ["a bad row"]
    assert any("busy" in line for line in run.log)
    assert (run.worked, run.delivered) == (True, 8 - sum(len(one.keys) for one in run.dead_letters))


def test_a_second_run_goes_on(tmp_path: Path) -> None:
    """With the same folder, a run delivers only what is new; with another, all."""
    first, second = Picky(), Picky()
    run_sink(first, PACKETS[:3], tmp_path)
    run = run_sink(second, PACKETS[3:5], tmp_path)
    assert (first.taken, second.taken, run.delivered) == ([1, 2, 3], [4, 5], 5)


def test_a_dry_run_delivers_nothing(tmp_path: Path) -> None:
    """In a dry run the sink is opened as for one, and called with nothing."""
    sink = Picky()
    run = run_sink(sink, PACKETS, tmp_path, dry_run=True)
    assert (sink.taken, run.delivered) == ([], 0)
    assert any("open: dry run True" in line for line in run.log)


def test_a_source_is_run_until_something_is_there(tmp_path: Path) -> None:
    """A source is stopped once what it brought is enough; one that ends by itself needs no condition."""
    with MeterServer(b"".join(PACKETS[:3])) as meter:
        source = TcpClient(host="127.0.0.1", port=meter.port)
        run = run_source(source, tmp_path / "a", until=lambda readings: len(readings) >= 3)
    assert [one.raw for one in run.readings] == PACKETS[:3]

    @plugin(api=1)
    class Finite:
        """Ends."""

        @hookimpl
        def collect(self) -> Iterator[Chunk]:
            """Bring one packet."""
            yield Chunk(PACKETS[0])

    assert len(run_source(Finite(), tmp_path / "b").readings) == 1


def test_what_until_raises_is_raised(tmp_path: Path) -> None:
    """A mistake in the condition of a test ends the run, and is shown."""
    with MeterServer(PACKETS[0]) as meter, pytest.raises(ZeroDivisionError):
        run_source(
            TcpClient(host="127.0.0.1", port=meter.port), tmp_path, until=lambda readings: bool(1 / len(readings))
        )


@pytest.mark.servers
def test_a_run_is_killed_in_the_middle(tmp_path: Path) -> None:
    """A process that is killed while its service is down delivers everything in its second life, nothing twice."""
    (tmp_path / "capture.bin").write_bytes(b"".join(PACKETS))
    with HostedService(Reply(503)) as service:
        site = f"""state = "state"
            [source.file]
            path = "capture.bin"
            [sink.home]
            use = "pipe-webhook"
            url = "{service.url}"
            min_backoff = "50ms"
            """
        with BtcoreProcess(tmp_path, site, "--once") as process:
            wait_for(lambda: service.requests, "the first request")
            process.kill()
        service.answer = Reply()
        with BtcoreProcess(tmp_path, site, "--once") as process:
            assert process.finish() == 0, process.log
        lines = b"".join(one.body for one in service.taken)
    assert lines.count(b"312345") >= len(PACKETS) - 1


def test_batches_have_what_they_say() -> None:
    """Numbers are those of the meter: 1000 W in and 250 W out; None where nothing was measured, or it restarted."""
    batch = make_batch(make_readings(3, form="gem48ptbin"))
    assert [one.get("ch1_w") for one in batch.samples] == [750.0, 750.0]
    assert batch.readings[0].serial == "01000777"
    nothing = batch_without_numbers()
    assert {value for one in nothing.readings for label, value in one.values.items() if label != "secs"} == {None}
    assert {one.get("ch1_w") for one in nothing.samples} == {None}
    (sample,) = batch_of_restart().samples
    assert (sample.reset, sample.seconds) == (True, None)


def test_a_service_can_be_down_and_forget_its_failures() -> None:
    """While it is down nobody listens; on the same port it is up again, and answers as ever."""
    with HostedService() as service:
        service.down()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", service.port))
        service.up()
        service.fail(Reply(503))
        service.forget_failures()
        with closing(socket.create_connection(("127.0.0.1", service.port), 10)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_what_is_opened_is_seen(tmp_path: Path) -> None:
    """Files, databases, connections and programs are seen and refused in the thread that is watched, and only then."""
    with watching(OPENING) as seen:
        for work in (
            lambda: (tmp_path / "a").write_text("a"),
            lambda: sqlite3.connect(tmp_path / "b"),
            lambda: socket.create_server(("127.0.0.1", 0)),
            lambda: subprocess.Popen([sys.executable, "--version"]),
        ):
            with pytest.raises(OSError, match=r"does not allow this|None"):
                work()
    assert [what.split()[1] for what in seen] == ["opens", "opens", "listens", "starts"]
    (tmp_path / "a").write_text("a")


def test_connections_within_the_machine_may_be_allowed() -> None:
    """With `local_only`, a connection of this machine is made, and one to another is refused."""
    with watching(NETWORK, local_only=True) as seen, socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
        assert seen == []
        with pytest.raises(OutsideError), socket.socket() as outside:
            outside.connect(("192.0.2.1", 80))
        assert seen == ["it connects to 192.0.2.1:80"]


def test_threads_of_a_plugin_are_watched_too() -> None:
    """Watched everywhere, a connection is refused in whichever thread it is made."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            socket.create_connection(("192.0.2.1", 80), 1)
        except OSError as error:
            failures.append(error)

    with watching(NETWORK, local_only=True, everywhere=True):
        thread = Thread(target=work)
        thread.start()
        thread.join()
    assert [type(one) for one in failures] == [OutsideError]


def test_the_fixtures_are_found(hosted_service: HostedService, btcore_clock: Clock, btcore_journal: Journal) -> None:
    """The fixtures are there by the entry point of btcore."""
    assert hosted_service.url.startswith("http://127.0.0.1:")
    assert (btcore_clock.wait(5), btcore_clock.now) == (False, 5)
    assert btcore_journal.newest() == 0


def test_finding_the_fixtures_imports_nothing_of_btcore() -> None:
    """Who tests something else in an environment that has btcore does not import it."""
    code = "import sys, _btcore_pytest; print('btcore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_decoders_are_run(tmp_path: Path) -> None:
    """A decoder is asked beside the built-in one."""

    @plugin(api=1)
    class Nothing:
        """Knows no packet."""

        @hookimpl
        def decode_packet(self) -> None:
            """Know none."""

    assert len(run_decoder(Nothing(), [b"junk", *PACKETS], tmp_path).readings) == len(PACKETS)
