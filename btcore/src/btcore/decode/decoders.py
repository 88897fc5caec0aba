# SPDX-License-Identifier: GPL-3.0-or-later
"""The decoders of one worker: they find packets in bytes, and make readings of journal entries again.

How one decoder is asked, and its answers are checked, is in `decoder.py`; where in a stream they are asked, in
`framing.py`.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from btcore.decode.brultech import FORMATS, Brultech, read_kept
from btcore.decode.decoder import Decoder, copy_of, decoder_name, default_context, format_names
from btcore.decode.fault_reports import FaultReports
from btcore.decode.frames import FindPackets, packet_finder
from btcore.decode.framing import MAX_PACKET, Answer, SecondLook, Stream, StreamCounts
from btcore.decode.packetless import decode_reading
from btcore.decode.telnet import Doubled, Stuffed, Transformer
from btcore.formats import Format, Number
from btcore.journal import Entry
from btcore.journal.shared_readings import SharedReadings
from btcore.records import (
    Damaged,
    Incomplete,
    Packet,
    Reading,
    Unwanted,
    from_microseconds,
    kept_reading,
    trusted_reading,
)
from btcore.settings import Context

log = logging.getLogger("btcore.decode.decoders")

_MUTE = logging.Logger("btcore.decode.decoders.mute", logging.CRITICAL + 1)  # noqa: LOG001 - nothing is to be logged

TRANSFORMERS: tuple[type[Transformer], ...] = (Doubled, Stuffed)
"""What a second look at junk undoes, one after the other: what a telnet port does to bytes, the common change first."""

MIN_DAMAGED = 20
"""Damaged packets without an intact one after which a decoder is reported, if other decoders find intact packets."""

NameMeter = Callable[[str, str, str, str, str], str]
"""Returns the serial number or name of a meter, by source, address, serial number in the packet, and the kept one."""


class Decoders:
    """The decoder plugins that one worker's bytes go through, in order: the first answer counts.

    `formats`: take only packets of these; empty: all. Each worker has its own, see `for_worker`, and calls `open` and
    `close` in its thread.
    """

    def __init__(
        self,
        instances: Sequence[object],
        formats: Sequence[str] = (),
        contexts: Sequence[Context] = (),
        log: logging.Logger = log,
        name_meter: NameMeter = lambda _source, _address, _sent, kept, _format: kept,
        shared: SharedReadings | None = None,
    ) -> None:
        """Take these instances, each with the context that it is opened with; by default, one named after its class.

        `name_meter` names the meter of a reading that is read from the journal. `shared` are the readings that other
        workers with the same decoders and names have made of it.
        """
        self._shared = SharedReadings() if shared is None else shared
        named = contexts or [default_context(instance) for instance in instances]
        self._given = list(zip(instances, named, strict=True))
        self._formats = frozenset(formats)
        self._log = log
        self._name_meter = name_meter
        self._reports = FaultReports(log)
        self._decoders = [Decoder(one, context, self._reports) for one, context in self._given if self._has(one)]
        self._make_stream: Callable[[StreamCounts | None], Stream] | None = None

    def for_worker(self, log: logging.Logger) -> "Decoders":
        """Return the same decoders for another worker, whose log gets their faults."""
        instances, contexts = [one for one, _ in self._given], [context for _, context in self._given]
        return Decoders(instances, tuple(self._formats), contexts, log, self._name_meter, self._shared)

    def open(self, *, skip_failing: bool = False) -> None:
        """Make instances for this thread alone, with the same settings, and open them.

        What they raise is passed on; with `skip_failing` it is logged, and the worker goes on without that decoder.
        """
        self.close()
        for instance, context in self._given:
            if not self._has(instance):
                continue
            try:
                self._open(instance, context)
            except BaseException as error:
                if not skip_failing:
                    raise
                what = f'the decoder "{decoder_name(context)}" cannot be opened, and is left out'
                self._reports.error(error, what, context.name)
                self._decoders = [decoder for decoder in self._decoders if decoder.context is not context]
                self._make_stream = None

    def _open(self, instance: object, context: Context) -> None:
        decoder = Decoder(copy_of(instance, self._formats), context, self._reports, is_own=True)
        self._decoders.append(decoder)
        self._make_stream = None
        decoder.calls.open(context=context)

    def close(self) -> None:
        """Close those that were opened; what they raise is logged."""
        for decoder in self._decoders:
            if decoder.is_own:
                try:
                    decoder.calls.close()
                except BaseException as error:  # noqa: BLE001 - a plugin's bug must not end the worker
                    self._reports.error(error, f'the decoder "{decoder.name}" failed to close', decoder.name)
        self._decoders = []
        self._make_stream = None

    def _has(self, instance: object) -> bool:
        """Whether a decoder can find any of the formats that are taken."""
        own = format_names(instance)
        return not self._formats or own is None or not self._formats.isdisjoint(own)

    # --- packets in bytes

    def stream(self, counts: StreamCounts | None = None) -> Stream:
        """Make the framing buffer of a new stream."""
        if self._make_stream is None:  # decoders say once where packets start: a thousand meters may connect at once
            self._make_stream = self._stream_maker()
        return self._make_stream(counts)

    def _stream_maker(self) -> Callable[[StreamCounts | None], Stream]:
        headers = [decoder.headers() for decoder in self._decoders]
        candidates = [decoder.candidate() for decoder in self._decoders]
        known = tuple(header for some in headers for header in some)
        usable = tuple(one for one, some in zip(candidates, headers, strict=True) if some)
        second_look = self._second_look(known, usable if all(usable) else ()) if known else None
        if not all(headers):
            return lambda counts: Stream(self.decode, (), counts, second_look=second_look)
        find = self._finder()
        return lambda counts: Stream(self.decode, known, counts, usable if all(usable) else (), second_look, find)

    def _finder(self) -> FindPackets | None:
        """Return the shorter way to packets of our own formats, where Brultech's decoder is asked first."""
        first = self._decoders[0] if self._decoders else None
        if first is None or type(first.instance) is not Brultech or not first.is_alone:
            return None
        names = frozenset(first.instance.formats or FORMATS)
        found, add = packet_finder(names & (self._formats or names)), self._shared.add_packets

        def find(buffer: bytes, at: int) -> tuple[list[Packet], int]:
            packets, size = found(buffer, at)
            if packets:
                first.packets += len(packets)
                add(packets)
            return packets, size

        return find

    def _is_packet(self, data: bytes) -> bool:
        answer = self.decode(memoryview(data))
        return isinstance(answer, Packet) and answer.size == len(data)

    def _second_look(
        self,
        headers: tuple[bytes, ...],
        candidates: tuple[bytes, ...],
        transformers: Sequence[type[Transformer]] = TRANSFORMERS,
    ) -> Callable[[], SecondLook] | None:
        """Return what makes a second look at junk, at the known headers, with one change after the other undone.

        A packet counts only if it proves that the change was made.
        """
        if not transformers:
            return None
        first, *others = transformers

        def decode(buffer: memoryview) -> Answer:
            answer = self.decode(buffer)
            return None if isinstance(answer, Packet) and not first.proves(answer.raw, self._is_packet) else answer

        def make() -> SecondLook:
            nested = self._second_look(headers, candidates, others)
            return SecondLook(first, Stream(decode, headers, None, candidates, nested))

        return make

    def decode(self, buffer: memoryview) -> Packet | Incomplete | Damaged | Unwanted | None:
        """Ask the decoders about the start of a buffer. A packet in the answer is valid."""
        for decoder in self._decoders:
            answer = decoder.ask(buffer)
            if isinstance(answer, Packet):
                checked = decoder.check(answer, len(buffer), self._formats)
                return self._shared.add_packet(checked) if isinstance(checked, Packet) else checked
            if answer is not None:
                self._warn_of(decoder, answer, len(buffer))
                return answer
        return None

    def _warn_of(self, decoder: Decoder, answer: Incomplete | Damaged, left: int) -> None:
        """Warn once of a decoder that asks for more without end, or finds only damage where others find packets."""
        if isinstance(answer, Damaged):
            decoder.damaged += 1
            if decoder.damaged >= MIN_DAMAGED and not decoder.packets and any(one.packets for one in self._decoders):
                why = f" ({answer.why:.100})" if answer.why else ""
                found = f"has found {decoder.damaged} packets, and all of them are damaged{why}"
                decoder.warn("damage", f"{found}, while those of other decoders are intact: is it the right one?")
        elif left >= MAX_PACKET:
            decoder.warn("more", f"asks for more than {left} bytes, and is not waited for")

    def find_other_format(self, data: bytes) -> str:
        """Return the name of a format that is in these bytes and is not taken; "" if there is none.

        All decoders are asked, in the caller's thread; what they raise is not logged.
        """
        decoders = Decoders([one for one, _ in self._given], (), [context for _, context in self._given], _MUTE)
        decoders.open(skip_failing=True)
        stream = decoders.stream()
        found = [*stream.feed(data, from_microseconds(0)), *stream.close()]
        decoders.close()
        return next((packet.format.name for packet, _ in found if packet.format.name not in self._formats), "")

    def device_time(self, packet: Packet, to_utc: Callable[[datetime], datetime]) -> datetime | None:
        """Return the time by the meter's own clock, in UTC; None if it has none, it is not set, or cannot be read.

        `to_utc` makes a time in UTC of the local time that the meter shows.
        """
        clock = packet.format.clock
        if clock is None:
            return None
        try:
            local = clock(packet.raw)
            if local is None:
                return None
            if not isinstance(local, datetime) or local.tzinfo is not None:
                raise TypeError(f"expected a datetime without a zone, or None, found {local!r:.80}")  # noqa: TRY301
            return to_utc(local)
        except BaseException as error:  # noqa: BLE001 - a plugin's bug must not stop the worker
            what = f"the clock of format {packet.format.name} cannot be read, and the time of arrival is taken"
            self._reports.error(error, what, packet.format.name)
            return None

    # --- readings of journal entries

    def add_taken(self, readings: Sequence[Reading]) -> None:
        """Let all workers know the readings that a source has made of packets, and followed."""
        self._shared.add_taken(readings)

    def read_entry(self, entry: Entry) -> Reading | None:
        """Return the reading of a journal entry, unpacked; None if that is not possible, which is logged.

        All workers are given the same one, as long as they read near each other.
        """
        reading = self._shared.find(entry) or self._kept(entry)
        if reading is None and (found := self.read_entry_and_serial(entry)) is not None:
            reading = found[1]
            self._shared.add(entry, reading)
        return reading

    def read_entries(self, entries: Sequence[Entry]) -> list[Reading | None]:
        """Do what `read_entry` does, for each of these."""
        found = self._shared.find_newest(entries)
        return [self.read_entry(entry) if one is None else one for entry, one in zip(entries, found, strict=True)]

    def _kept(self, entry: Entry) -> Reading | None:
        """Return the reading of an entry that a source has just made; None where it has to be made anew."""
        found = self._shared.taken(entry)
        if found is None:
            return None
        sent, taken = found
        try:
            serial = self._name_meter(entry.source, entry.address, sent, entry.serial, entry.format)
            reading = kept_reading(taken, serial, entry.offset, entry.origin)
        except Exception:  # noqa: BLE001 - `read_entry_and_serial` finds the same, and reports it
            return None
        self._shared.add(entry, reading)
        return reading

    def read_entry_and_serial(self, entry: Entry) -> tuple[str, Reading] | None:
        """Do what `read_entry` does; return also the serial number that the packet shows."""
        try:
            found = self._read_entry(entry)
        except BaseException as error:  # noqa: BLE001 - as above; another version of a plugin may have written it
            what = f"passing over readings of format {entry.format} that cannot be unpacked"
            self._reports.error(error, what, entry.format)
            return None
        if found is None:
            text = f"passing over readings of format {entry.format}: no decoder of this configuration knows them"
            self._reports.warning(text, ("unknown", entry.format))
        return found

    def _read_entry(self, entry: Entry) -> tuple[str, Reading] | None:
        time = from_microseconds(entry.key)
        if entry.packetless:
            serial = self._name_meter(entry.source, entry.address, entry.serial, entry.serial, entry.format)
            return entry.serial, decode_reading(entry, time, serial)
        found = self._decode_entry(entry)
        if found is None:
            return None
        form, sent, numbers = found
        more = (entry.offset, entry.monotonic, entry.boot, entry.address, entry.origin)
        serial = self._name_meter(entry.source, entry.address, sent, entry.serial, form.name)
        reading = trusted_reading(numbers, time, form, serial, entry.raw, entry.source, *more)
        return sent, reading

    def _decode_entry(self, entry: Entry) -> tuple[Format, str, tuple[Number, ...] | None] | None:
        """Return the format of an entry, the serial number that its packet shows, and its numbers."""
        known = self._shared.packet_of(entry)
        if known is not None and known.numbers is not None:
            return known.format, known.serial, known.numbers
        if entry.format in FORMATS and self._takes_own(entry.format) and (kept := read_kept(entry.format, entry.raw)):
            return *kept, None  # unpacked on first use
        packet = self._packet_of(entry)
        return None if packet is None else (packet.format, packet.serial, packet.format.numbers(entry.raw))

    def _takes_own(self, name: str) -> bool:
        """Whether the first decoder is Brultech's, and takes a format: then its packets need no decoder to be asked."""
        first = self._decoders[0].instance if self._decoders else None
        return type(first) is Brultech and (not first.formats or name in first.formats)

    def _packet_of(self, entry: Entry) -> Packet | None:
        """Return the packet of an entry, if possible in the format that the entry names."""
        other: Packet | None = None
        for decoder in self._decoders:
            packet = decoder.ask(memoryview(entry.raw))
            if isinstance(packet, Packet):
                if packet.format.name == entry.format:
                    return packet
                other = other or packet
        return other
