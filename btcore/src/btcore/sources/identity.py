# SPDX-License-Identifier: GPL-3.0-or-later
"""Which meter sent a packet: the serial number alone does not identify it.

Many ECM-1240 send 000000, and the number of a GEM may change by itself. So a meter is identified by its source, by the
constant part of its address, by its serial number, and, if these are not enough, by its counters. The configuration
comes first (`config/meters.py`). When it is certain that two meters send one number, the second gets `-2` appended.
One instance serves all sources of a site.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from threading import Lock

from btcore.calculate.chain import ChainBaseline
from btcore.calculate.chains import Chains
from btcore.calculate.notices import Notice, other_kind, two_numbers
from btcore.classes import evolve
from btcore.config.meters import Meters
from btcore.decode.decoders import Decoders
from btcore.journal import Journal
from btcore.records import Reading

log = logging.getLogger("btcore")

MAX_METERS = 1024
"""Serial numbers that are remembered, over all sources."""

_numbers = count(1)
"""The numbers of the readings of this process, each given once: also where a site is loaded again."""

RECENT = 1000
"""Readings at the end of the journal whose meters are known, also where no sink has had them yet."""


class Identities:
    """Gives each meter its name. Thread-safe."""

    def __init__(self, meters: Meters, notify: Callable[[Notice], None]) -> None:
        """Begin without meters. `notify` is called with each notice once."""
        self._meters = meters
        self._notify = notify
        self._notified: set[tuple[str, str]] = set()
        self._lock = Lock()
        self._chains = Chains({}, report=self._notice, max_meters=MAX_METERS)
        self._checked: set[tuple[str, str, str, str]] = set()
        self._numbers: dict[str, str] = {}  # by the serial numbers of meters that may send any: what each sent first

    def restore(self, readings: Iterable[tuple[str, Reading]]) -> None:
        """Restore the meters from earlier readings, oldest first, each with the serial number of its packet."""
        baselines: dict[str, ChainBaseline] = {}
        heard: list[tuple[str, bytes]] = []
        for sent, reading in readings:
            serial = self._meters.serial_of(reading.source, reading.address, sent, reading.format.name)
            rest = reading.serial.removeprefix(f"{serial}-")
            key = f"{serial}#{rest}" if rest != reading.serial and rest.isdigit() else serial
            baselines[key] = ChainBaseline(evolve(reading, serial=serial, offset=self.next_offset()))
            heard.append((serial, reading.raw))  # a slower second connection may bring it again
        with self._lock:
            self._chains = Chains(baselines, heard=heard, report=self._notice, max_meters=MAX_METERS)
            for key, baseline in baselines.items():
                if "#" in key.removeprefix(baseline.reading.serial):
                    self._chains.mark_several(baseline.reading.serial)

    def serial_of(self, source: str, address: str, sent: str, form: str) -> str:
        """Return the serial number by which the configuration knows a meter, else the one that it sends.

        What contradicts the configuration is notified.
        """
        key = (source, address, sent, form)
        if key not in self._checked:
            with self._lock:
                self._check(*key)
        return self._meters.serial_of(*key)

    def _check(self, source: str, address: str, sent: str, form: str) -> None:
        if len(self._checked) < MAX_METERS:
            self._checked.add((source, address, sent, form))
        meter = self._meters.find(source, address, sent, form)
        if meter is None:
            other = self._meters.of_other_kind(source, address, sent, form)
            if other is not None and other.sends:  # else its kind is what tells it from others of that source
                known_as = self._meters.serial_of(source, address, sent, form)
                self._notice(other_kind(other.serial, other.kind, form, known_as))
        elif not meter.sends and sent not in meter.replaces:
            first = self._numbers.setdefault(meter.serial, sent)
            if first != sent:
                self._notice(two_numbers(meter.serial, source, first, sent))

    def next_offset(self) -> int:
        """Return the next offset: each reading of this run has its own."""
        return next(_numbers)

    def name(self, reading: Reading) -> str:
        """Return the name of a reading's meter. Its serial is that of `serial_of`, its offset that of `next_offset`."""
        return self.names((reading,))[0]

    def names(self, readings: Sequence[Reading]) -> list[str]:
        """Return the name of each reading's meter, as `name` does.

        They came in one after the other, the same way, in one format, of one serial number.
        """
        names: list[str] = []
        with self._lock:
            while rest := readings[len(names) :]:
                run = self._run(rest)
                names += [rest[0].serial] * run or [self._name_anyway(rest[0])]
        return names

    def _run(self, readings: Sequence[Reading]) -> int:
        """Return how many readings, the first ones, are beyond doubt those of the meter that is named after them."""
        try:
            return self._chains.follow_run(readings)
        except Exception:  # noqa: BLE001 - `_name_anyway` finds the same, and reports it
            return 0

    def _name_anyway(self, reading: Reading) -> str:
        try:
            return self._name(reading)
        except Exception as error:
            # whatever is wrong with its numbers, the reading must be kept
            if is_news := (reading.format.name, "fault") not in self._notified:
                self._notified.add((reading.format.name, "fault"))
            level = logging.ERROR if is_news else logging.DEBUG
            log.log(
                level,
                "meter %s is identified by its serial number alone: a fault of btcore",
                reading.serial,
                exc_info=error,
            )
            return reading.serial

    def _name(self, reading: Reading) -> str:
        key = ""
        if reading.boot or not self._chains.is_past(reading):  # a recording that is replayed adds nothing
            key = self._chains.follow(reading).key
            self._chains.forget()
        if key and "#" not in key:  # nearly always so
            return reading.serial
        serial, _, number = (key or self._chains.key_of(reading)).rpartition("#")
        several = serial and number.isdigit() and self._chains.is_several(reading.serial)
        return f"{serial}-{number}" if several else reading.serial

    def _notice(self, notice: Notice) -> None:
        news = notice.called or notice.serial, notice.kind
        if news not in self._notified and len(self._notified) < MAX_METERS:
            self._notified.add(news)
            self._notify(notice)


def last_readings(journal: Journal, decoders: Decoders) -> Iterator[tuple[str, Reading]]:
    """Yield the last readings of the meters that were heard before, oldest first, for `Identities.restore`."""
    for entry in journal.heard(RECENT):
        found = decoders.read_entry_and_serial(entry)
        if found is not None:
            yield found
