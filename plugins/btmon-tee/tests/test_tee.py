# SPDX-License-Identifier: GPL-3.0-or-later
"""`tee`: packets of the journal, to readers over real sockets."""

import logging
import re
import socket
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.sockets import read_exactly

from btcore import FORMATS, Batch, Context, Duration, Reading, pack
from btcore.testing import wait_for
from btmon_tee.proxy import Proxy
from btmon_tee.tee import Tee

pytestmark = [pytest.mark.servers, pytest.mark.timeout(60)]

HERE = Path(__file__).parent
LOG = logging.getLogger("sink.copy")
Start = Callable[..., Tee]


def reading(secs: int, age: float = 0, serial: str = "01000777") -> Reading:
    """Return a reading of a GEM that came in so many seconds ago."""
    time = datetime.now(UTC) - timedelta(seconds=age)
    return Reading(time, FORMATS["gem48ptbin"], serial, pack("gem48ptbin", serial, {"secs": secs}))


@pytest.fixture
def start(caplog: pytest.LogCaptureFixture) -> Iterator[Start]:
    """Give what opens sinks, which are closed in the end."""
    caplog.set_level(logging.DEBUG)
    started: list[Tee] = []

    def begin(**settings: Any) -> Tee:  # noqa: ANN401 - of any kind
        dry_run = settings.pop("dry_run", False)
        started.append(Tee(**{"listen": "127.0.0.1:0", **settings}))
        started[-1].open(Context(name="sink.copy", log=LOG, dry_run=dry_run))
        return started[-1]

    yield begin
    for sink in started:
        sink.close()


def connect(caplog: pytest.LogCaptureFixture) -> socket.socket:
    """Connect a reader, and wait until it is served."""
    port = int(re.findall(r"listening on \S+:(\d+)$", "\n".join(caplog.messages), re.MULTILINE)[-1])
    connection = socket.create_connection(("127.0.0.1", port), 20)
    wait_for(lambda: " reads, " in caplog.text)
    return connection


def test_packets_are_passed_on_byte_for_byte(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """A reader gets the packets as the meter sent them, in order, and nothing else."""
    sink = start()
    with connect(caplog) as reader:
        readings = [reading(secs) for secs in range(3)]
        assert sink.process_batch(Batch(tuple(readings))) == 3
        expected = b"".join(one.raw for one in readings)
        assert read_exactly(reader, len(expected)) == expected


def test_what_is_old_is_not_passed_on(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """A packet of an hour ago would be taken for new: it does not count as delivered either."""
    sink = start()
    with connect(caplog) as reader:
        new = reading(2)
        assert sink.process_batch(Batch((reading(1, age=3600), new))) == 1
        assert read_exactly(reader, len(new.raw)) == new.raw


def test_readings_without_a_packet(start: Start) -> None:
    """A reading that came from a database has no packet, and nothing is passed on."""
    sink = start()
    assert sink.process_batch(Batch((attrs.evolve(reading(1), raw=b"", numbers=reading(1).numbers),))) == 0


def test_nobody_reads(start: Start) -> None:
    """Without a reader, packets count as delivered: nobody is waited for."""
    assert start().process_batch(Batch((reading(1),))) == 1


def test_a_reader_that_sends_commands(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once that nothing is passed on to the meter, and what can."""
    sink = start()
    with connect(caplog) as reader:
        reader.sendall(b"^^^RQSSRN")
        wait_for(lambda: 'use the source "proxy"' in caplog.text)
        reader.sendall(b"^^^RQSSRN")
        one = reading(1)
        sink.process_batch(Batch((one,)))
        assert read_exactly(reader, len(one.raw)) == one.raw
    assert caplog.text.count("b'^^^RQSSRN'") == 1


def test_a_dry_run(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """A dry run listens on no port, and says what would be passed on."""
    sink = start(dry_run=True)
    lines = list(sink.preview_batch(Batch((reading(1),))))
    assert (lines, caplog.text) == (["625 bytes: packet gem48ptbin of meter 01000777"], "")


def test_nobody_can_read() -> None:
    """Neither `listen` nor `send_to` is a mistake, and so is an address without a port."""
    assert [problem.key for problem in Tee(max_age=Duration(1)).check()] == ["listen"]
    for wrong in ({"listen": "8084"}, {"send_to": ["10.0.0.1"]}, {"allow": ["house"]}):
        with pytest.raises(ValueError, match="expected"):
            Tee(**wrong)


def test_the_sample() -> None:
    """The sample has only settings that there are, and the README shows all of it."""
    sample = (HERE.parent / "sample.toml").read_text()
    tables = tomllib.loads(re.sub(r"^# (\w+ =)", r"\1", sample, flags=re.MULTILINE))
    for plugin, table in ((Proxy, tables["source"]["panel"]), (Tee, tables["sink"]["copy"])):
        known = {field.name for field in attrs.fields(plugin) if field.init}
        assert set(table) - {"use", "meters"} - known == set()
    assert sample in (HERE.parent / "README.md").read_text()
