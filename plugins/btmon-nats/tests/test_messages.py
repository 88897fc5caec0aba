# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages: what is encoded comes back as it was, and whatever else comes is refused with a reason."""

import json
import zlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore import FORMATS, Channel, Format, Reading, pack
from btmon_nats.messages import MAX_BYTES, NotAMessage, decode, encode, message_id
from btmon_nats.subjects import partition_of, publisher_of, subject_of

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)

OTHER_MAKE = Format(
    name="meter", labels=("secs", "in_ws"), channels=(Channel("in", "in_ws", None, 32),), unpack=lambda _raw: ()
)


def gem(second: int, serial: str = "01000777") -> Reading:
    """Return a reading of a GEM with its packet."""
    raw = pack("gem48ptbin", serial, {"volts": 120.5, "secs": second, "ch1_aws": 1000 * second})
    form = FORMATS["gem48ptbin"]
    return Reading(NOON + timedelta(seconds=second), form, serial, raw, "panel", 0, 5, 7, "10.0.0.7", "simulated")


def other(second: int, number: float | None) -> Reading:
    """Return a reading of another make, as a source of numbers yields it."""
    return Reading(NOON, OTHER_MAKE, "M-1", b"", "db", numbers=(second, number))


def fields(reading: Reading) -> tuple[object, ...]:
    """Return what a reading says, apart from the identity of its format."""
    stamps = (reading.key, reading.monotonic, reading.boot, reading.source, reading.address, reading.origin)
    return (reading.serial, reading.format.name, reading.format.labels, reading.numbers, reading.raw, *stamps)


@given(
    st.lists(st.integers(0, 1 << 20) | st.tuples(st.integers(0, 1000), st.none() | st.integers(0, 1 << 31)), max_size=9)
)
def test_what_was_encoded_is_decoded(what: list[int | tuple[int, int | None]]) -> None:
    """Readings of a GEM and of another make come back with each of their fields, in their order."""
    readings = [gem(one) if isinstance(one, int) else other(*one) for one in what]
    assert list(map(fields, decode(encode(readings)))) == list(map(fields, readings))


def test_formats_are_the_same_objects() -> None:
    """Readings of several messages can be compared: Brultech's formats are the core's, others are made once."""
    (first,), (second,) = decode(encode([other(1, 2)])), decode(encode([other(2, 3)]))
    assert first.format is second.format
    assert decode(encode([gem(1)]))[0].format is FORMATS["gem48ptbin"]


def test_a_hundred_packets_take_less_than_themselves() -> None:
    """A message of a minute's packets is smaller than half of them."""
    readings = [gem(second) for second in range(100)]
    assert len(encode(readings)) < sum(len(one.raw) for one in readings) / 2


def test_the_same_readings_are_the_same_message() -> None:
    """So a cluster finds that it has it; another reading, or another publisher, makes another."""
    subject, message = "energy.007.house-1", encode([gem(1)])
    assert message_id(subject, message) == message_id(subject, encode([gem(1)]))
    others = {message_id(subject, encode([gem(2)])), message_id("energy.007.house-2", message)}
    assert message_id(subject, message) not in others


@given(st.binary(max_size=200), st.integers(0, 1000))
def test_any_bytes_are_refused_or_readings(junk: bytes, at: int) -> None:
    """Neither junk, nor a message with junk in it, raises anything else."""
    message = encode([gem(1), other(1, 2)])
    for data in (junk, message[:at], message[:at] + junk + message[at:], zlib.compress(junk)):
        with suppress(NotAMessage):
            decode(data)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": 2}, "it is of version 2; this btcore knows version 1"),
        ({"version": None}, "it is of version None; this btcore knows version 1"),
        ({"format": ["gem99"]}, "format 'gem99' is not known, and not described"),
        ({"size": [626]}, "its packets are cut off"),
        ({"size": [-1]}, "its packets are cut off"),
        ({"key": []}, "its content is not as it should be (ValueError)"),
        ({"key": [1 << 70]}, "its content is not as it should be (OverflowError)"),
        ({"serial": [7]}, "its content is not as it should be (TypeError)"),
        ({"serial": ["\x1b[2J"]}, "its content is not as it should be (ValueError)"),
        ({"numbers": [[1, 2]]}, "its content is not as it should be (ValueError)"),
        ({"formats": {"x": {"labels": []}}}, "its content is not as it should be (KeyError)"),
    ],
)
def test_what_is_wrong_with_a_message_is_told(change: dict[str, object], why: str) -> None:
    """The reason says what does not fit, and shows nothing that a terminal would obey."""
    line, _, packets = zlib.decompress(encode([gem(1)])).partition(b"\n")
    message = zlib.compress(json.dumps({**json.loads(line), **change}).encode() + b"\n" + packets)
    with pytest.raises(NotAMessage) as raised:
        decode(message)
    assert str(raised.value) == why


def test_a_bomb_is_not_inflated() -> None:
    """A message that claims to be larger than one can be takes no memory."""
    with pytest.raises(NotAMessage, match="cut off, or has more than 4 MB"):
        decode(zlib.compress(bytes(MAX_BYTES + 1)))


@given(st.text("0123456789", min_size=1, max_size=8), st.integers(1, 1000))
def test_a_meter_has_one_partition(serial: str, partitions: int) -> None:
    """It is one of those that there are, whoever computes it."""
    assert 0 <= partition_of(serial, partitions) < partitions
    assert partition_of("01000777", 16) == 6


def test_a_subject_names_its_publisher() -> None:
    """Partition and publisher are parts of their own, by which a server can tell who may publish."""
    assert subject_of("energy", 7, "house-1") == "energy.007.house-1"
    assert publisher_of("energy.007.house-1") == "house-1"
