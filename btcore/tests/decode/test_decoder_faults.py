# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stranger's decoder can do wrong: it costs the packet that it did it to, and is told once."""

import logging
from asyncio import CancelledError
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from helpers.acme_decoder import FINE, Acme, acme, failing, levels, making
from helpers.packets import packet
from helpers.running_source import collect_items
from helpers.times import NOON

from btcore import (
    Chunk,
    Damaged,
    Incomplete,
    Packet,
    hookimpl,
    plugin,
)
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.journal import Journal
from btcore.text import describe_error

NAN = float("nan")
FIRST = datetime(1, 1, 1)  # noqa: DTZ001 - a meter's clock has no zone


def test_a_packet_that_cannot_be_unpacked_is_a_damaged_one(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """It is skipped as a whole, counted, told once with the decoder's name, and never journalled."""
    work = collect_items(
        journal,
        *(Chunk(b"*" + bytes([n, level])) for n, level in enumerate((1, 13, 2, 13, 3))),
        decoders=Decoders([making(acme(unpack=failing))]),
    )
    assert levels(journal) == [1, 2, 3]
    assert str(work.worker.counts) == "3 packets, 6 junk bytes, 2 damaged packets"
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert 'the decoder "acme" made a packet of format acme that is not valid, and is skipped: RuntimeError: 13 is' in (
        record.getMessage()
    )


@pytest.mark.parametrize(
    ("unpacked", "said"),
    [
        ((1,), "1 numbers for the 2 labels"),
        ((1, 2, 3), "3 numbers for the 2 labels"),
        ((1, NAN), "level of format acme: expected a finite number"),
        ((1, float("inf")), "level of format acme: expected a finite number"),
        ((1, "2"), "level of format acme: expected an int, a float or None, found a str"),
        ((1, True), "level of format acme: expected an int, a float or None, found a bool"),
        ((1, 10**400), "found one of more than 64 bits"),
        ((None, 2), "secs of format acme: expected a whole number"),
        ((-1, 2), "secs of format acme: expected a whole number"),
        ((0.5, 2), "secs of format acme: expected a whole number"),
        ((1 << 24, 2), "secs of format acme: expected a whole number from 0 to 16777215"),
        (None, "TypeError"),
    ],
)
def test_what_is_unpacked_has_to_make_sense(unpacked: object, said: str, caplog: pytest.LogCaptureFixture) -> None:
    """A number for each label, each finite or None, and whole seconds: anything else is a damaged packet."""
    stream = Decoders([making(acme(unpack=lambda _raw: unpacked)), Brultech()]).stream()
    found = stream.feed(b"*ab" + packet(), NOON)
    assert [one.format.name for one, _ in found] == ["ecm1220bin"]
    assert (stream.counts.junk, stream.counts.damaged) == (3, 1)
    assert said in caplog.text


@pytest.mark.parametrize(
    ("changed", "junk", "said"),
    [
        ({"size": 0}, 3, "expected from 1 to the 46 bytes of the buffer, found 0"),
        ({"size": -3}, 3, "found -3"),
        ({"size": 47}, 3, "found 47"),
        ({"size": 2.5}, 3, "found 2.5"),
        ({"size": True}, 3, "found True"),
        ({"format": None}, 3, "expected a Format, found None"),
        ({"serial": 7}, 3, "its serial number: expected text, found an int"),
        ({"serial": ""}, 3, "its serial number: expected text that can be printed"),
        ({"serial": "\x1b[2J7"}, 3, "its serial number: expected text that can be printed"),
        ({"serial": "7" * 65}, 3, "at most 64 characters"),
        ({"raw": "*ab"}, 3, "expected the bytes of the packet, found a str"),
        ({"raw": memoryview(b"*ab")}, 3, "expected the bytes of the packet, found a memoryview"),
        ({"raw": b""}, 3, "expected the bytes of the packet"),
        ({"raw": b"*"}, 3, "does not make the same packet of its `raw` again"),
        ({"raw": b"ab*"}, 3, "does not make the same packet of its `raw` again"),
    ],
)
def test_a_packet_has_to_make_sense(
    changed: dict[str, Any], junk: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A packet that the journal could not keep, or not bring back, is a damaged one, and told with what is wrong."""
    form = acme(unpack=lambda _raw: (1, 2))
    stream = Decoders([making(form, **changed), Brultech()]).stream()
    found = stream.feed(b"*ab" + packet(), NOON)
    assert [one.format.name for one, _ in found] == ["ecm1220bin"]
    assert (stream.counts.junk, stream.counts.damaged) == (junk, 1)
    assert said in caplog.text
    assert 'the decoder "acme"' in caplog.text


def test_a_format_for_each_packet_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Readings of different formats have no samples between them: a decoder that makes one each time is told so."""
    decoders = Decoders([Acme(make=lambda raw: Packet(3, acme(), "7", raw))])
    assert isinstance(decoders.decode(memoryview(b"*ab")), Damaged)
    assert "it makes another Format for each packet; make it once" in caplog.text


@pytest.mark.parametrize("answer", ["mine", 5, b"*ab", True, Packet])
def test_an_answer_of_another_kind_is_no_answer(answer: object, caplog: pytest.LogCaptureFixture) -> None:
    """What is neither a packet nor a refusal counts as "not mine", and is told."""
    stream = Decoders([Acme(make=lambda _raw: answer), Brultech()]).stream()
    assert len(stream.feed(b"*ab" + packet(), NOON)) == 1
    assert 'the decoder "acme" failed and was taken to answer "not mine": decode_packet answered a' in caplog.text


@pytest.mark.parametrize("size", [0, -1, 47, 1.5, None])
def test_a_damaged_packet_of_no_size_is_no_answer(size: Any, caplog: pytest.LogCaptureFixture) -> None:  # noqa: ANN401
    """Bytes that are not there cannot be skipped."""
    stream = Decoders([Acme(make=lambda _raw: Damaged("no", size)), Brultech()]).stream()
    assert len(stream.feed(b"*ab" + packet(), NOON)) == 1
    assert f"from 1 to the 46 bytes of the buffer, found {size}" in caplog.text


def test_a_damaged_packet_is_skipped_as_far_as_its_decoder_knows_it() -> None:
    """`Damaged(why, size)` skips a whole line, say, in which nothing else is looked for."""
    stream = Decoders([Acme(make=lambda raw: Damaged("no", 3) if raw[1] == 42 else Packet(3, FINE, "7", raw))]).stream()
    assert len(stream.feed(b"***" + b"*ab", NOON)) == 1
    assert (stream.counts.junk, stream.counts.damaged) == (3, 1)


@pytest.mark.parametrize("error", [CancelledError("gone"), GeneratorExit(), SystemExit(3), KeyboardInterrupt()])
def test_no_exception_of_a_decoder_ends_a_worker(
    journal: Journal, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it raises, while it decodes or while it unpacks, the source goes on."""

    def raise_it(_raw: bytes) -> Any:  # noqa: ANN401 - nothing comes back
        raise error

    for instance in (Acme(make=raise_it), making(acme(unpack=raise_it))):
        work = collect_items(journal, Chunk(b"*ab"), Chunk(packet()), decoders=Decoders([instance, Brultech()]))
        assert work.worker.counts.packets == 1
        assert type(error).__name__ in caplog.text
        caplog.clear()


def test_an_exception_that_cannot_be_told_is_told_by_its_type() -> None:
    """An exception whose own text raises harms nobody."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert describe_error(Mute()) == "Mute"


# --- the meter's own clock


@pytest.mark.parametrize("shown", ["noon", datetime(2026, 6, 21, tzinfo=UTC), FIRST, ZeroDivisionError])
@pytest.mark.parametrize("clock", ["device-utc", "device-local"])
def test_a_clock_that_cannot_be_read_is_not_set(
    journal: Journal,
    caplog: pytest.LogCaptureFixture,
    shown: Any,  # noqa: ANN401 - of any kind
    clock: Literal["device-utc", "device-local"],
) -> None:
    """A reading whose clock raises, or shows no time, has the time of its arrival; that is told once."""

    def read(_raw: bytes) -> Any:  # noqa: ANN401 - as above
        if shown is ZeroDivisionError:
            raise ZeroDivisionError
        return shown

    decoders = Decoders([making(acme(clock=read))])
    chunks = (Chunk(b"*a" + bytes([n]), time=NOON + timedelta(seconds=n)) for n in range(3))
    collect_items(journal, *chunks, decoders=decoders, settings={"clock": clock})
    assert len(levels(journal)) == 3
    if shown is FIRST and clock == "device-utc":
        return  # a date, if a strange one
    assert [entry.key % 60_000_000 for entry in journal.read(0, 9)] == [0, 1_000_000, 2_000_000]
    assert caplog.text.count("the clock of format acme cannot be read, and the time of arrival is taken") == 1


# --- answers that are no fault, and no use ----------------------------------------------------------------------------


def test_a_decoder_that_finds_only_damage_beside_others_is_told_once(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    """Where one decoder calls all its packets damaged, and another's are whole, that is told once, with its reason."""
    wrong = Acme(make=lambda _raw: Damaged("its checksum does not fit", size=3))
    chunks = [Chunk(b"*ab" * 5 + packet(secs=n)) for n in range(50)]
    work = collect_items(journal, *chunks, decoders=Decoders([wrong, Brultech()]))
    assert work.worker.kept == 50
    (text,) = [record.getMessage() for record in caplog.records]
    assert text == (
        'the decoder "acme" has found 20 packets, and all of them are damaged (its checksum does not fit), while'
        " those of other decoders are intact: is it the right one?"
    )


def test_damage_beside_whole_packets_of_the_same_decoder_is_nothing(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    """A decoder some of whose packets are damaged is the right one."""
    form = acme()
    sometimes = Acme(
        make=lambda raw: Packet(3, form, "7", raw) if raw[2] == 5 else Damaged(),
    )
    collect_items(journal, Chunk((b"*\1\5" + b"*\1\6" * 20 + packet()) * 5), decoders=Decoders([sometimes, Brultech()]))
    assert caplog.messages == []


def test_a_decoder_that_never_has_enough_is_told(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """A decoder that asks for more for ever holds packets up, and is told once; they are kept all the same."""

    @plugin(api=1)
    class Greedy:
        @hookimpl
        def decode_packet(self, buffer: memoryview) -> Incomplete | None:
            return Incomplete() if buffer[0] == 0 else None

    data = bytes(10) + packet() * 2000
    work = collect_items(journal, Chunk(data), decoders=Decoders([Greedy(), Brultech()]))
    assert work.worker.kept == 2000
    assert caplog.messages == ['the decoder "greedy" asks for more than 86010 bytes, and is not waited for']


@pytest.mark.parametrize(
    ("attribute", "value", "expected"),
    [
        (
            "header",
            "*",
            "has a `header` that cannot be used: expected bytes or a tuple of them, found '*'",
        ),
        (
            "header",
            (b"*", 5),
            "has a `header` that cannot be used: expected bytes or a tuple of them, found (b'*', 5)",
        ),
        ("candidate", "*", "has a `candidate` that cannot be used: expected a regular expression in bytes, found '*'"),
        (
            "candidate",
            b"(",
            "has a `candidate` that cannot be used: expected a regular expression in bytes, found",
        ),
    ],
)
def test_a_header_or_candidate_that_is_no_use_is_told(
    journal: Journal, caplog: pytest.LogCaptureFixture, attribute: str, value: object, expected: str
) -> None:
    """What a decoder says of its packets and cannot be used is told once, and it is asked without it."""
    decoder = making(acme())
    type_ = type("Saying", (type(decoder),), {attribute: value})
    sound = {"header": b"*"} if attribute == "candidate" else {}
    decoder = plugin(api=1)(type("Acme", (type_,), {**sound, "__annotations__": {}}))(make=decoder.make)
    work = collect_items(journal, Chunk(b"*\1\5", "a"), Chunk(b"*\2\5", "b"), decoders=Decoders([decoder, Brultech()]))
    assert work.worker.kept == 2
    (text,) = caplog.messages
    assert text.startswith(f'the decoder "acme" {expected}')
