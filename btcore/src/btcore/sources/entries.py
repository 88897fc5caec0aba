# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal entries that the packets and readings of one source become: with their times, meters and origin.

When they are written is decided in `write_queue.py`, which meter they belong to in `identity.py`.
"""

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

from btcore import clocks
from btcore.config.site import Source
from btcore.decode.clock_trust import ClockTrust
from btcore.decode.decoders import Decoders
from btcore.decode.device_clock import DeviceClock
from btcore.decode.framing import Stream
from btcore.decode.packetless import encode_reading
from btcore.formats import SECONDS, Format
from btcore.journal import Entry
from btcore.journal.clock_watch import ClockWatch
from btcore.records import Packet, Reading, from_microseconds, reading_of, renamed_reading, to_microseconds
from btcore.sources.activity import Activity
from btcore.sources.admission import Admission
from btcore.sources.identity import Identities
from btcore.sources.silence import SilenceWatch

BOOT = clocks.boot()
"""The clock of this process, by its number."""

CLOCK_TOLERANCE = {"device-utc": timedelta(hours=1), "device-local": timedelta(hours=2)}
"""By how much the clock of a meter may be wrong and is believed. In local time, it may be set to summer time late."""

MAX_LIVE_AGE = 600.0
"""Seconds: a reading without a packet that is older is not live."""


class SourceStream:
    """A stream, and the times given to its packets."""

    def __init__(self, stream: Stream) -> None:
        """Begin without packets."""
        self.stream = stream
        self.packets = 0
        self.address = ""
        self.is_timed = False  # whether it is known when its bytes came in
        self._time = 0
        self._same = 0
        # microseconds by which the steady clock was ahead of the time of day at the last live bytes
        self._ahead: int | None = None

    def arrived(self) -> datetime:
        """Return the time of the bytes that come in now."""
        now = clocks.now()
        self._ahead = clocks.steady() - to_microseconds(now)
        return now

    @property
    def is_live(self) -> bool:
        """Whether its bytes come in now, and are no recording."""
        return self._ahead is not None

    def steady(self, arrived: int) -> tuple[int, int]:
        """Return a time by the steady clock, and the number of that clock; 0 and 0 for a recording."""
        return (0, 0) if self._ahead is None else (arrived + self._ahead, BOOT)

    def distinct(self, time: int) -> int:
        """Return a distinct time for each of several packets that came in at once; a replay gives the same times."""
        self._same = self._same + 1 if time == self._time else 0
        self._time = time
        return time + self._same


class EntryMaker:
    """Makes the entries of one source."""

    def __init__(
        self,
        source: Source,
        decoders: Decoders,
        identities: Identities,
        admission: Admission,
        silence_watch: SilenceWatch,
        activity: Activity,
    ) -> None:
        """Prepare."""
        self._source = source
        self._origin = source.origin
        self._reads_clock = source.clock != "arrival"
        self._decoders = decoders
        self._identities = identities
        self._admission = admission
        self._silence_watch = silence_watch
        self._activity = activity
        self._clock = DeviceClock(_local_offset)
        self._trust = ClockTrust(CLOCK_TOLERANCE.get(source.clock, timedelta(0)), self._report_clock)
        self.clock_watch: ClockWatch | None = None

    def restart_clock(self) -> None:
        """Forget the clocks of the meters: a recording begins anew, and has the same times again."""
        self._clock = DeviceClock(_local_offset)

    def of_packets(self, stream: SourceStream, found: Sequence[tuple[Packet, datetime]]) -> list[Entry]:
        """Make the entries of packets, each with the time at which it came in; those not admitted are left out.

        A connection that has fallen behind brings several packets of one meter at once: what is the same for all of
        them is done once. Nearly always there is one, and no list is made for it.
        """
        if len(found) > 1:
            return self._of_several(stream, found)
        return [] if not found or (entry := self._of_one(stream, *found[0])) is None else [entry]

    def _of_one(self, stream: SourceStream, packet: Packet, arrived: datetime) -> Entry | None:
        """Do what `_of_several` does, for a packet that came alone."""
        source, address, form, at = self._source.name, stream.address, packet.format, to_microseconds(arrived)
        time = self._device_time(stream, packet, arrived) if self._reads_clock and form.clock is not None else None
        key = stream.distinct(at if time is None else to_microseconds(time))
        steady, boot = stream.steady(at)
        serial = self._identities.serial_of(source, address, packet.serial, form.name)
        if not self._admission.admitted(serial, form.name, steady if boot else at, is_live=bool(boot)):
            return None
        stream.packets += 1
        when = arrived if key == at else from_microseconds(key)
        offset = self._identities.next_offset()
        reading = reading_of(packet, when, serial, source, offset, steady, boot, address, key)
        name = self._identities.name(reading)
        if boot:
            self._silence_watch.heard(name)
        self._decoders.add_taken((reading,))
        self._activity.add(name, key)
        stamps = (steady, boot if time else self._known(boot), address, self._origin)
        return Entry(key, source, name, form.name, reading.raw, False, 0, *stamps)  # noqa: FBT003 - it has a packet

    def _of_several(self, stream: SourceStream, found: Sequence[tuple[Packet, datetime]]) -> list[Entry]:
        entries: list[Entry] = []
        readings: list[Reading] = []
        for _, of_meter in groupby(found, _meter_of):
            entries += self._of_meter(stream, [*of_meter], readings)
        self._decoders.add_taken(readings)
        self._activity.add_all([(entry.serial, entry.key) for entry in entries])
        return entries

    def _of_meter(
        self, stream: SourceStream, found: Sequence[tuple[Packet, datetime]], taken: list[Reading]
    ) -> list[Entry]:
        """Make the entries of packets of one meter, in one format; add their readings to `taken`."""
        (first, _), source, address = found[0], self._source.name, stream.address
        form, reads_clock = first.format, self._reads_clock and first.format.clock is not None
        serial = self._identities.serial_of(source, address, first.serial, form.name)
        ats = [to_microseconds(arrived) for _, arrived in found]
        stamps = [*map(stream.steady, ats)]
        is_live = stream.is_live
        admitted = self._admission.admitted_of(
            serial, form.name, [steady for steady, _ in stamps] if is_live else ats, is_live=is_live
        )
        readings, boots = [], []
        for (packet, arrived), at, (steady, boot), is_admitted in zip(found, ats, stamps, admitted, strict=True):
            time = self._device_time(stream, packet, arrived) if reads_clock else None
            key = stream.distinct(at if time is None else to_microseconds(time))
            if is_admitted:
                when = arrived if key == at else from_microseconds(key)
                offset = self._identities.next_offset()
                readings.append(reading_of(packet, when, serial, source, offset, steady, boot, address, key))
                boots.append(boot if time else self._known(boot))
        stream.packets += len(readings)
        names = self._identities.names(readings)
        taken += readings
        if is_live:
            for name in dict.fromkeys(names):  # nearly always it is one
                self._silence_watch.heard(name, packets=names.count(name))
        more = address, self._origin
        return [
            Entry(one.key, source, name, form.name, one.raw, False, 0, one.monotonic, boot, *more)  # noqa: FBT003 - it has a packet
            for one, name, boot in zip(readings, names, boots, strict=True)
        ]

    def _known(self, boot: int) -> int:
        """Return what an entry has as its boot: negative where the time of day is not known yet."""
        return -boot if self.clock_watch is not None and not self.clock_watch.is_set else boot

    def _device_time(self, stream: SourceStream, packet: Packet, arrived: datetime) -> datetime | None:
        """Return the time of the meter's own clock, if the source trusts that clock and it is set."""

        def from_local(device_time: datetime) -> datetime:
            form = packet.format
            numbers = form.numbers(packet.raw) if packet.numbers is None else packet.numbers
            seconds = int(numbers[form.index[SECONDS]] or 0)
            return self._clock.utc(
                packet.serial, device_time, seconds, form.seconds_bits, arrived if stream.is_timed else None
            )

        found = self._decoders.device_time(packet, _from_utc if self._source.clock == "device-utc" else from_local)
        return found if not self._can_judge(stream) or self._trust.believes(packet.serial, found, arrived) else None

    def _can_judge(self, stream: SourceStream) -> bool:
        """Whether it is known when packets come in: not of a recording, nor while the computer's clock is not set."""
        return stream.is_live and (self.clock_watch is None or self.clock_watch.is_set)

    def _report_clock(self, serial: str, fault: str) -> None:
        log = logging.getLogger(self._source.table)
        if fault:
            what = f"meter {serial}: {fault}: its readings have the time of arrival"
            sure = f'if `clock = "{self._source.clock}"` is as the meter is set'
            advice = f"`btcore device set {serial} clock=now` sets it, `sync_clock = true` keeps it right"
            log.warning("%s; %s, %s", what, sure, advice)
        else:
            log.info("meter %s: its clock is right again", serial)

    def of_reading(self, reading: Reading) -> Entry | None:
        """Make the entry of a reading without a packet; None where it is not admitted."""
        key = to_microseconds(reading.time)
        source, address = self._source.name, reading.address
        serial = self._identities.serial_of(source, address, reading.serial, reading.format.name)
        if not self._admission.admitted(serial, reading.format.name, key, is_live=False):
            return None
        offset = self._identities.next_offset()
        name = self._identities.name(renamed_reading(reading, serial, source, offset))
        self._activity.add(name, key)
        is_heard = not self._source.is_derived  # of a virtual channel, its meters are silent
        if is_heard and abs(time.time() - reading.timestamp) < MAX_LIVE_AGE:
            self._silence_watch.heard(name, reading.timestamp)
        origin = reading.origin or self._origin
        values = encode_reading(reading)
        stamps = (0, reading.monotonic, reading.boot, address, origin)
        return Entry(key, source, name, reading.format.name, values, True, *stamps)  # noqa: FBT003 - it has no packet


def _meter_of(found: tuple[Packet, datetime]) -> tuple[str, Format]:
    packet, _ = found
    return packet.serial, packet.format


def _from_utc(device_time: datetime) -> datetime:
    return device_time.replace(tzinfo=UTC)


def _local_offset(device_time: datetime) -> timedelta:
    return device_time.astimezone().utcoffset() or timedelta(0)
