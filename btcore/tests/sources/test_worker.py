# SPDX-License-Identifier: GPL-3.0-or-later
"""Collection: what a meter sent is in the journal, once, at its time, before anything else happens."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from helpers.captured_log import logged
from helpers.fake_plugins import IteratorSource, RecordingSink
from helpers.packets import METER, packet
from helpers.running_sink import RunningSink
from helpers.running_source import PACKETLESS, RunningSource, collect_items, kept_packets
from helpers.times import NOON, SECOND, START

from btcore import FORMATS, Channel, Chunk, Format, Incomplete, Packet, Reading, Retry, clocks, hookimpl, pack, plugin
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.journal import Journal
from btcore.sources.entries import BOOT
from btcore.sources.no_packets import MAX_SILENT_BYTES
from btcore.sources.silence import SilenceWatch
from btcore.testing import Clock, wait_for

OTHER = "420467"


# --- packets


def test_a_packet_is_kept_before_more_is_asked_for(journal: Journal) -> None:
    """When a source is asked for its next chunk, everything of the one before is in the journal."""
    seen: list[int] = []

    def items(_stop: threading.Event) -> Iterator[Chunk]:
        for n in range(5):
            yield Chunk(packet(secs=2 * n) + packet(secs=2 * n + 1))
            seen.append(journal.newest())

    work = RunningSource(journal, IteratorSource(items=items))
    with work:
        work.finish()
    assert (seen, work.worker.kept) == ([2, 4, 6, 8, 10], 10)


def test_an_entry_tells_where_it_came_from(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """An entry has the source's name, the meter, the format and the packet; a meter that is new is told once."""
    caplog.set_level(logging.INFO)
    collect_items(journal, Chunk(packet(), time=NOON), Chunk(packet(secs=9), time=NOON + timedelta(seconds=9)))
    entry = journal.read(0, 1)[0]
    assert (entry.source, entry.serial, entry.format, entry.raw) == ("panel", METER, "ecm1220bin", packet())
    assert logged(caplog, logging.INFO) == [
        f"heard meter {METER} (ecm1220bin)",
        "ended: 2 packets, 0 junk bytes, 0 damaged packets; 2 kept",
    ]


def test_a_chunk_without_a_time_came_now(journal: Journal) -> None:
    """Without a time of its own, a chunk's is that of its arrival."""
    before = time.time_ns() // 1000
    collect_items(journal, Chunk(packet()))
    assert before <= journal.read(0, 1)[0].key <= time.time_ns() // 1000


def test_what_comes_in_live_has_the_time_of_a_clock_that_nobody_sets(journal: Journal) -> None:
    """A packet that came in now has a steady time, of this start of the system; a recorded one has none."""
    before = clocks.steady()
    collect_items(journal, Chunk(packet()))
    collect_items(journal, Chunk(packet(secs=9), time=NOON))
    live, recorded = journal.read(0, 2)
    assert before <= live.monotonic <= clocks.steady()
    assert (live.boot, recorded.monotonic, recorded.boot) == (BOOT, 0, 0)


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(hours=1), timedelta(days=400)])
def test_a_clock_that_is_set_costs_a_young_meter_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, step: timedelta
) -> None:
    """Where the computer's clock is set between two packets, their interval has its power, and all its energy."""
    times, passed = iter([NOON, NOON + timedelta(seconds=10) + step]), iter([5 * SECOND, 15 * SECOND])
    monkeypatch.setattr(clocks, "now", lambda: next(times))
    monkeypatch.setattr(clocks, "steady", lambda: next(passed))
    collect_items(journal, Chunk(packet(secs=500)), Chunk(packet(secs=510, energy=36_000)))
    recorder = RecordingSink()
    with RunningSink(journal, recorder) as work:
        work.finish()
    (sample,) = (sample for batch in recorder.taken for sample in batch.samples)
    assert (sample.seconds, sample.values["ch1_w"], sample.values["ch1_dwh"]) == (10, 3600.0, 10.0)


