# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `file`: plays captures of both kinds, at once or as slowly as they were recorded, whatever is in them."""

import json
import logging
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from btcore import Chunk, Context, Duration, Stop, pack
from btcore.decode.brultech import Brultech
from btcore.decode.framing import Stream
from btmon_simulator.file import MAX_STREAMS, File
from btmon_simulator.pace import MAX_PAUSE, with_recorded_pauses

START = datetime(2026, 6, 21, 6, tzinfo=UTC)


def packet(seconds: int, serial: str = "312345") -> bytes:
    """Make a packet."""
    return pack("ecm1240bin", serial, {"secs": seconds})


def line(data: bytes, time: datetime | None = START, stream: str = "a") -> str:
    """Make a line of a capture."""
    return json.dumps({"time": time and time.timestamp(), "stream": stream, "hex": data.hex()}) + "\n"


def opened(path: Path, **given: Any) -> File:  # noqa: ANN401 - settings of all types
    """Open a source."""
    source = File(path=path, **given)
    source.open(Context("source.test", logging.getLogger("source.test")))
    return source


def play(path: Path, **given: Any) -> list[Chunk]:  # noqa: ANN401
    """Play a capture to its end."""
    return list(opened(path, **given).collect(threading.Event()))


def arrivals(chunks: Iterator[Chunk]) -> Iterator[tuple[int, datetime]]:
    """Find the packets while the chunks come, as the core does: seconds counter and time."""
    stream = Stream(Brultech().decode_packet, (b"\xfe\xff",))
    for chunk in chunks:
        when = chunk.clock or chunk.time
        if chunk.data and when:
            for found, time in stream.feed(chunk.data, when):
                yield int(found.format.unpack(found.raw)[1] or 0), time


class Waits(threading.Event):
    """A stop that is never set: it writes down how long was waited for it, and does not wait."""

    def __init__(self) -> None:
        """Begin with no waits."""
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Write down a wait."""
        self.seconds.append(timeout or 0)
        return False


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Return the path of a capture that is not there yet."""
    return tmp_path / "capture"


def test_a_capture_of_lines_is_played(capture: Path) -> None:
    """Each line is a chunk of its stream at its time, then each stream is ended, and the source has ended."""
    capture.write_text(line(b"\x01", stream="a") + line(b"\x02", stream="b") + line(b"\x03", stream="a"))
    assert play(capture) == [
        Chunk(b"\x01", "a", START),
        Chunk(b"\x02", "b", START),
        Chunk(b"\x03", "a", START),
        Chunk(b"", "b", START, end=True),
        Chunk(b"", "a", START, end=True),
    ]


def test_plain_bytes_are_played(capture: Path) -> None:
    """A plain binary file is one stream; its packets are an interval apart from the start on."""
    capture.write_bytes(b"{junk" + b"".join(packet(n) for n in range(200)))
    given = {"start": "2026-06-21T06:00:00Z", "interval": Duration(60)}
    assert [(n, START + timedelta(minutes=n)) for n in range(200)] == list(arrivals(iter(play(capture, **given))))
    *data, end = play(capture, **given)
    assert capture.read_bytes() == b"".join(chunk.data for chunk in data)
    assert (end.data, end.stream, end.end) == (b"", "", True)


def test_plain_bytes_begin_when_the_file_was_changed(capture: Path) -> None:
    """Without a start, the first packet has the time at which the file was last changed."""
    capture.write_bytes(packet(7))
    os.utime(capture, (START.timestamp(), START.timestamp()))
    assert list(arrivals(iter(play(capture)))) == [(7, START)]


def test_a_start_without_offset_is_local_time(capture: Path) -> None:
    """A start without an offset is a time of this computer."""
    capture.write_bytes(packet(7))
    local = START.astimezone().replace(tzinfo=None).isoformat()
    assert list(arrivals(iter(play(capture, start=local)))) == [(7, START)]


def test_an_empty_file_is_played(capture: Path) -> None:
    """An empty capture ends at once."""
    capture.touch()
    assert play(capture) == []


