"""The decoders of one worker: what finds packets in bytes, and what makes readings of journal entries again.

The one place where `decode_packet` is called, and where what a decoder hands over is checked: after it, nothing of a
packet is lazy or doubtful. A decoder that raises is that plugin's fault: its answer counts as "not mine". A packet that
is not sound, or cannot be unpacked, is a damaged one.
"""

import logging
import re
import traceback
from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import datetime
from typing import Any

import attrs
import pluggy

from btcore.decode.framing import LONGEST_PACKET, Again, Answer, Counts, Stream
from btcore.decode.packetless import from_values
from btcore.decode.telnet import Doubled, Stuffed, Transformer
from btcore.errors import InvalidPluginResult, is_interrupt
from btcore.formats import MAX_NAME, Format, check_name, describe_type, packet_formats
from btcore.hookspecs import PROJECT, Hooks
from btcore.journal import Entry
from btcore.records import Damaged, Incomplete, Packet, Reading, Unwanted, from_microseconds
from btcore.settings import Context
from btcore.text import describe_error

log = logging.getLogger("btcore.decode.decoders")

_MUTE = logging.Logger("btcore.decode.decoders.mute", logging.CRITICAL + 1)  # noqa: LOG001 - it says nothing to anybody

MOST_FAULTS = 100
"""Different faults that are told and remembered; a plugin that has more has been told of enough."""

UNDO: tuple[type[Transformer], ...] = (Doubled, Stuffed)
"""What is undone where bytes are junk without it: a telnet port's changes, the common one first."""

ONLY_DAMAGE = 20
"""Damaged packets without a whole one, after which a decoder is remarked if others find theirs."""

MOST_FORMATS = 1000
"""Formats that are remembered as proved; beyond this they are proved again."""


