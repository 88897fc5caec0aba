# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes without a packet: what is told of them, when, and how often."""

import logging
from collections.abc import Callable

import pytest
from helpers.captured_log import logged

from btcore.decode.recognition import recognize
from btcore.sources.no_packets import (
    FIRST_REPORT,
    HOUR,
    MAX_LINES,
    MAX_SILENT_BYTES,
    MIN_CONNECTIONS,
    MIN_LAPSE,
    RECOGNITIONS_PER_SECOND,
    SILENT,
    PacketWatch,
)
from btcore.testing import Clock

TEXT = b"n=01000010&m=4&wh_1=223.19&p_1=3065&a_1=28.28\r\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: 10.0.0.5\r\n\r\n"
NAMES = {"keep-alive": b"$", "ascii": TEXT, "http": REQUEST}

Make = Callable[..., PacketWatch]


@pytest.fixture
def make(clock: Clock) -> Make:
    """Return a function that makes what watches a source, which is open."""

    def made(**settings: object) -> PacketWatch:
        watch = PacketWatch(logging.getLogger("source.panel"), clock=clock, **settings)  # type: ignore[arg-type]
        watch.open()
        return watch

    return made


Caplog = pytest.LogCaptureFixture


def told(caplog: Caplog) -> list[str]:
    """Return what was told, by the words before the first full stop."""
    return [text.split(". ")[0] for text in logged(caplog)]


# --- where no packet ever came ----------------------------------------------------------------------------------------


def test_a_keep_alive_is_told_after_a_minute(make: Make, clock: Clock, caplog: Caplog) -> None:
    """A byte every few seconds is told after a minute, once, with what to do and where to read on."""
    watch = make()
    for _ in range(40):
        watch.received("10.0.0.7:4711#1", b"$")
        watch.check()
        clock.now += 3
    assert told(caplog) == ["21 bytes without a packet on 10.0.0.7:4711#1: only the keep-alive of a GEM ($ or Alive)"]
    assert "switch real-time mode on" in caplog.text
    assert "(docs/meters.md)" in caplog.text


@pytest.mark.parametrize(("patience", "seconds"), [(3.0, 3), (600.0, FIRST_REPORT), (0.0, FIRST_REPORT)])
def test_a_source_s_own_patience_may_be_shorter(
    make: Make, clock: Clock, caplog: Caplog, patience: float, seconds: float
) -> None:
    """It is told after the source's patience, and after a minute at most, by time alone: no byte has to come for it."""
    watch = make(patience=patience)
    watch.received("a", b"$")
    clock.now += seconds - 0.1
    watch.check()
    assert told(caplog) == []
    clock.now += 0.1
    watch.check()
    assert len(told(caplog)) == 1