def test_damaged_lines_are_skipped_and_told_once(capture: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The first damaged line is logged with its number, the others are only counted, and the rest is played."""
    capture.write_text(line(b"\x01") + "junk\n" * 500 + line(b"\x02") + '{"hex": 5}\n')
    assert [chunk.data for chunk in play(capture)] == [b"\x01", b"\x02", b""]
    first, summary = [record.getMessage() for record in caplog.records]
    assert f"{capture}:2: not a line of a capture" in first
    assert summary == "501 damaged lines of the capture were skipped"


def test_one_damaged_line_is_told_only_once(capture: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A single damaged line needs no summary."""
    capture.write_text("{junk\n" + line(b"\x01"))
    play(capture)
    assert [f"{capture}:1"] == [record.getMessage().split(": ")[0] for record in caplog.records]


def test_streams_are_bounded(capture: Path) -> None:
    """Of a great many streams, those that were silent for longest are ended early, and every one exactly once."""
    names = [f"s{n}" for n in range(MAX_STREAMS + 50)]
    capture.write_text("".join(line(b"\x01", stream=name) for name in [*names[:500], "s0", *names[500:]]))
    chunks = play(capture)
    ends = [chunk.stream for chunk in chunks if chunk.end]
    assert sorted(names) == sorted(ends)
    assert names[1:51] == ends[:50]
    open_now: set[str] = set()
    most = 0
    for chunk in chunks:
        (open_now.discard if chunk.end else open_now.add)(chunk.stream)
        most = max(most, len(open_now))
    assert most == MAX_STREAMS + 1


def test_a_missing_file_is_told(capture: Path) -> None:
    """A file that is not there stops the source, which says where it looked and what to do."""
    with pytest.raises(Stop, match=r"capture: the file does not exist. Correct 'path' in \[source.test\]"):
        opened(capture)


def test_a_directory_is_no_capture(tmp_path: Path) -> None:
    """A directory stops the source with what it is."""
    with pytest.raises(Stop, match="this is a directory, not a capture"):
        opened(tmp_path)


def test_a_stop_ends_the_playing(capture: Path) -> None:
    """A source that is told to stop plays nothing more."""
    capture.write_text(line(b"\x01") * 10)
    stop = threading.Event()
    chunks = opened(capture).collect(stop)
    next(chunks)
    stop.set()
    assert list(chunks) == []


def test_recorded_pauses_are_kept(capture: Path) -> None:
    """At the recorded pace, the pauses are those between the times; never negative, and no longer than a day."""
    offsets = [0, 10, 10.5, 5, 5 + 3 * 86_400]
    capture.write_text("".join(line(b"\x01", START + timedelta(seconds=offset)) for offset in offsets))
    waits = Waits()
    chunks = list(opened(capture, pace="recorded").collect(waits))
    assert len(offsets) + 1 == len(chunks)
    assert [10, 0.5, 0, MAX_PAUSE.total_seconds()] == waits.seconds


def test_lines_without_time_have_no_pauses(capture: Path) -> None:
    """A line without a time follows at once, and does not hide the pause around it."""
    capture.write_text(line(b"\x01") + line(b"\x02", None) + line(b"\x03", START + timedelta(seconds=7)))
    waits = Waits()
    assert [chunk.data for chunk in opened(capture, pace="recorded").collect(waits)] == [b"\x01", b"\x02", b"\x03", b""]
    assert waits.seconds == [7]


def test_plain_bytes_are_paced_by_their_packets(capture: Path) -> None:
    """At the recorded pace, an interval is waited after each packet of a binary file, and junk between costs none."""
    capture.write_bytes(b"junk" + packet(1) + packet(2) + b"more junk" * 20 + packet(3))
    waits = Waits()
    source = opened(capture, pace="recorded", interval=Duration(5), start="2026-06-21T06:00:00Z")
    waited = [(seconds, time, len(waits.seconds)) for seconds, time in arrivals(source.collect(waits))]
    assert [(n, START + timedelta(seconds=5 * (n - 1)), n - 1) for n in (1, 2, 3)] == waited
    assert {5} == set(waits.seconds)


def test_a_pause_ends_when_told_to_stop() -> None:
    """A pause of a day ends at once when the source is told to stop."""
    stop = threading.Event()
    chunks = [Chunk(b"\x01", time=START), Chunk(b"\x02", time=START + timedelta(days=1))]
    played: list[Chunk] = []
    thread = threading.Thread(
        target=lambda: played.extend(with_recorded_pauses(iter(chunks), timedelta(seconds=1), stop))
    )
    thread.start()
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert chunks[1] not in played


def test_a_pause_between_packets_ends_when_told_to_stop(capture: Path) -> None:
    """The wait after a packet of a binary file ends at once when the source is told to stop."""
    capture.write_bytes(packet(1) * 100)
    stop = threading.Event()
    source = opened(capture, pace="recorded", interval=Duration(86_400))
    found = []
    for one in arrivals(source.collect(stop)):
        found.append(one)
        stop.set()
    assert len(found) == 1


@pytest.mark.parametrize("given", [{"interval": 0}, {"start": "yesterday"}, {"start": "1789-07-14"}])
def test_impossible_times_are_refused(capture: Path, given: dict[str, Any]) -> None:
    """Settings out of their range raise ValueError."""
    with pytest.raises(ValueError, match=r"."):
        File(path=capture, **given)


def test_a_capture_that_goes_back_in_time_is_played_in_its_order(capture: Path) -> None:
    """Chunks keep the order of the file, whatever their times are."""
    offsets = [10, 0, 20]
    capture.write_text("".join(line(b"\x01", START + timedelta(seconds=offset)) for offset in offsets))
    times = [chunk.time for chunk in play(capture) if chunk.time and not chunk.end]
    assert [(after - before).total_seconds() for before, after in pairwise(times)] == [-10.0, 20.0]
