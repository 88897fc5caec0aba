"""Which meter a packet is of: a serial number alone does not tell.

Many ECM-1240 send 000000, and a GEM's number may change by itself. So a meter is known by the source that it comes by,
by what stays the same of the way it comes there, by its serial number, and, where these do not tell, by what it counts.
What the configuration says comes first (`config/meters.py`). Two meters that send one number have two names from the
moment on at which that is certain: the second one has `-2` behind it. One of these for all sources of a site.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from threading import Lock

import attrs

from btcore.calculate.chain import Base
from btcore.calculate.chains import Chains
from btcore.calculate.notices import Notice
from btcore.config.meters import Meters
from btcore.decode.decoders import Decoders
from btcore.journal import Journal
from btcore.records import Reading

log = logging.getLogger("btcore")

MAX_METERS = 1024
"""Serial numbers that are remembered, over all sources."""

RECENT = 1000
"""Readings at the end of the journal whose meters are known, also where no sink has had them yet."""


class Identities:
    """Tells what a meter is called. Safe between threads."""

    def __init__(self, meters: Meters, notify: Callable[[Notice], None]) -> None:
        """Know no meter yet. `tell` is given what a person should know, each once."""
        self._meters = meters
        self._notify = notify
        self._notified: set[tuple[str, str]] = set()
        self._lock = Lock()
        self._offsets = count(1)
        self._chains = Chains({}, tell=self._notice, most=MAX_METERS)

    def restore(self, readings: Iterable[tuple[str, Reading]]) -> None:
        """Go on from earlier readings, oldest first, each with the serial number in its packet."""
        bases: dict[str, Base] = {}
        heard: list[tuple[str, bytes]] = []
        for sent, reading in readings:
            serial = self.serial_of(reading.source, reading.address, sent)
            rest = reading.serial.removeprefix(f"{serial}-")
            key = f"{serial}#{rest}" if rest != reading.serial and rest.isdigit() else serial
            bases[key] = Base(attrs.evolve(reading, serial=serial, offset=self.next_offset()))
            heard.append((serial, reading.raw))  # a slow second way may bring it once more
        with self._lock:
            self._chains = Chains(bases, heard=heard, tell=self._notice, most=MAX_METERS)
            for key, base in bases.items():
                if "#" in key.removeprefix(base.reading.serial):
                    self._chains.part(base.reading.serial)

    def serial_of(self, source: str, address: str, sent: str) -> str:
        """Return the serial number by which the configuration knows a meter, else the one that it sends."""
        return self._meters.serial_of(source, address, sent)

    def next_offset(self) -> int:
        """Return the place of the next reading: they are told apart by it."""
        return next(self._offsets)

    def name(self, reading: Reading) -> str:
        """Return what a reading's meter is called. Its serial number is that of `serial_of`, its `seq` `next_place`."""
        try:
            with self._lock:
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
        if reading.boot or not self._chains.is_past(reading):  # a recording that is played again tells nothing new
            key = self._chains.follow(reading).key
            self._chains.forget()
        serial, _, number = (key or self._chains.key_of(reading)).rpartition("#")
        several = serial and number.isdigit() and self._chains.is_several(reading.serial)
        return f"{serial}-{number}" if several else reading.serial

    def _notice(self, notice: Notice) -> None:
        news = notice.called or notice.serial, notice.kind
        if news not in self._notified and len(self._notified) < MAX_METERS:
            self._notified.add(news)
            self._notify(notice)


def last_readings(journal: Journal, decoders: Decoders) -> Iterator[tuple[str, Reading]]:
    """Yield the last readings of the meters that were heard before, oldest first, as `Identities.know` takes them."""
    for entry in journal.heard(RECENT):
        found = decoders.recall_sent(entry)
        if found is not None:
            yield found
