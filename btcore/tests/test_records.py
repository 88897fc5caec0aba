# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plugin makes is checked where it is made, and never changes afterwards."""

import copy
import logging
import weakref
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import attrs
import pytest
from helpers.journal_entries import entry, reading_of, readings_of
from helpers.times import START

from btcore import FORMATS, Channel, Chunk, Context, Format, Packet, Reading, Reject, Retry, Sample, Stop, pack
from btcore.calculate.samples import between
from btcore.records import found_packet

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
CLAMP = Format("clamp", ("secs", "main_ws", "watts"), (Channel("main", "main_ws"),), unpack=lambda raw: (*raw, None))
VAST = 10**400

NAIVE = NOON.replace(tzinfo=None)
channel: Any = Channel
chunk: Any = Chunk
retry: Any = Retry
reject: Any = Reject
stop: Any = Stop
"""The same without their types, as a plugin that nobody checked calls them."""

MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "a channel without a name": (lambda: channel("", "x"), "a channel's name: expected text"),
    "a channel's name that steers a terminal": (
        lambda: channel("\x1b[2J", "x"),
        "a channel's name: expected text that can",
    ),
    "a channel's name of a thousand characters": (
        lambda: channel("x" * 1000, "x"),
        "at most 64 characters, found 1000",
    ),
    "a channel without a counter": (lambda: channel("x", None), '"absolute" of channel x: expected text, found None'),
    "a counter of no bits": (lambda: channel("x", "x_ws", bits=0), "bits of channel x: expected a whole number from 1"),
    "a counter of half a bit": (lambda: channel("x", "x_ws", bits=1.5), "found 1.5"),
    "a direction that is text": (lambda: channel("x", "x_ws", directional="no"), "directional of channel x"),
    "a format without secs": (lambda: clamp(labels=("main_ws",)), 'labels: "secs" is missing'),
    "a label twice": (lambda: clamp(labels=(*CLAMP.labels, "WATTS")), '"WATTS" is there twice'),
    "a label that is a number": (
        lambda: clamp(labels=("secs", 5)),
        "a label: expected text, found an int",
    ),
    "labels in one text": (lambda: clamp(labels="secs"), "labels: expected a tuple, found a str"),
    "a channel that counts by a label that is not there": (
        lambda: clamp(channels=(channel("main", "main_aws"),)),
        'format "clamp": channel "main" counts by the label "main_aws", which the format does not have',
    ),
    "a channel twice": (lambda: clamp(channels=CLAMP.channels * 2), 'channels: "main" is there twice'),
    "a channel that is a name": (lambda: clamp(channels=("main",)), "expected Channels, found a str"),
    "a format's name with a space": (lambda: clamp(name="a clamp"), "expected letters, digits"),
    "a seconds counter of -1 bits": (lambda: clamp(seconds_bits=-1), "seconds_bits: expected"),
    "a seconds counter that is said to be missing": (lambda: clamp(seconds_bits=0), "0 says that there is no seconds"),
    "a reset label that is not there": (lambda: clamp(reset_label="flag"), "has no label 'flag'"),
    "a reset label without a mask": (lambda: clamp(reset_label="watts"), "say which bits"),
    "a mask that is negative": (lambda: clamp(reset_mask=-1), "reset_mask"),
    "an unpack that is no function": (lambda: clamp(unpack=()), "expected functions"),
    "a clock that is no function": (lambda: clamp(clock=NOON), "expected functions"),
    "a family of another house": (lambda: clamp(family="acme"), "family: expected"),
    "a chunk of text": (lambda: chunk("fe ff"), "a chunk's data: expected bytes, found a str"),
    "a chunk of numbers": (lambda: chunk([1, 2]), "a chunk's data: expected bytes, found a list"),
    "a chunk of nothing": (lambda: chunk(None), "a chunk's data: expected bytes, found None"),
    "a chunk's stream that is a number": (lambda: chunk(b"", stream=5), "a chunk's stream: expected text"),
    "a chunk's stream without end": (lambda: chunk(b"", stream="x" * 201), "more than 200 characters"),
    "a chunk's naive time": (lambda: chunk(b"", time=NAIVE), "expected a time with its zone"),
    "a chunk's time that is a number": (lambda: chunk(b"", time=5.0), "expected a datetime, found a float"),
    "a chunk's clock that is a time": (lambda: chunk(b"", clock=NOON), "expected an iterator of times"),
    "a reading's naive time": (
        lambda: made(time=NAIVE),
        "a reading's time: expected a time with its zone",
    ),
    "a reading's time outside all dates": (
        lambda: made(time=datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))),
        "outside the range of dates",
    ),
    "a reading of no format": (lambda: made(format="clamp"), "a reading's format: expected a Format, found a str"),
    "a serial number that is a number": (lambda: made(serial=4242), "a serial number: expected text, found an int"),
    "a serial number that is empty": (lambda: made(serial=""), "a serial number: expected text that can be printed"),
    "a serial number of two lines": (
        lambda: made(serial="42\n42"),
        "a serial number: expected text that can be printed",
    ),
    "a serial number without end": (lambda: made(serial="4" * 65), "at most 64 characters"),
    "a packet that is text": (lambda: made(raw="*"), "a reading's raw: expected bytes, found a str"),
    "too few numbers": (lambda: made(numbers=(1, 2)), "2 numbers for the 3 labels of format clamp"),
    "too many numbers": (lambda: made(numbers=(1, 2, 3, 4)), "4 numbers for the 3 labels of format clamp"),
    "NaN": (lambda: made(numbers=(1, float("nan"), 3)), "main_ws of format clamp: expected a finite number"),
    "infinity": (lambda: made(numbers=(1, 2, float("-inf"))), "watts of format clamp: expected a finite number"),
    "text among the numbers": (lambda: made(numbers=(1, "2", 3)), "main_ws of format clamp: expected an int, a float"),
    "a truth among the numbers": (lambda: made(numbers=(1, 2, True)), "watts of format clamp: expected an int"),
    "another kind of number": (lambda: made(numbers=(1, 2, Decimal(3))), "found a Decimal"),
    "a number beyond all databases": (lambda: made(numbers=(1, 2, 1 << 63)), "found one of more than 64 bits"),
    "a number beyond all floats": (lambda: made(numbers=(1, VAST, 0.5)), "found one of more than 64 bits"),
    "no seconds": (
        lambda: made(numbers=(None, 2, 3)),
        "secs of format clamp: expected a whole number from 0 to 16777215",
    ),
    "negative seconds": (lambda: made(numbers=(-1, 2, 3)), "found -1"),
    "half a second": (lambda: made(numbers=(0.5, 2, 3)), "found 0.5"),
    "seconds beyond their counter": (lambda: made(numbers=(1 << 24, 2, 3)), "found 16777216"),
    "a delay that is text": (lambda: retry("later", after="17"), "Retry: after: expected a number of seconds"),
    "a delay that is a truth": (lambda: retry("later", after=True), "Retry: after: expected a number of seconds"),
    "a delay that is NaN": (lambda: retry("later", after=float("nan")), "from 0 on, found nan"),
    "a delay without end": (lambda: retry("later", after=float("inf")), "from 0 on, found inf"),
    "a delay into the past": (lambda: retry("later", after=-1), "from 0 on, found -1"),
    "a delay for a reason": (lambda: retry(5), "Retry: expected the reason as text, found 5"),
    "half of a batch": (lambda: reject("never", whole_batch=0.5), "Reject: whole_batch: expected True or False"),
    "a refusal for no reason": (lambda: reject(None), "Reject: expected the reason as text, found None"),
    "a stop for an error": (lambda: stop(OSError("no")), "Stop: expected the reason as text"),
}


