# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every decoder: it finds its packets however the bytes come, takes nobody else's, and is pure."""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial

from btcore.decode.decoders import Decoders
from btcore.formats import packet_formats
from btcore.records import Damaged, Incomplete, Packet, from_microseconds
from btcore.testing.conformance.calls import Caller, Hangs, Opened
from btcore.testing.conformance.faults import Fault
from btcore.testing.conformance.subject import Subject
from btcore.testing.kit.batches import make_packet
from btcore.testing.kit.runs import recorded_log

OTHERS = (
    ("nothing", b""),
    ("zeros", bytes(200)),
    ("bytes of every kind", bytes(range(256))),
    ("the packet of another meter", make_packet(1)),
    ("text", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
)
"""What is no packet of the decoder."""

MOST_CUTS = 200


def decoder_faults(subject: Subject, caller: Caller, packets: Sequence[bytes]) -> Iterator[Fault]:
    """Yield what is wrong with a decoder; `packets` are intact ones of its own."""
    with caller.using(subject.make()) as opened:
        opened.open(subject.context("decoder"))
        yield from _foreign_faults(opened, packets)
        for packet in packets:
            yield from _packet_faults(opened, packet)
    if not packets:
        yield Fault("decoder", "nothing can be seen of what it finds: give `conforms` its `packets=`, two at least")
    yield from _engine_faults(subject, caller, packets)
    if packet_formats(subject.cls) is None:
        yield Fault(
            "decoder", "it has no `packet_formats`: without it, no label or format of a configuration is checked"
        )


def _ask(opened: Opened, data: bytes) -> tuple[object, str]:
    """Ask about bytes; return the answer, and what is wrong with asking, or ""."""
    answers: list[object] = []
    buffer = bytearray(data)
    view = memoryview(buffer)
    outcome = opened.lane.run(lambda: answers.append(opened.hooks.decode_packet(buffer=view)))
    if outcome.answer == "hang":
        raise Hangs(f"decode_packet with the bytes {data[:20]!r}: {outcome.text}: it looks once, and answers")
    if not answers:
        return None, f"decode_packet fails: {outcome.text}; it answers None to what is not its own"
    view.release()
    try:
        buffer.clear()
    except BufferError:
        return answers[
            0
        ], "decode_packet keeps a part of the buffer, which changes afterwards: copy it, bytes(buffer[...])"
    if answers[0] is not None and not isinstance(answers[0], Packet | Incomplete | Damaged):
        return None, f"decode_packet answers {answers[0]!r:.40}; expected a Packet, Incomplete(), Damaged() or None"
    return answers[0], ""


def _foreign_faults(opened: Opened, packets: Sequence[bytes]) -> Iterator[Fault]:
    for what, data in OTHERS:
        answer, wrong = _ask(opened, data)
        if wrong:
            yield Fault("decoder", f"with {what}: {wrong}")
            return
        if isinstance(answer, Packet) and data not in packets:
            yield Fault("decoder", f"it finds a packet of its own in {what}")


def _packet_faults(opened: Opened, packet: bytes) -> Iterator[Fault]:
    headers = _headers(opened.instance)
    if headers and not packet.startswith(headers):
        yield Fault("decoder", f"the packet {packet[:20]!r} begins with none of its `header`, so it is never asked")
    answer, wrong = _ask(opened, packet + b"\xff" * 40)
    if wrong:
        yield Fault("decoder", wrong)
    elif not isinstance(answer, Packet):
        yield Fault("decoder", f"it does not find the packet {packet[:20]!r} when other bytes follow: {answer!r:.60}")
    else:
        yield from _answer_faults(opened, packet, answer)


def _answer_faults(opened: Opened, packet: bytes, answer: Packet) -> Iterator[Fault]:
    if answer.size != len(packet):
        yield Fault("decoder", f"a packet of {len(packet)} bytes is answered with size={answer.size}")
    again, _ = _ask(opened, answer.raw)
    if again != answer and not (isinstance(again, Packet) and (again.serial, again.raw) == (answer.serial, answer.raw)):
        yield Fault("decoder", "decode_packet(raw) does not make the same packet again: so readings leave the journal")
    elif isinstance(again, Packet) and again.format is not answer.format:
        yield Fault("decoder", "it makes another Format for each packet: make it once, beside the class")
    yield from _content_faults(opened, answer)
    formats = packet_formats(type(opened.instance))
    if formats is not None and answer.format not in formats:
        yield Fault("decoder", f"the format {answer.format.name} is not in its `packet_formats`")
    yield from _beginning_faults(opened, packet)


def _content_faults(opened: Opened, packet: Packet) -> Iterator[Fault]:
    """Look at what its format makes of a packet: numbers, and the meter's clock."""
    form, raw, times = packet.format, packet.raw, list[object]()
    outcome = opened.lane.run(lambda: form.numbers(raw))
    if outcome.answer != "delivered":
        yield Fault("decoder", f"the numbers of the packet {raw[:20]!r} cannot be had from its format: {outcome.text}")
    if form.clock is None:
        return
    outcome = opened.lane.run(lambda: times.append(form.clock and form.clock(raw)))
    found = times[0] if times else None
    if outcome.answer != "delivered":
        yield Fault("decoder", f"the `clock` of format {form.name} fails: {outcome.text}; None where it is not set")
    elif not (found is None or (isinstance(found, datetime) and found.tzinfo is None)):
        yield Fault(
            "decoder", f"the `clock` of format {form.name} returns {found!r:.60}; expected a datetime without a zone"
        )


def _beginning_faults(opened: Opened, packet: bytes) -> Iterator[Fault]:
    """Ask about the beginnings of a packet: they are incomplete, once it can be recognized."""
    recognized = max(map(len, _headers(opened.instance)), default=8)
    for cut in range(1, len(packet), max(1, len(packet) // MOST_CUTS)):
        beginning, wrong = _ask(opened, packet[:cut])
        if wrong or isinstance(beginning, Packet):
            yield Fault("decoder", wrong or f"it takes the first {cut} bytes of a packet for all of it: Incomplete()")
            return
        if beginning is None and cut > recognized:
            yield Fault(
                "decoder", f"it says of the first {cut} bytes of a packet that they are not its own: Incomplete()"
            )
            return


def _headers(instance: object) -> tuple[bytes, ...]:
    """Return what its packets begin with; nothing where that cannot be used, which the engine reports."""
    header = getattr(instance, "header", ())
    headers = header if isinstance(header, tuple) else (header,)
    return headers if all(isinstance(one, bytes) for one in headers) else ()


def _engine_faults(subject: Subject, caller: Caller, packets: Sequence[bytes]) -> Iterator[Fault]:
    """Feed the packets to the engine, joined, in pieces and with junk between; all of them must come out."""
    joined = b"".join(packets)
    junk = b"\x00junk\xfe".join([b"", *packets, b""])
    ways = (
        ("one after the other", [joined]),
        ("byte by byte", [joined[at : at + 1] for at in range(len(joined))]),
        ("with junk between them", [junk]),
    )
    for what, chunks in ways:
        counts: list[int] = []
        with recorded_log() as lines:
            caller.apart(partial(_count, subject, chunks, counts), f"finding packets {what}")
        found = sum(counts)
        warnings = [line for line in lines if line.startswith("WARNING")]
        if found != len(packets):
            hint = f" ({warnings[0]})" if warnings else ""
            yield Fault("decoder", f"of {len(packets)} packets {what}, {found} are found{hint}")
            return


def _count(subject: Subject, chunks: Sequence[bytes], counts: list[int]) -> None:
    """Put the number of packets that are found into `counts`."""
    decoders = Decoders([subject.make()]).for_worker(logging.getLogger(f"decoder.{subject.name}"))
    decoders.open()
    stream = decoders.stream()
    found = [pair for chunk in chunks for pair in stream.feed(chunk, from_microseconds(0))]
    found += stream.close()
    decoders.close()
    counts.append(len(found))
