# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stranger's decoder can do wrong: it costs the packet that it did it to, and is told once."""

import logging
import threading
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

import attrs
import pytest
from helpers.fake_plugins import IteratorSource, RecordingSink
from helpers.packets import packet
from helpers.running_sink import RunningSink
from helpers.running_source import RunningSource, collect_items
from helpers.sites import finite_source, make_sink, make_site, make_source
from helpers.times import NOON, START
from helpers.waiting import wait_for

from btcore import (
    FORMATS,
    Chunk,
    Context,
    Damaged,
    Format,
    Incomplete,
    Packet,
    Reading,
    Retry,
    Stop,
    hookimpl,
    plugin,
    setting,
)
from btcore.config.site import Decoder
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.journal import Entry, Journal
from btcore.runtime.supervisor import Supervisor
from btcore.text import describe_error

NAN = float("nan")
FIRST = datetime(1, 1, 1)  # noqa: DTZ001 - a meter's clock has no zone


def acme(name: str = "acme", **changed: Any) -> Format:  # noqa: ANN401 - of any kind
    """Make the format of a meter that sends `*`, its seconds, and a byte more."""
    made = {"labels": ("secs", "level"), "channels": (), "unpack": lambda raw: (raw[1], raw[2])}
    return Format(name, **{**made, **changed})


def failing(raw: bytes) -> tuple[int, int]:
    """Unpack but for a level of 13."""
    if raw[2] == 13:
        raise RuntimeError("13 is no level")
    return raw[1], raw[2]


@plugin(api=1)
class Acme:
    """Decodes three bytes from `*` on; what it makes of them may be anything."""

    make: Callable[[bytes], Any] = setting(help="makes the answer")

    @hookimpl
    def decode_packet(self, buffer: memoryview) -> Any:  # noqa: ANN401 - of any kind
        """Look at the first byte."""
        if bytes(buffer[:1]) != b"*":
            return None
        return self.make(bytes(buffer[:3])) if len(buffer) >= 3 else Incomplete()


def making(form: Format, **changed: Any) -> Acme:  # noqa: ANN401 - of any kind
    """Make a decoder of one format, with something else in its packets."""
    return Acme(make=lambda raw: Packet(**{"size": 3, "format": form, "serial": "7", "raw": raw, **changed}))


def levels(journal: Journal) -> list[int]:
    """Return the third byte of each packet that is kept."""
    return [entry.raw[2] for entry in journal.read(0, 100)]


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


FINE = acme("fine")


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


# --- out of the journal again


def entry(n: int, level: int = 0, name: str = "acme") -> Entry:
    """Make the entry of a packet."""
    return Entry(START + n * 1_000_000, "panel", "7", name, b"*" + bytes([n, level]))