def clamp(**changed: Any) -> Format:  # noqa: ANN401 - of any kind
    """Make a format, with something else in it."""
    return attrs.evolve(CLAMP, **changed)


def made(**changed: Any) -> Reading:  # noqa: ANN401 - of any kind
    """Make a reading, with something else in it."""
    return Reading(**{"time": NOON, "format": CLAMP, "serial": "4242", "raw": b"", "numbers": (1, 2, 3), **changed})


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_where_it_is_made(mistake: str) -> None:
    """What makes no sense raises TypeError or ValueError at once, and says what was expected and what was found."""
    make, said = MISTAKES[mistake]
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert said in str(caught.value)


def test_what_is_unpacked_is_checked_too() -> None:
    """Numbers that a reading unpacks on first use are checked like those that it is given."""
    late = made(numbers=None, raw=b"\x01")
    with pytest.raises(ValueError, match="2 numbers for the 3 labels"):
        late.numbers  # noqa: B018 - asking is what unpacks
    assert made(numbers=None, raw=b"\x01\x02").numbers == (1, 2, None)


def test_bytes_of_any_kind_are_a_chunk() -> None:
    """What a library hands out as bytes is taken as they are now: a buffer that it fills again changes nothing."""
    buffer = bytearray(b"abc")
    chunks = [Chunk(buffer), Chunk(memoryview(buffer)[1:])]
    buffer[:] = b"xyz"
    assert [chunk.data for chunk in chunks] == [b"abc", b"bc"]