def hooks(instance: object) -> Any:  # noqa: ANN401 - pluggy's calls are made by name
    """Return the hooks of one instance, to be called: what it does not implement returns None."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(instance)
    return manager.hook


Shown = Callable[[str, str, str, str], str]
"""Tells what a meter is called, by source, address, the serial number in its packet, and the one that was kept."""


class Decoders:
    """The decoder plugins that one worker's bytes go through, in order: the first answer counts.

    `formats`: take only packets of these. A worker calls `anew` for decoders of its own, and `open` and `close` in its
    thread.
    """

    def __init__(
        self,
        instances: Sequence[object],
        formats: Sequence[str] = (),
        contexts: Sequence[Context] = (),
        log: logging.Logger = log,
        shown: Shown = lambda _source, _address, _sent, kept: kept,
    ) -> None:
        """Take these instances, each with what it is told when it is opened; without that, a name is made up.

        `shown` tells what a meter is called whose reading comes out of the journal.
        """
        named = contexts or [_context(instance) for instance in instances]
        self._given = list(zip(instances, named, strict=True))
        self._formats = frozenset(formats)
        self._log = log
        self._shown = shown
        self._told: set[object] = set()
        self._working = [_Working(instance, context) for instance, context in self._given if self._has(instance)]

    def anew(self, log: logging.Logger) -> "Decoders":
        """Return the same decoders for another worker, which tells their faults to its own log."""
        instances, contexts = [one for one, _ in self._given], [context for _, context in self._given]
        return Decoders(instances, tuple(self._formats), contexts, log, self._shown)

    def open(self, *, leave_out: bool = False) -> None:
        """Make instances for this thread alone, with the same settings, and open them.

        What they raise is passed on; with `leave_out` it is told, and the decoder left out.
        """
        self.close()
        for instance, context in self._given:
            if not self._has(instance):
                continue
            try:
                self._open(instance, context)
            except BaseException as error:
                if not leave_out:
                    raise
                self._complain(error, f'the decoder "{_name(context)}" cannot be opened, and is left out', context.name)
                self._working = [working for working in self._working if working.context is not context]

    def _open(self, instance: object, context: Context) -> None:
        working = _Working(_fresh(instance, self._formats), context, of_its_own=True)
        self._working.append(working)
        working.calls.open(context=context)

    def close(self) -> None:
        """Close those that were opened; what they raise is told."""
        for working in self._working:
            if working.of_its_own:
                try:
                    working.calls.close()
                except BaseException as error:  # noqa: BLE001 - a plugin's bug must not end the worker
                    self._complain(error, f'the decoder "{working.name}" failed to close', working.name)
        self._working = []

    def stream(self, counts: Counts | None = None) -> Stream:
        """Make the framing buffer of a new stream."""
        headers = [self._headers(working) for working in self._working]
        candidates = [self._candidate(working) for working in self._working]
        known = tuple(header for some in headers for header in some)
        worthy = tuple(one for one, some in zip(candidates, headers, strict=True) if some)
        again = self._again(known, worthy if all(worthy) else ()) if known else None
        if not all(headers):
            return Stream(self.decode, (), counts, again=again)
        return Stream(self.decode, known, counts, worthy if all(worthy) else (), again)

    def _again(
        self,
        headers: tuple[bytes, ...],
        candidates: tuple[bytes, ...],
        transformers: Sequence[type[Transformer]] = UNDO,
    ) -> Callable[[], Again] | None:
        """Return what makes a second look at junk: at the headers that are known, after each change is undone.

        A packet counts only if it proves that there was something to undo.
        """
        if not transformers:
            return None
        first, *others = transformers

        def decode(buffer: memoryview) -> Answer:
            answer = self.decode(buffer)
            return None if isinstance(answer, Packet) and not first.proves(answer.raw) else answer

        def make() -> Again:
            return Again(first, Stream(decode, headers, None, candidates, self._again(headers, candidates, others)))

        return make

    def decode(self, buffer: memoryview) -> Packet | Incomplete | Damaged | Unwanted | None:
        """Ask the decoders about the start of a buffer. What comes back is sound."""
        for working in self._working:
            answer = self._ask(working, buffer)
            if isinstance(answer, Packet):
                return self._packet(working, answer, len(buffer))
            if answer is not None:
                self._look_at(working, answer, len(buffer))
                return answer
        return None

    def _look_at(self, working: "_Working", answer: Incomplete | Damaged, left: int) -> None:
        """Tell once of a decoder that never comes to an end, or finds only damage where others find packets."""
        if isinstance(answer, Damaged):
            working.damaged += 1
            if working.damaged >= ONLY_DAMAGE and not working.packets and any(one.packets for one in self._working):
                why = f" ({answer.why:.100})" if answer.why else ""
                found = f"has found {working.damaged} packets, and all of them damaged{why}"
                self._remark(working, "damage", f"{found}, while those of others are whole: is it the right one?")
        elif left >= LONGEST_PACKET:
            self._remark(working, "more", f"asks for more after {left} bytes, and is not waited for")

    def _remark(self, working: "_Working", what: str, text: str) -> None:
        if self._is_news((working.name, what)):
            self._log.warning('the decoder "%s" %s', working.name, text)

    def _headers(self, working: "_Working") -> tuple[bytes, ...]:
        """Return what a decoder says that its packets start with; nothing where it does not say."""
        header = getattr(working.instance, "header", ())
        some = (header,) if isinstance(header, bytes) else header
        if isinstance(some, tuple) and all(isinstance(one, bytes) and one for one in some):
            return some
        found = f"found {header!r:.80}, and is asked about every byte"
        self._remark(working, "header", f"has a `header` that is no use: expected bytes or a tuple of them, {found}")
        return ()

    def _candidate(self, working: "_Working") -> bytes:
        """Return the regular expression by which a decoder says where asking it is worth it."""
        found = getattr(working.instance, "candidate", b"")
        try:
            re.compile(found if isinstance(found, bytes) else b"(")
        except re.error:
            expected = f"expected a regular expression in bytes, found {found!r:.80}"
            self._remark(working, "candidate", f"has a `candidate` that is no use: {expected}")
            return b""
        return bytes(found)

    def _ask(self, working: "_Working", buffer: memoryview) -> Packet | Incomplete | Damaged | None:
        """Ask one of them: one that raises must not keep the others from answering."""
        try:
            answer: Packet | Incomplete | Damaged | None = working.calls.decode_packet(buffer=buffer)
            if answer is not None and not isinstance(answer, Packet | Incomplete):
                _check_damaged(answer, len(buffer))
        except BaseException as error:  # noqa: BLE001 - a plugin's bug must not stop the worker
            what = f'the decoder "{working.name}" failed and was taken to answer "not mine"'
            self._complain(error, what, working.name)
            return None
        return answer

    def _packet(self, working: "_Working", packet: Packet, left: int) -> Packet | Damaged | Unwanted:
        """Return a packet that is sound, of a format that is wanted; else, how much to skip."""
        size = 1
        try:
            size = _size(packet, left)
            if self._formats and packet.format.name not in self._formats:
                return Unwanted(size, packet.format.name)
            _check(packet)
            numbers = packet.format.numbers(packet.raw)
            working.prove(packet)
            working.packets += 1
        except BaseException as error:  # noqa: BLE001 - as above
            form = str(getattr(packet.format, "name", "?"))[:MAX_NAME]
            what = f'the decoder "{working.name}" made a packet of format {form} that is no use, and is skipped'
            self._complain(error, what, (working.name, form))
            return Damaged("not sound", size)
        return attrs.evolve(packet, numbers=numbers)

    def left_out(self, data: bytes) -> str:
        """Return the name of a format that is in these bytes and is not wanted; "" where there is none.

        All decoders are asked, in the caller's thread; what they raise is not told.
        """
        every = Decoders([one for one, _ in self._given], (), [context for _, context in self._given], _MUTE)
        every.open(leave_out=True)
        stream = every.stream()
        found = [*stream.feed(data, from_microseconds(0)), *stream.close()]
        every.close()
        return next((packet.format.name for packet, _ in found if packet.format.name not in self._formats), "")

    def device_time(self, packet: Packet, zone: Callable[[datetime], datetime]) -> datetime | None:
        """Return the time by the meter's own clock, in UTC; None where it has none, it is not set, or cannot be read.

        `zone` makes the time that the meter shows one in UTC.
        """
        clock = packet.format.clock
        if clock is None:
            return None
        try:
            shown = clock(packet.raw)
            if shown is None:
                return None
            if not isinstance(shown, datetime) or shown.tzinfo is not None:
                raise TypeError(f"expected a datetime without a zone, or None, found {shown!r:.80}")  # noqa: TRY301
            return zone(shown)
        except BaseException as error:  # noqa: BLE001 - as above
            what = f"the clock of format {packet.format.name} cannot be read, and the time of arrival is taken"
            self._complain(error, what, packet.format.name)
            return None

    def recall(self, entry: Entry) -> Reading | None:
        """Make the reading of a journal entry again, unpacked; None when that cannot be done, which is told."""
        found = self.recall_sent(entry)
        return None if found is None else found[1]

    def recall_sent(self, entry: Entry) -> tuple[str, Reading] | None:
        """Do what `recall` does; return also the serial number that the packet shows."""
        time = from_microseconds(entry.key)
        try:
            if entry.whole:
                serial = self._shown(entry.source, entry.address, entry.serial, entry.serial)
                return entry.serial, from_values(entry, time, serial)
            found = self._recalled(entry)
            if found is not None:
                stamps = (entry.offset, entry.monotonic, entry.boot, entry.address, entry.origin)
                numbers = tuple(found.format.unpack(entry.raw))
                serial = self._shown(entry.source, entry.address, found.serial, entry.serial)
                reading = Reading(time, found.format, serial, entry.raw, entry.source, *stamps, numbers=numbers)
                return found.serial, reading
        except BaseException as error:  # noqa: BLE001 - as above; another version of a plugin may have written it
            what = f"passing over readings of format {entry.format} that cannot be unpacked"
            self._complain(error, what, entry.format)
            return None
        if self._is_news(("unknown", entry.format)):
            self._log.warning(
                "passing over readings of format %s: no decoder of this configuration knows them", entry.format
            )
        return None

    def _recalled(self, entry: Entry) -> Packet | None:
        """Return the packet of an entry: in the format that it was kept with, if any decoder still has that."""
        other: Packet | None = None
        for working in self._working:
            packet = self._ask(working, memoryview(entry.raw))
            if isinstance(packet, Packet):
                if packet.format.name == entry.format:
                    return packet
                other = other or packet
        return other

    def _has(self, instance: object) -> bool:
        """Whether a decoder can have any of the formats that are wanted."""
        own = _names(instance)
        return not self._formats or own is None or not self._formats.isdisjoint(own)

    def _complain(self, error: BaseException, what: str, key: object) -> None:
        """Tell each fault once: it is known by its type and its place in the plugin."""
        if is_interrupt(error):
            raise error
        frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
        if self._is_news((key, type(error), frame.f_code.co_filename, line)):
            self._log.error("%s: %s", what, describe_error(error), exc_info=error)

    def _is_news(self, key: object) -> bool:
        if key in self._told or len(self._told) >= MOST_FAULTS:
            return False
        self._told.add(key)
        return True


@attrs.define
class _Working:
    """One decoder at work; `of_its_own`: an instance that only this worker has. Its answers are counted."""

    instance: object
    context: Context
    of_its_own: bool = False
    packets: int = 0
    damaged: int = 0
    calls: Any = attrs.field(init=False)
    _proved: set[Format] = attrs.field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        """Register it, by itself: one that raises must not keep the others from answering."""
        self.calls = hooks(self.instance)

    @property
    def name(self) -> str:
        """What it is called in a message: acme, of [decoder.acme]."""
        return _name(self.context)

    def prove(self, packet: Packet) -> None:
        """Look, once a format, whether its packets can come out of the journal again. Raises InvalidPluginResult."""
        if packet.format in self._proved:
            return
        again = self.calls.decode_packet(buffer=memoryview(packet.raw))
        if not isinstance(again, Packet) or (again.serial, again.raw) != (packet.serial, packet.raw):
            raise InvalidPluginResult("decode_packet does not make the same packet of its `raw` again")
        if again.format is not packet.format:
            raise InvalidPluginResult("it makes another Format for each packet; make it once, beside the class")
        if len(self._proved) >= MOST_FORMATS:
            self._proved.clear()
        self._proved.add(packet.format)


def _name(context: Context) -> str:
    return context.name.removeprefix("decoder.")


def _context(instance: object) -> Context:
    name = f"decoder.{type(instance).__name__.lower()}"
    return Context(name, logging.getLogger(name))


def _names(instance: object) -> Sequence[str] | None:
    """Return the names of the formats that a decoder takes: all that it has, or those that it is set to."""
    own = packet_formats(instance)
    if own is None:
        return None
    return getattr(instance, "formats", ()) or [form.name for form in own]


def _fresh(instance: object, formats: frozenset[str]) -> object:
    """Make another instance with the same settings; one that can choose its formats is told which are wanted."""
    cls: Any = type(instance)
    settings = {
        field.alias: deepcopy(getattr(instance, field.name))
        for field in attrs.fields(cls)
        if field.init and "help" in field.metadata
    }
    names = _names(instance)
    if formats and names is not None and "formats" in settings:
        settings["formats"] = tuple(name for name in names if name in formats)
    return cls(**settings)


def _check_damaged(answer: object, left: int) -> None:
    if not isinstance(answer, Damaged):
        raise InvalidPluginResult(
            f"decode_packet answered {describe_type(answer)}; expected a Packet, Incomplete(), Damaged() or None"
        )
    if type(answer.size) is not int or not 1 <= answer.size <= left:
        found = f"found {answer.size!r:.80}"
        raise InvalidPluginResult(f"the size of Damaged: expected from 1 to the {left} bytes of the buffer, {found}")


def _size(packet: Packet, left: int) -> int:
    if type(packet.size) is not int or not 1 <= packet.size <= left:
        found = f"found {packet.size!r:.80}"
        raise InvalidPluginResult(f"the size of a packet: expected from 1 to the {left} bytes of the buffer, {found}")
    if not isinstance(packet.format, Format):
        raise InvalidPluginResult(f"the format of a packet: expected a Format, found {describe_type(packet.format)}")
    return packet.size


def _check(packet: Packet) -> None:
    check_name(packet.serial, "its serial number")
    if type(packet.raw) is not bytes or not packet.raw:
        raise InvalidPluginResult(f"its raw: expected the bytes of the packet, found {describe_type(packet.raw)}")
