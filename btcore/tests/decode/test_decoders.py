# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoders: which plugin answers, what its faults cost, and how readings come out of the journal again."""

import logging
from datetime import UTC, datetime

import attrs
import pytest
from helpers.journal_entries import entry, reading_of
from helpers.packets import DECODERS, METER, packet
from helpers.times import START
from hypothesis import given
from hypothesis import strategies as st

from btcore import FORMATS, Channel, Damaged, Format, Incomplete, Packet, Reading, hookimpl, plugin
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.decode.packetless import encode_reading
from btcore.hook_calls import hook_caller
from btcore.journal import Entry

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
Answer = Packet | Incomplete | Damaged | None


@plugin(api=1)
class Faulty:
    """A decoder that raises, each time with another text."""

    asked: list[int] = attrs.field(factory=list)

    @hookimpl
    def decode_packet(self, buffer: memoryview) -> Answer:
        """Raise."""
        self.asked.append(len(buffer))
        raise ValueError(f"cannot read these {len(self.asked)} bytes")


STAR = Format("star", ("secs",), (), unpack=lambda _raw: (0,))


@plugin(api=1)
class Stars:
    """Decodes `*` as a whole packet, `+` as the beginning of one, `!` as a damaged one."""

    header = b"*"
    mark: bytes = b"*"

    @hookimpl
    def decode_packet(self, buffer: memoryview) -> Answer:
        """Look at the first byte."""
        first = bytes(buffer[:1])
        if first == self.mark:
            return Packet(1, STAR, first.decode(), first)
        return Incomplete() if first == b"+" else Damaged("broken") if first == b"!" else None


def test_the_first_answer_counts() -> None:
    """Decoders are asked in order, and the first that knows the bytes decides: whole, incomplete or damaged."""
    decoders = Decoders([Stars(mark=b"#"), Stars()])
    answers = [decoders.decode(memoryview(text)) for text in (b"#", b"*", b"+", b"!", b"?")]
    assert [type(answer) for answer in answers] == [Packet, Packet, Incomplete, Damaged, type(None)]


def test_without_decoders_nothing_is_known() -> None:
    """No decoder, no packet."""
    assert Decoders([]).decode(memoryview(packet())) is None


def test_a_decoder_that_raises_costs_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Its answer counts as "not mine", those after it are asked, and its fault is told once, with the traceback."""
    faulty = Faulty()
    stream = Decoders([faulty, Brultech()]).stream()
    found = stream.feed(packet(secs=1) + packet(secs=2), NOON)
    assert [FORMATS["ecm1220bin"].unpack(one.raw)[1] for one, _ in found] == [1, 2]
    assert len(faulty.asked) > 1
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert '"not mine": ValueError: cannot read these 1 bytes' in caplog.text
    assert "Traceback" in caplog.text


def test_a_stream_skips_only_to_headers_that_all_decoders_tell() -> None:
    """Where one decoder tells no header, it is asked about every byte."""
    skipping = Decoders([Stars(), Brultech()]).stream()
    assert len(skipping.feed(b"junk*junk" + packet(), NOON)) == 2
    faulty = Faulty()
    asking = Decoders([faulty, Stars()]).stream()
    assert len(asking.feed(b"junk*junk", NOON)) == 1
    assert len(faulty.asked) == 9


def test_a_hook_that_a_plugin_has_not_got_returns_nothing() -> None:
    """Calling what an instance does not implement is no error."""
    assert hook_caller(Brultech()).preview_batch(batch=None) is None


# --- out of the journal again


def test_a_packet_is_recalled() -> None:
    """A journal entry becomes the reading that it was, with the time and place that the journal gave it."""
    found = reading_of(attrs.evolve(entry(1.000001, secs=7, energy=99), offset=5))
    assert (found.key, found.serial, found.source, found.offset) == (START + 1_000_001, METER, "panel", 5)
    assert (found.format, found.seconds, found.get("ch1_aws")) == (FORMATS["ecm1220bin"], 7, 99)


def test_what_no_decoder_knows_is_not_recalled() -> None:
    """Without the decoder there is no reading; nor of a packet that is not whole."""
    assert Decoders([]).read_entry(entry(1)) is None
    assert DECODERS.read_entry(attrs.evolve(entry(1), raw=packet()[:-1])) is None


METERS = Format(
    name="meter",
    labels=("secs", "in_ws", "out_ws", "level"),
    channels=(Channel("in", "in_ws", "out_ws", 32), Channel("out", "out_ws", None, 48, directional=False)),
    unpack=lambda _raw: (),
    seconds_bits=32,
    reset_label="level",
    reset_mask=3,
)

NUMBERS = st.none() | st.integers(-(1 << 60), 1 << 60) | st.floats(allow_nan=False, allow_infinity=False)


def recalled(whole: Reading) -> Reading:
    """Put a whole reading into an entry, and recall it without any decoder."""
    found = Decoders([]).read_entry(
        Entry(whole.key, "old", whole.serial, whole.format.name, encode_reading(whole), packetless=True, offset=9)
    )
    assert found is not None
    return found


@given(st.tuples(st.integers(0, (1 << 32) - 1), NUMBERS, NUMBERS, NUMBERS))
def test_a_whole_reading_is_recalled(numbers: tuple[int, float, float, float]) -> None:
    """A reading that came without a packet comes back with all its numbers, and describes itself."""
    found = recalled(Reading(NOON, METERS, METER, b"", numbers=numbers))
    assert (found.time, found.serial, found.source, found.offset, found.numbers) == (NOON, METER, "old", 9, numbers)
    same = ("name", "labels", "channels", "seconds_bits", "reset_label", "reset_mask")
    assert [getattr(found.format, name) for name in same] == [getattr(METERS, name) for name in same]


def test_whole_readings_of_one_meter_have_one_format() -> None:
    """Readings of the same description share a format, so that there are samples between them; others do not."""
    first, second = (recalled(Reading(NOON, METERS, METER, b"", numbers=(n, 1, 2, 3))) for n in (1, 2))
    other = recalled(Reading(NOON, attrs.evolve(METERS, seconds_bits=16), METER, b"", numbers=(1, 1, 2, 3)))
    assert first.format is second.format
    assert first.format is not other.format


def test_a_whole_reading_of_a_known_format_is_recalled() -> None:
    """A source may yield readings of a packet's format, from a database; they need no packet."""
    made = reading_of(entry(1, secs=5, energy=77))
    found = recalled(Reading(NOON, made.format, METER, b"", numbers=made.numbers))
    assert (found.values, found.seconds) == (made.values, 5)


def test_plugin_faults_are_told_for_each_place(caplog: pytest.LogCaptureFixture) -> None:
    """Another fault of the same plugin is told as well."""

    @plugin(api=1)
    class Twice:
        @hookimpl
        def decode_packet(self, buffer: memoryview) -> Answer:
            if bytes(buffer) == b"a":
                raise ValueError("one")
            raise ValueError("two")

    decoders = Decoders([Twice()])
    for text in (b"a", b"b", b"a", b"b"):
        decoders.decode(memoryview(text))
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