def test_times_are_in_utc() -> None:
    """A time of another zone is the same moment in UTC, of a chunk and of a reading."""
    summer = NOON.astimezone(timezone(timedelta(hours=2)))
    for time in (Chunk(b"", time=summer).time, made(time=summer).time):
        assert (time, time.tzinfo if time else None) == (NOON, UTC)


def test_lists_become_tuples() -> None:
    """Labels, channels and numbers may be given as lists, which the plugin may change afterwards."""
    labels, numbers = ["secs", "main_ws", "watts"], [1, 2, 3]
    form = attrs.evolve(CLAMP, labels=labels, channels=list(CLAMP.channels))
    one = made(format=form, numbers=numbers)
    labels[0], numbers[0] = "other", 99
    assert (form.labels, form.channels, one.values) == (
        CLAMP.labels,
        CLAMP.channels,
        {"secs": 1, "main_ws": 2, "watts": 3},
    )


def changes(of: Reading, sample: Any, context: Any) -> Iterator[Callable[[], object]]:  # noqa: ANN401 - as above
    """Yield what one sink could do to what the next one gets."""
    yield lambda: setattr(of, "serial", "1")
    yield lambda: setattr(of, "time", NOON)
    yield lambda: setattr(of, "_numbers", ())
    yield lambda: delattr(of, "raw")
    yield lambda: setattr(sample, "seconds", 1)
    yield lambda: setattr(sample, "newer", of)
    yield lambda: sample.values.update(ch1_w=1)
    yield lambda: sample.format.index.update(secs=0)
    yield lambda: setattr(sample.format, "labels", ())
    yield lambda: context.channels.update(x="y")


def test_what_one_sink_is_given_the_next_one_is_given_too() -> None:
    """A reading, a sample, a format and the names of channels cannot be changed: several sinks share them."""
    older, newer = readings_of([entry(0), entry(10, energy=3600)])
    sample = between(older, newer)
    assert isinstance(sample, Sample)
    names = {"312345_ch1": "solar"}
    context = Context("sink.x", logging.getLogger("sink.x"), channels=names)
    before = (newer.values, dict(sample.values), newer.key)
    for change in changes(newer, sample, context):
        with pytest.raises((AttributeError, TypeError)):
            change()
    newer.values["secs"] = 0  # a dict of its own
    names.clear()
    assert before == (newer.values, dict(sample.values), newer.key)
    assert context.channels == {"312345_ch1": "solar"}
    assert newer.key == START + 10_000_000


def test_all_that_brultech_makes_is_sound() -> None:
    """The checks accept every format of the house, and a packet of zeros in each."""
    for form in FORMATS.values():
        assert form.checked([0] * len(form.labels))
    assert reading_of(entry(1)).numbers


def test_nobody_changes_a_record_once_it_is_made() -> None:
    """A reading, a sample and a packet are filled before they are frozen: no field can be set after that, or added."""
    form = FORMATS["ecm1240bin"]
    raw = pack("ecm1240bin", "355555", {"secs": 5})
    older, newer = (Reading(datetime(2026, 1, 1, tzinfo=UTC), form, "355555", raw) for _ in range(2))
    found = found_packet(len(raw), form, "355555", raw)
    assert found == Packet(len(raw), form, "355555", raw)
    for record in (older, Sample(older, newer, 1.0, reset=False, calculate=dict), found):
        assert type(record).__name__ in {"Reading", "Sample", "Packet"}
        for name in (*(field.name for field in attrs.fields(type(record))), "another", "__class__"):
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                setattr(record, name, None)
        assert weakref.ref(record)() is record


def test_a_copy_of_a_record_has_all_that_it_had() -> None:
    """Of a reading also what was found out about it, and of a sample its readings: copies cannot be changed either."""
    older, newer = readings_of([entry(1, secs=5, energy=77), entry(2, secs=6, energy=78)])
    sample = between(older, newer)
    records: list[Any] = [newer, sample]
    for one in records:
        again = copy.copy(one)
        assert type(again) is type(one)
        assert all(getattr(again, field.name) is getattr(one, field.name) for field in attrs.fields(type(one)))
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            again.serial = "2"