def test_what_cannot_be_unpacked_any_more_is_passed_over_alone(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    """A sink is given all readings but those that a new version of the decoder cannot read; it is not parked."""
    journal.append([entry(n, 13 if n in (1, 3) else n) for n in range(5)])
    taken = RecordingSink()
    with RunningSink(journal, taken, decoders=Decoders([making(acme(unpack=failing))])) as work:
        work.finish()
    assert taken.offsets == [1, 3, 5]
    assert work.worker.stop_reason == ""
    assert "2 passed over, as no decoder reads them" in str(work.worker)
    assert (
        caplog.text.count("passing over readings of format acme that cannot be unpacked: RuntimeError: 13 is no") == 1
    )


def test_nothing_is_left_to_fail_in_a_sink(journal: Journal) -> None:
    """What a sink is given was unpacked before: a decoder that fails later cannot harm it."""
    broken: list[bool] = []

    def unpack(raw: bytes) -> tuple[int, int]:
        if broken:
            raise RuntimeError("too late")
        return raw[1], raw[2]

    found = Decoders([making(acme(unpack=unpack))]).read_entry(entry(1, 2))
    assert found is not None
    broken.append(True)
    assert found.values == {"secs": 1, "level": 2}


def test_a_whole_reading_that_makes_no_sense_any_more_is_passed_over(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    """An entry that was written by another version, or is damaged, costs only itself."""
    damaged = [b"", b"{", b"[]", b"{}", b'{"labels": ["secs"], "numbers": [NaN]}', b"[" * 5000]
    wholes = [Entry(START + n, "old", "7", "meter", raw, packetless=True) for n, raw in enumerate(damaged)]
    journal.append([*wholes, entry(9)])
    taken = RecordingSink()
    with RunningSink(journal, taken, decoders=Decoders([making(acme())])) as work:
        work.finish()
    assert [batch.readings[0].format.name for batch in taken.taken] == ["acme"]
    assert "passing over readings of format meter that cannot be unpacked" in caplog.text


def test_an_entry_is_read_by_the_decoder_that_knows_its_format() -> None:
    """Of two decoders that claim the same bytes, the one that has the entry's format makes the reading."""
    other = acme("other")
    decoders = Decoders([making(other), making(FINE)])
    found = [decoders.read_entry(entry(1, name=name)) for name in ("fine", "other", "gone")]
    assert [one and one.format for one in found] == [FINE, other, other]


# --- formats that a source takes


def test_formats_are_chosen_whoever_decodes_them() -> None:
    """`formats` of a source leaves out what it does not name, of every decoder: its bytes are junk, not damage."""
    both = Acme(make=lambda raw: Packet(3, FINE if raw[2:] == b"f" else OTHER, "7", raw))
    for formats, expected, junk in ((("other",), ["other"], 46), (("ecm1220bin", "fine"), ["fine", "ecm1220bin"], 3)):
        decoders = Decoders([both, Brultech()], formats)
        stream = decoders.stream()
        found = [one.format.name for one, _ in stream.feed(b"*af*ao" + packet(), NOON)]
        assert (found, stream.counts.junk, stream.counts.damaged) == (expected, junk, 0)


OTHER = acme("other")


# --- one instance for each worker


@plugin(api=1)
class Opened(Acme):
    """A decoder that notes where it is opened, asked and closed; its settings are copied, all else is its own."""

    packet_formats: ClassVar[tuple[Format, ...]] = (FINE,)
    noted: ClassVar[list[tuple[str, int, str]]] = []
    contexts: ClassVar[list[Context]] = []
    answer: ClassVar[Callable[[], None]] = staticmethod(lambda: None)

    make: Callable[[bytes], Any] = setting(default=lambda raw: Packet(3, FINE, "7", raw), help="makes the answer")
    threshold: list[int] = setting(factory=list, help="a setting")
    asked: bool = False

    @hookimpl
    def open(self, context: Context) -> None:
        """Take note."""
        self._note("open")
        self.contexts.append(context)
        assert self.threshold == [1]
        type(self).answer()

    @hookimpl
    def close(self) -> None:
        """Take note."""
        self._note("close")

    @hookimpl
    def decode_packet(self, buffer: memoryview) -> Any:  # noqa: ANN401 - of any kind
        """Take note of the first."""
        if not self.asked:
            self.asked = True
            self._note("decode")
        return Acme.decode_packet(self, buffer)

    def _note(self, what: str) -> None:
        self.noted.append((what, id(self), threading.current_thread().name))


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Return a decoder that nothing was noted of."""
    Opened.noted.clear()
    Opened.contexts.clear()
    yield Opened(threshold=[1])
    Opened.answer = staticmethod(lambda: None)


def test_each_worker_has_decoders_of_its_own(
    tmp_path: Any,  # noqa: ANN401 - as pytest gives it
    opened: Opened,
) -> None:
    """Each source and each sink opens its own instance in its own thread, asks that alone there, and closes it.

    A sink asks it about what did not come in just now: a packet that a source has decoded is not decoded again.
    """
    brings = IteratorSource(items=lambda _stop: [Chunk(b"*ab"), Chunk(packet())])
    parts = (
        make_source(brings, "a"),
        make_source(finite_source(2), "b"),
        make_sink(RecordingSink(), "x"),
        make_sink(RecordingSink(), "y"),
    )
    decoders = (
        Decoder("acme", "decoder.acme", "acme", opened),
        Decoder("brultech", "decoder.brultech", "brultech", Brultech()),
    )
    made = attrs.evolve(make_site(tmp_path, *parts), decoders=decoders)
    assert Supervisor(made, threading.Event(), once=True).run()
    instances = {instance for _, instance, _ in Opened.noted}
    assert len(instances) == 4
    assert id(opened) not in instances
    for instance in instances:
        noted = [(what, thread) for what, one, thread in Opened.noted if one == instance]
        assert [what for what, _ in noted if what != "decode"] == ["open", "close"]
        assert [what for what, _ in noted[1:-1]] == ["decode"] * (len(noted) - 2)
        assert len({thread for _, thread in noted}) == 1
    assert {thread for *_, thread in Opened.noted} == {"source.a", "source.b", "sink.x", "sink.y"}
    assert {(context.name, context.log.name) for context in Opened.contexts} == {("decoder.acme", "decoder.acme")}


def test_a_decoder_that_cannot_be_opened_is_tried_again(journal: Journal, opened: Opened) -> None:
    """As when the worker's own plugin cannot: the source waits, and opens all again; what was opened is closed."""
    answers = iter([Retry("not yet"), OSError("no device"), ValueError("a bug")])

    def answer() -> None:
        for error in answers:
            raise error

    Opened.answer = staticmethod(answer)
    collecting = RunningSource(
        journal, IteratorSource(items=lambda _stop: [Chunk(b"*ab")]), decoders=Decoders([opened])
    )
    with collecting:
        collecting.finish()
    assert len(levels(journal)) == 1
    assert [what for what, *_ in Opened.noted] == ["open", "close"] * 3 + ["open", "decode", "close"]


def test_a_decoder_that_cannot_be_opened_holds_a_sink(journal: Journal, opened: Opened) -> None:
    """A sink waits for its decoders, and is given all that it has missed; `Stop` parks it."""
    journal.append([entry(n) for n in range(3)])
    answers = iter([Retry("not yet"), ValueError("a bug")])

    def answer() -> None:
        for error in answers:
            raise error

    Opened.answer = staticmethod(answer)
    taken = RecordingSink()
    with RunningSink(journal, taken, decoders=Decoders([opened])) as work:
        work.finish()
    assert taken.offsets == [1, 2, 3]

    def stop() -> None:
        raise Stop("no licence")

    Opened.answer = staticmethod(stop)
    with RunningSink(journal, RecordingSink(), decoders=Decoders([opened])) as work:
        wait_for(lambda: work.worker.stop_reason)
    assert work.worker.stop_reason == "no licence"
    assert Opened.noted[-1][0] == "close"


def test_a_decoder_that_fails_to_close_harms_nobody(
    journal: Journal, opened: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its fault is told, and the source has ended as it would."""

    @hookimpl
    def close(_self: Opened) -> None:
        raise CancelledError("busy")

    monkeypatch.setattr(Opened, "close", close)
    work = collect_items(journal, Chunk(b"*ab"), decoders=Decoders([opened]))
    assert (work.worker.failure, len(levels(journal))) == ("", 1)
    assert 'the decoder "opened" failed to close: CancelledError: busy' in caplog.text


# --- what a source hands over


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (None, "yielded None; expected a Chunk, a Reading or a SourceCheckpoint"),
        (5, "yielded an int; expected a Chunk, a Reading or a SourceCheckpoint"),
        ("fe ff", "yielded a str; expected a Chunk, a Reading or a SourceCheckpoint"),
        (b"fe ff", "yielded a bytes; expected a Chunk, a Reading or a SourceCheckpoint"),
        (Chunk, "yielded a type; expected a Chunk, a Reading or a SourceCheckpoint"),
    ],
)
def test_what_a_source_must_not_yield_is_told_and_costs_nothing_before_it(
    journal: Journal, item: object, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The error names the plugin and what it did; what came before is kept, and the source is started again."""
    whole = Reading(NOON, FINE, "7", b"", numbers=(1, 2))
    work = collect_items(journal, Chunk(packet(), time=NOON), whole, item, Chunk(packet(secs=9)), once=True)
    assert f'the plugin "yielding" {said}' in work.worker.failure
    assert {entry.format for entry in journal.read(0, 99)} == {"ecm1220bin", "fine"}
    assert "AttributeError" not in caplog.text


@pytest.mark.parametrize("returned", [None, 5, b"bytes", "text"])
def test_what_collect_must_not_return_is_told(journal: Journal, returned: object) -> None:
    """A source that returns what is not to be looped over says so, and not what Python says of it."""

    @plugin(api=1)
    class Returning:
        @hookimpl
        def collect(self) -> object:
            return returned

    collecting = RunningSource(journal, Returning(), once=True)
    with collecting:
        collecting.finish()
    assert 'the plugin "yielding" returned ' in collecting.worker.failure
    assert "from collect; expected an iterator" in collecting.worker.failure


def test_a_source_of_whole_readings_may_take_some_formats_only(journal: Journal) -> None:
    """`formats` chooses among readings that came without a packet too."""
    items = [
        Reading(NOON + timedelta(seconds=n), form, "7", b"", numbers=(n, 2)) for n, form in enumerate((FINE, OTHER))
    ]
    collect_items(journal, *items, settings={"formats": ("other",)})
    assert [entry.format for entry in journal.read(0, 99)] == ["other"]


def test_every_format_of_brultech_is_said() -> None:
    """The built-in decoder says which formats it has in the way that any decoder does."""
    assert Brultech.packet_formats == tuple(FORMATS.values())


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