def test_a_clock_is_named_by_the_start_of_the_system(tmp_path: Path) -> None:
    """Two processes of one start of the system name the clock alike; where it has no name, each names its own."""
    (tmp_path / "boot_id").write_text("0b5f3ad2-6ac5-4b0f-8a1c-7d2f0e5f6a77\n")
    assert clocks.boot(tmp_path / "boot_id") == clocks.boot(tmp_path / "boot_id") > 0
    assert clocks.boot(tmp_path / "none") != clocks.boot(tmp_path / "none")


def test_packets_that_come_at_once_have_times_of_their_own(journal: Journal) -> None:
    """Packets of one moment are a microsecond apart, in order; played again, they add nothing."""
    data = b"".join(packet(secs=n) for n in range(4))
    chunks = [Chunk(data, time=NOON), Chunk(packet(secs=0), time=NOON), Chunk(packet(secs=9), time=NOON)]
    work = collect_items(journal, *chunks)
    assert [key for key, _ in kept_packets(journal)] == [0, 1, 2, 3, 4, 5]
    assert (work.worker.kept, collect_items(journal, *chunks).worker.kept) == (6, 0)


def test_what_is_played_again_is_told_as_such(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """A source that ends tells how many readings were new, how many were kept before, and how many were refused."""
    caplog.set_level(logging.INFO)
    chunks = [Chunk(packet(secs=n), time=NOON + timedelta(seconds=n)) for n in range(4)]
    collect_items(journal, *chunks[:3])
    collect_items(journal, *chunks, Chunk(packet(OTHER), time=NOON), settings={"meters": (METER,)})
    assert [text for text in logged(caplog, logging.INFO) if text.startswith("ended")] == [
        "ended: 3 packets, 0 junk bytes, 0 damaged packets; 3 kept",
        "ended: 5 packets, 0 junk bytes, 0 damaged packets; 1 kept, 3 already there, 1 refused",
    ]


def test_packets_of_two_streams_at_one_time(journal: Journal) -> None:
    """Two connections that bring different packets at one moment lose none, also when they are played again."""
    chunks = [Chunk(packet(serial) + packet(serial, 5), serial, NOON) for serial in (METER, OTHER)]
    assert [collect_items(journal, *chunks).worker.kept for _ in range(2)] == [4, 0]


def test_a_clock_is_asked_for_each_packet(journal: Journal) -> None:
    """A chunk with a clock instead of a time asks it once for each packet."""
    clock = (NOON + timedelta(seconds=10 * n) for n in range(9))
    data = b"".join(packet(secs=n) for n in range(3))
    collect_items(journal, Chunk(data[:50], clock=clock), Chunk(data[50:], clock=clock))
    assert [key // SECOND for key, _ in kept_packets(journal)] == [0, 10, 20]


def test_streams_do_not_mix(journal: Journal) -> None:
    """Two connections that send pieces in turns each get their packets."""
    one, other = packet(METER, 1), packet(OTHER, 2)
    chunks = [Chunk(data[at : at + 7], data.hex()) for at in range(0, 49, 7) for data in (one, other)]
    collect_items(journal, *chunks)
    assert {entry.raw for entry in journal.read(0, 9)} == {one, other}


@pytest.mark.parametrize("ends", [True, False], ids=["told", "untold"])
def test_the_end_of_a_stream_gives_what_it_held_back(journal: Journal, ends: bool) -> None:
    """A packet that stands behind the beginning of a longer one is found when nothing more comes, told so or not."""
    chunk = Chunk(pack("gem48pbin", "00100001", {})[:50] + packet(), "a", NOON, end=ends)
    assert collect_items(journal, chunk).worker.counts.damaged == 1
    assert kept_packets(journal) == [(0, packet())]


def test_a_stream_that_ended_can_begin_anew(journal: Journal) -> None:
    """After the end of a stream, one of the same name has a buffer of its own."""
    half = packet()[:20]
    collect_items(journal, Chunk(half, "a", end=True), Chunk(packet(secs=1), "a", end=True), Chunk(b"", "b", end=True))
    assert [raw for _, raw in kept_packets(journal)] == [packet(secs=1)]


def test_streams_are_bounded(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the most streams the one unused for longest is closed; memory is bounded, and what it held is not lost."""
    monkeypatch.setattr("btcore.sources.intake.MAX_STREAMS", 2)
    hiding = Chunk(pack("gem48pbin", "00100001", {})[:60] + packet(secs=1), "1")
    first, second = (packet(secs=2)[:20], packet(secs=2)[20:])
    collect_items(journal, Chunk(first, "2"), hiding, Chunk(b"", "2"), Chunk(first, "3"), Chunk(second, "2"))
    assert [raw for _, raw in kept_packets(journal)] == [packet(secs=1), packet(secs=2)]


def test_bytes_without_a_packet_are_told(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """A line that brings much and no packet is told once an hour, as what it brings, with what to do."""
    junk = [Chunk(b"n=01000010&m=4" * 100, "10.0.0.7") for _ in range(3 * MAX_SILENT_BYTES // 1400)]
    collect_items(journal, *junk)
    assert len(logged(caplog)) == 1
    assert (
        "bytes without a packet on 10.0.0.7: text in the GEM's format ASCII with Wh (2). Set the GEM's" in caplog.text
    )


def test_bytes_without_a_packet_are_told_of_short_connections(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    """A meter that connects anew each time, and sends what is no packet, is told too, beside one that is understood."""
    junk = [Chunk(b"n=01000010&m=4" * 100, f"10.0.0.7:{n}", end=True) for n in range(3 * MAX_SILENT_BYTES // 1400)]
    good = [Chunk(packet(secs=n), "10.0.0.8") for n in range(len(junk))]
    collect_items(journal, *(chunk for pair in zip(junk, good, strict=True) for chunk in pair))
    assert len(logged(caplog)) == 1
    assert "bytes without a packet on 12 connections, the last of them 10.0.0.7:11: text in the GEM's" in caplog.text


def test_a_run_that_decodes_nothing_says_what_came(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """However little came, a source that ends or is stopped without a packet says what it was."""
    collect_items(journal, Chunk(b"$", "10.0.0.7", NOON))
    assert logged(caplog)[0].startswith(
        "1 byte without a packet on 10.0.0.7: only the keep-alive of a GEM ($ or Alive)."
    )


def test_a_source_that_waits_is_looked_at(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """What a source brought before it began to wait is told while it waits, for the core looks at it from outside."""

    @plugin(api=1)
    class Waiting(IteratorSource):
        patience = 0.01

    def items(stop: threading.Event) -> Iterator[Chunk]:
        yield Chunk(b"$")
        stop.wait(20)

    with RunningSource(journal, Waiting(items=items)) as work:

        def is_told() -> bool:
            work.worker.check()
            return bool(logged(caplog))

        wait_for(is_told)
        assert len(logged(caplog)) == 1


SUN = Format("sun", ("secs", "pv1_ws"), (Channel("pv1", "pv1_ws"),), unpack=lambda raw: [int(raw[4:-1]), 0])


@plugin(api=1)
class Sun:
    """A meter of another make."""

    header = b"SUN,"
    packet_formats = (SUN,)

    @hookimpl
    def decode_packet(self, buffer: memoryview) -> Packet | Incomplete | None:
        """Look for a line of it."""
        line, end, _ = bytes(buffer[:20]).partition(b"\n")
        if not line.startswith(b"SUN,"):
            return None
        return Packet(len(line + end), SUN, "77", line + end) if end else Incomplete()


@pytest.mark.parametrize("name", ["gem48pbin", "gem32pbin"])
def test_packets_of_a_format_that_is_left_out_are_named(
    journal: Journal, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Where `formats` leaves out what the meter sends, both are named: that of a meter of another make, too."""
    sent, found = (packet(), "ecm1220bin") if name == "gem48pbin" else (b"SUN,4242\n", "sun")
    decoders = Decoders([Brultech(), Sun()], (name,))
    collect_items(journal, Chunk(sent * 4), settings={"formats": (name,)}, decoders=decoders)
    assert f'packets of {found}, which formats = ["{name}"] leaves out. Add "{found}" to formats' in caplog.text


def test_what_a_telnet_port_did_is_undone_and_told_once(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """Through a telnet port every packet is kept, from the first on, and what to set is told once."""
    sent = [packet(secs=n).replace(b"\xff", b"\xff\xff") for n in range(4)]
    collect_items(journal, Chunk(b"\xff\xfb\x01", "a"), *(Chunk(one, "a") for one in sent), Chunk(sent[0], "b"))
    assert len(kept_packets(journal)) == 5
    assert [text.partition(":")[0] for text in logged(caplog)] == [
        "on a every FF comes twice, as a telnet port sends it"
    ]


def test_a_decoder_that_raises_is_told_once(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """A decoder's bug costs neither packets nor the source, and is one line of the log."""

    @plugin(api=1)
    class Faulty:
        @hookimpl
        def decode_packet(self, buffer: memoryview) -> None:
            raise ValueError(f"{len(buffer)} bytes")

    chunks = [Chunk(b"junk" + packet(secs=n)) for n in range(20)]
    work = collect_items(journal, *chunks, decoders=Decoders([Faulty(), Brultech()]))
    assert (work.worker.kept, work.worker.failure, len(caplog.records)) == (20, "", 1)


def test_a_night_of_a_silent_meter_and_its_return(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each night of an inverter's meter beside one of the house is a line when it begins and one when it ends."""
    caplog.set_level(logging.INFO)
    clock = Clock()
    monkeypatch.setattr("btcore.sources.worker.SilenceWatch", lambda log: SilenceWatch(log, clock))
    monkeypatch.setattr(clocks, "now", lambda: NOON + timedelta(seconds=clock.now))
    monkeypatch.setattr(clocks, "steady", lambda: round(clock.now * SECOND))

    def items(_stop: threading.Event) -> Iterator[Chunk]:
        for secs in range(0, 3 * 3600, 10):  # a day has an hour here
            clock.now += 10
            yield Chunk(packet(OTHER, secs), "house")
            if secs % 3600 < 1800:
                yield Chunk(packet(METER, secs), "roof")
            work.worker.check()

    with (work := RunningSource(journal, IteratorSource(items=items))):
        work.finish()
    told = [text for text in logged(caplog, logging.INFO) if text.startswith("meter ")]
    silent, back = told[0], told[1]
    assert silent.startswith(f"meter {METER} is silent for 1 min, usually heard every 10 s; last heard at ")
    assert silent.endswith("1 other meter of this source can be heard: check the power and the cable")
    assert back == f"meter {METER} is heard again, after 30 min"
    assert [" is silent for " in text for text in told] == [True, False, True, False, True]
    assert (work.worker.meters, work.worker.silent) == (2, [METER])


# --- whole readings


def test_whole_readings_are_kept_and_sampled(journal: Journal) -> None:
    """A source of readings without packets, such as a database: they are kept, once, and sinks get their samples."""
    readings = [
        Reading(NOON + timedelta(seconds=10 * n), PACKETLESS, "house", b"", numbers=(10 * n, 5000 * n, 1000 * n))
        for n in range(4)
    ]
    works = [collect_items(journal, *readings).worker for _ in range(2)]
    assert [(work.without_packets, work.kept) for work in works] == [(4, 4), (4, 0)]
    sink = RecordingSink()
    with RunningSink(journal, sink, decoders=Decoders([])) as work:
        work.finish()
    (batch,) = sink.taken
    assert [reading.values for reading in batch.readings] == [reading.values for reading in readings]
    assert [reading.time for reading in batch.readings] == [reading.time for reading in readings]
    assert [(sample.seconds, sample.values["grid_w"]) for sample in batch.samples] == [(10, 300.0)] * 3


# --- the meter's own clock


ARRIVED = NOON + timedelta(seconds=7)


def timed(clock: datetime | None) -> Chunk:
    """Make the packet of a GEM with its clock, that came in at seven seconds past noon."""
    return Chunk(pack("gem48ptbin", "00100001", {"secs": 5}, clock=clock), time=ARRIVED)


@contextmanager
def in_zone(monkeypatch: pytest.MonkeyPatch, zone: str) -> Iterator[None]:
    """Have the computer in another time zone while the block runs."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        yield
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("setting", "clock", "expected"),
    [
        ("arrival", NOON, 7 * SECOND),
        ("device-utc", NOON, 0),
        ("device-utc", None, 7 * SECOND),
        ("device-local", NOON, 4 * 3600 * SECOND),
        ("device-local", None, 7 * SECOND),
    ],
)
def test_the_time_of_a_reading(
    journal: Journal,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    clock: datetime | None,
    expected: int,
) -> None:
    """By default a reading's time is its arrival; else the meter's clock, in UTC or local, unless it is not set."""
    with in_zone(monkeypatch, "America/New_York"):
        collect_items(journal, timed(clock), settings={"clock": setting})
    assert [key for key, _ in kept_packets(journal)] == [expected]


@pytest.mark.parametrize("setting", ["device-utc", "device-local"])
@pytest.mark.parametrize("clock", [None, datetime(2085, 6, 1), datetime(2001, 1, 1)])  # noqa: DTZ001 - local time
def test_a_clock_that_cannot_be_right_is_told(
    journal: Journal, caplog: pytest.LogCaptureFixture, clock: datetime | None, setting: str
) -> None:
    """Live, a clock that is not set, ahead or years behind gives no time; it is told once, with how to set it."""
    before = time.time()
    data = [pack("gem48ptbin", "01000777", {"secs": secs}, clock=clock) for secs in (1, 2, 3)]
    collect_items(journal, *map(Chunk, data), settings={"clock": setting})
    assert all(before - 1 <= entry.key / SECOND <= time.time() for entry in journal.read(0, 9))
    (told,) = [one for one in logged(caplog, logging.WARNING) if "clock" in one]
    assert told.startswith("meter 01000777: its clock ")
    assert told.endswith("`btcore device set 01000777 clock=now` sets it, `sync_clock = true` keeps it right")


def test_stored_packets_have_the_time_at_which_they_were_made(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    """What a gateway stored for a day and sends at once has the time that the meter showed, and nothing is told."""
    day = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    times = [day + timedelta(minutes=n) for n in range(100)]
    data = [
        pack("gem48ptbin", "01000777", {"secs": 60 * n}, clock=at.replace(tzinfo=None)) for n, at in enumerate(times)
    ]
    collect_items(journal, Chunk(b"".join(data)), settings={"clock": "device-utc"})
    assert [entry.key / SECOND for entry in journal.read(0, 999)] == [at.timestamp() for at in times]
    assert not [one for one in logged(caplog, logging.WARNING) if "clock" in one]


CHANGES = {
    "America/New_York": (2026, 11, 1, 6),
    "Europe/Berlin": (2026, 10, 25, 1),
    "Australia/Lord_Howe": (2026, 4, 4, 15),
    "Europe/London": (2026, 3, 29, 1),  # on, not back
}
"""When clocks are set, in UTC."""


def through(zone: str, *, late: int = 0) -> tuple[list[datetime], list[bytes]]:
    """Return moments around a change, and what a meter sends at them that is set so many minutes late."""
    change = datetime(*CHANGES[zone], tzinfo=UTC)
    times = [change + n * timedelta(minutes=10) for n in range(-13, 20)]
    return times, [
        pack(
            "gem48ptbin",
            "00100001",
            {"secs": 600 * n},
            clock=(time - timedelta(minutes=late)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
            + timedelta(minutes=late),
        )
        for n, time in enumerate(times)
    ]


@pytest.mark.parametrize("late", [0, 25])
@pytest.mark.parametrize("zone", CHANGES)
def test_the_night_when_clocks_are_set(journal: Journal, monkeypatch: pytest.MonkeyPatch, zone: str, late: int) -> None:
    """A meter in local time of which a recording tells no times has the right ones, also if it is set a bit late."""
    times, data = through(zone, late=late)
    with in_zone(monkeypatch, zone):
        collect_items(journal, Chunk(b"".join(data), clock=iter([NOON] * 99)), settings={"clock": "device-local"})
    assert [entry.key // SECOND for entry in journal.read(0, 99)] == [round(time.timestamp()) for time in times]


def test_a_recording_that_is_started_again_has_the_same_times(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a meter showed at the end of a recording does not change what it showed at its beginning."""

    @plugin(api=1)
    class Recording(IteratorSource):
        origin = "recorded"

    tries = iter([True, False])

    def items(_stop: threading.Event) -> Iterator[Chunk]:
        times, data = through("America/New_York")
        begun = times.index(datetime(2026, 11, 1, 6, 30, tzinfo=UTC))  # within the second pass, which is a guess
        for raw in data[begun:]:
            yield Chunk(raw, clock=iter([NOON]))
        if next(tries):
            raise Retry("gone")

    with in_zone(monkeypatch, "America/New_York"):
        work = RunningSource(journal, Recording(items=items), settings={"clock": "device-local"})
        with work:
            work.finish()
    assert (work.worker.counts.packets, work.worker.stored) == (34, "17 kept, 17 already there")


def test_a_meter_without_a_clock_has_the_time_of_arrival(journal: Journal) -> None:
    """Where packets carry no clock, trusting it changes nothing."""
    collect_items(journal, Chunk(packet(), time=ARRIVED), settings={"clock": "device-utc"})
    assert [key for key, _ in kept_packets(journal)] == [7 * SECOND]


def test_a_clock_that_stands_still_loses_nothing(journal: Journal) -> None:
    """Readings of a meter whose clock does not move are kept all the same, in order."""
    chunks = [Chunk(pack("gem48ptbin", "00100001", {"secs": n}, clock=NOON)) for n in range(5)]
    assert [collect_items(journal, *chunks, settings={"clock": "device-utc"}).worker.kept for _ in range(2)] == [5, 0]
    assert [key for key, _ in kept_packets(journal)] == [0, 1, 2, 3, 4]
    assert [FORMATS["gem48ptbin"].unpack(raw)[1] for _, raw in kept_packets(journal)] == [0, 1, 2, 3, 4]


def test_times_before_the_epoch_are_kept(journal: Journal) -> None:
    """A clock that was never set, or a database of old, breaks nothing."""
    collect_items(journal, Chunk(packet(), time=datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)))
    assert journal.read(0, 1)[0].key == -SECOND
    assert START > 0


def test_after_a_start_meters_are_expected_by_the_names_that_they_have_now(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A meter that was named since is not missed under the serial number that it had in the journal."""
    expected: list[str] = []
    monkeypatch.setattr(SilenceWatch, "expect", lambda _silence, heard: expected.extend(heard))
    collect_items(journal, Chunk(packet()))
    renaming = Decoders([Brultech()], name_meter=lambda _source, _address, _sent, _kept, _format: "barn")
    with RunningSource(journal, IteratorSource(items=lambda _stop: iter(())), decoders=renaming) as work:
        work.finish()
    assert expected == ["barn"]