def test_many_bytes_are_told_at_once(make: Make, caplog: Caplog) -> None:
    """What brings much is told without a wait, on one connection or on many that end."""
    watch = make()
    for _ in range(MAX_SILENT_BYTES // len(TEXT) + 1):
        watch.received("a", TEXT)
    assert told(caplog)[0].endswith(" bytes without a packet on a: text in the GEM's format ASCII with Wh (2)")
    caplog.clear()
    watch = make()
    for number in range(MAX_SILENT_BYTES // len(TEXT) + 1):
        watch.received(f"a#{number}", TEXT)
        watch.end(f"a#{number}")
    assert "connections, the last of them a#348: text in the GEM's format ASCII" in told(caplog)[0]


def test_few_bytes_on_many_short_connections_are_told(make: Make, clock: Clock, caplog: Caplog) -> None:
    """Connections that bring a little, and end, are told after a minute of it."""
    watch = make()
    for number in range(9):
        watch.received(f"a#{number}", b"$")
        watch.end(f"a#{number}")
        watch.check()
        clock.now += 10
    assert [text.split(":")[0] for text in told(caplog)] == [
        "7 bytes without a packet on 7 connections, the last of them a#6"
    ]


def test_what_goes_on_is_told_once_an_hour_with_counts(make: Make, clock: Clock, caplog: Caplog) -> None:
    """What goes on is told again each hour, with what came since."""
    watch = make()
    for _ in range(int(2.5 * HOUR) // 10):
        watch.received("a", b"$")
        watch.check()
        clock.now += 10
    counts = [int(text.split(" ")[0]) for text in told(caplog)]
    assert counts == [7, 360, 360]


def test_a_new_kind_is_told_at_once(make: Make, clock: Clock, caplog: Caplog) -> None:
    """Who changes a setting of the meter is told what that has changed, within the minute."""
    watch = make()
    for data in (b"$", TEXT):
        for _ in range(20):
            watch.received("a", data)
            watch.check()
            clock.now += 10
    assert [text.partition(": ")[2] for text in told(caplog)] == [
        "only the keep-alive of a GEM ($ or Alive)",
        "text in the GEM's format ASCII with Wh (2)",
    ]


def test_of_a_meter_that_speaks_its_silence_is_not_told(make: Make, clock: Clock, caplog: Caplog) -> None:
    """A keep-alive before the text of the same meter is not told beside it."""
    watch = make()
    for number in range(20):
        watch.received(f"a#{number}", b"$" if number % 2 else TEXT)
        watch.end(f"a#{number}")
        watch.check()
        clock.now += 10
    assert [text.partition(": ")[2] for text in told(caplog)] == ["text in the GEM's format ASCII with Wh (2)"]


def test_the_lines_of_an_hour_are_bounded(make: Make, clock: Clock, caplog: Caplog) -> None:
    """However many kinds of bytes come, few lines are written in an hour, and a meter's are among them."""
    watch = make()
    kinds = [TEXT, REQUEST, b"SSH-2.0-Go", b"\xfc", bytes(20), b"hello there", bytes(range(99)), b"<html>", b"login:"]
    kinds += [b"%PDF-", b"BZh9", b"\x89PNG", b"SQLite format 3\0", b"SN=01000010&SC=5&V"]
    for _ in range(30):
        for number, data in enumerate(kinds):
            watch.received(f"a#{number}", data)
            watch.end(f"a#{number}")
            watch.check()
        clock.now += 100
    assert len(logged(caplog)) <= MAX_LINES
    assert sum("text in the GEM's format" in text for text in logged(caplog)) == 2


def test_a_short_run_tells_at_its_end(make: Make, clock: Clock, caplog: Caplog) -> None:
    """A run that ends before a minute has passed tells what it saw; one that told it already, or had packets, not."""
    watch = make()
    watch.received("a", TEXT)
    watch.received("b", b"$$")
    watch.end("b")
    watch.finish()
    assert told(caplog) == [f"{len(TEXT)} bytes without a packet on a: text in the GEM's format ASCII with Wh (2)"]
    watch.finish()
    caplog.clear()
    watch = make()
    watch.received("a", TEXT)
    watch.packet("b")
    watch.finish()
    assert logged(caplog) == []


# --- where packets come, too ------------------------------------------------------------------------------------------


def test_a_healthy_source_is_told_nothing(make: Make, clock: Clock, caplog: Caplog) -> None:
    """Junk, keep-alives and half packets between packets are nothing to tell, also where packets come seldom."""
    watch = make(patience=30)
    watch.packet("a")
    for _ in range(50):
        for _ in range(4):
            watch.received("a", b"$OK\r\n" + bytes(300))
            clock.now += 60
            watch.check()
        watch.packet("a")
        watch.check()
    watch.finish()
    assert logged(caplog) == []


def test_a_source_that_is_asked_seldom_is_told_nothing(make: Make, clock: Clock, caplog: Caplog) -> None:
    """Where packets come an hour apart, an hour of keep-alives is healthy."""
    watch = make(patience=2 * HOUR)
    for _ in range(10):
        watch.packet("a")
        for _ in range(60):
            watch.received("a", b"$")
            clock.now += 60
            watch.check()
    assert logged(caplog) == []


def test_a_stream_that_had_packets_and_brings_only_other_bytes_is_told(
    make: Make, clock: Clock, caplog: Caplog
) -> None:
    """Nothing but a keep-alive for long after the last packet is told; so is much else, at once."""
    watch = make()
    watch.packet("a")
    for _ in range(int(MIN_LAPSE) // 10 + 1):
        watch.received("a", b"$")
        clock.now += 10
        watch.check()
    assert len(logged(caplog)) == 1
    watch.packet("a")
    for _ in range(MAX_SILENT_BYTES // len(TEXT) + 1):
        watch.received("a", TEXT)
    assert told(caplog)[1].endswith(" bytes without a packet on a: text in the GEM's format ASCII with Wh (2)")


def test_a_connection_that_brings_a_keep_alive_beside_a_healthy_one_is_told(
    make: Make, clock: Clock, caplog: Caplog
) -> None:
    """Of two meters, the one whose real-time mode is off is told within two minutes."""
    watch = make()
    for _ in range(12):
        watch.packet("well")
        watch.received("ill", b"$")
        watch.check()
        clock.now += 10
    assert [text.split(":")[0] for text in told(caplog)] == ["7 bytes without a packet on ill"]


@pytest.mark.parametrize(("data", "count"), [(TEXT, MIN_CONNECTIONS), (b"$", 10)])
def test_a_meter_s_bytes_on_short_connections_beside_healthy_ones_are_told(
    make: Make, clock: Clock, caplog: Caplog, data: bytes, count: int
) -> None:
    """What only a meter sends is told when it came some times; what anybody may send is not."""
    watch = make()
    watch.packet("well")
    for number in range(count):
        for one in (data, REQUEST):
            watch.received(f"a#{number}", one)
            watch.end(f"a#{number}")
        clock.now += 40
        watch.check()
    assert len(logged(caplog)) == 1
    assert NAMES["http"] not in caplog.text.encode()


def test_what_comes_once_in_a_while_is_forgotten(make: Make, clock: Clock, caplog: Caplog) -> None:
    """A port scanner now and then, or a connection that was cut, never adds up to anything."""
    watch = make()
    for number in range(2 * MAX_SILENT_BYTES // len(REQUEST)):
        watch.packet("well")
        watch.received(f"a#{number}", REQUEST)
        watch.end(f"a#{number}")
        watch.check()
        clock.now += 600
    assert logged(caplog) == []


# --- silence ----------------------------------------------------------------------------------------------------------


def test_nothing_at_all_is_told(make: Make, clock: Clock, caplog: Caplog) -> None:
    """A source that has brought nothing is told after two minutes, and each hour; not while it is closed."""
    watch = make()
    clock.now += SILENT - 1
    watch.check()
    watch.close()
    clock.now += SILENT
    watch.check()
    assert logged(caplog) == []
    watch.open()
    for _ in range(int(2 * HOUR) // 10):
        clock.now += 10
        watch.check()
    assert [text.split(":")[0] for text in told(caplog)] == [
        "no data for 2 min",
        "no data for 1 h 2 min",
    ]


@pytest.mark.parametrize("patience", [0.0, 30.0])
def test_a_source_that_speaks_for_itself_or_brings_readings_is_not_called_silent(
    make: Make, clock: Clock, caplog: Caplog, patience: float
) -> None:
    """A source with patience tells its silence itself; and whole readings are no silence."""
    watch = make(patience=patience)
    if not patience:
        watch.packet()
    clock.now += 2 * SILENT
    watch.check()
    assert logged(caplog) == []


def test_a_source_that_ends_without_a_byte_is_told(make: Make, caplog: Caplog) -> None:
    """A recording with nothing in it is told at its end; one that is only stopped early is not."""
    make().finish()
    assert logged(caplog) == []
    make().finish(has_ended=True)
    assert logged(caplog) == ["the source ended without any data: check whether its input is empty"]


# --- formats that are left out, and floods ----------------------------------------------------------------------------


def test_a_format_that_is_left_out_is_named(make: Make, clock: Clock, caplog: Caplog) -> None:
    """What a stream found, or a second look finds, to be of a format that is not taken, is told as that."""
    seen: list[bytes] = []

    def examine(data: bytes) -> str:
        seen.append(data)
        return "acme"

    watch = make(formats=("gem48pbin",), examine=examine)
    watch.received("a", b"?" * 50, not_taken="sunline")
    clock.now += FIRST_REPORT
    watch.check()
    watch.received("b", b"!" * 50)
    watch.end("b")
    watch.finish()
    found = [text.partition(": ")[2] for text in told(caplog)]
    assert found == [f'packets of {name}, which formats = ["gem48pbin"] leaves out' for name in ("sunline", "acme")]
    assert seen == [b"!" * 50]


def test_a_flood_of_connections_costs_little(
    make: Make, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: Caplog
) -> None:
    """Of connections that come by the thousand, only some are looked at each second, and all are counted."""
    calls = 0

    def count(*_args: object, **_words: object) -> object:
        nonlocal calls
        calls += 1
        return recognize(REQUEST)

    monkeypatch.setattr("btcore.sources.no_packets.recognize", count)
    watch = make()
    for number in range(5000):
        watch.received(f"a#{number}", REQUEST)
        watch.end(f"a#{number}")
    assert calls <= RECOGNITIONS_PER_SECOND + 1
    clock.now += FIRST_REPORT
    watch.check()
    assert "connections" in told(caplog)[0]
