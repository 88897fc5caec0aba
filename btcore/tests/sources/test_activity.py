# SPDX-License-Identifier: GPL-3.0-or-later
"""What is noted of the meters of a source, of many packets at once."""

from datetime import UTC, datetime, timedelta

import pytest

from btcore import Packet, pack
from btcore.decode.brultech import Brultech
from btcore.device.heard import HeardMeters
from btcore.sources.activity import Activity, MeterActivity

START = datetime(2026, 1, 1, tzinfo=UTC)


def packet_of(serial: str, secs: int) -> Packet:
    """Make a packet."""
    packet = Brultech().decode_packet(memoryview(pack("ecm1240bin", serial, {"secs": secs})))
    assert isinstance(packet, Packet)
    return packet


def test_readings_that_come_at_once_are_counted_as_one_by_one() -> None:
    """Each meter has the number of its readings and the time of its last one, and the last heard comes first."""
    readings = [("1", 5), ("2", 6), ("1", 7), ("3", 8), ("2", 9)]
    at_once, one_by_one = Activity(), Activity()
    at_once.add_all(readings)
    for one in readings:
        one_by_one.add(*one)
    expected = [("2", MeterActivity(2, 9)), ("3", MeterActivity(1, 8)), ("1", MeterActivity(2, 7))]
    assert list(at_once.meters()) == list(one_by_one.meters()) == expected


def test_of_packets_that_come_at_once_the_last_of_each_meter_is_known() -> None:
    """A meter is known by the last of its packets, and the meters are in the order in which they were heard last."""
    packets = [packet_of(serial, at) for at, serial in enumerate(["300001", "300002", "300001"])]
    heard = HeardMeters()
    heard.add("line", [(packet, START + timedelta(seconds=at)) for at, packet in enumerate(packets)])
    assert [(one.serial, one.time) for one in heard] == [
        ("300001", START + timedelta(seconds=2)),
        ("300002", START + timedelta(seconds=1)),
    ]


def test_a_meter_is_on_the_stream_of_its_last_packet_until_that_ends() -> None:
    """The end of a stream that a meter has left is nothing to it; with that of its own, it is on none."""
    first, second = packet_of("300001", 1), packet_of("300002", 1)
    heard = HeardMeters()
    heard.add("a", [(first, START), (second, START)])
    heard.add("b", [(first, START)])
    assert [[one.serial for one in heard.on_stream(name)] for name in ("a", "b")] == [["300002"], ["300001"]]
    heard.end("a")
    assert {one.serial: one.stream for one in heard} == {"300001": "b", "300002": None}
    heard.end("b")
    heard.end("b")
    assert [one.serial for one in heard.on_stream(None)] == ["300001", "300002"]
    heard.add("a", [(second, START)])
    assert {one.serial: one.stream for one in heard} == {"300001": None, "300002": "a"}


def test_a_meter_that_is_forgotten_leaves_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more meters than are remembered, those that were heard last are on the stream; its end concerns no other."""
    monkeypatch.setattr("btcore.device.heard.MAX_METERS", 2)
    heard = HeardMeters()
    heard.add("a", [(packet_of(f"30000{number}", 1), START) for number in range(4)])
    assert [one.serial for one in heard.on_stream("a")] == ["300003", "300002"]
    heard.end("a")
    assert [one.serial for one in heard.on_stream(None)] == ["300003", "300002"]
