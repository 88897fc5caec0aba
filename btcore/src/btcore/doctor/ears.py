# SPDX-License-Identifier: GPL-3.0-or-later
"""Listening to all sources of a site that does not run, at once: for `gathering.py`."""

from threading import Thread

from btcore.config.site import Site, Source
from btcore.doctor.facts import HeardReading, SourceFacts, Undecoded
from btcore.errors import Stop
from btcore.origin import LIVE
from btcore.records import Reading
from btcore.runtime.listening import Listening
from btcore.text import describe_error

PATIENCE = 30.0
"""Seconds that a source may take to close, after it was listened to."""


def listen(site: Site, seconds: float) -> tuple[tuple[SourceFacts, ...], list[HeardReading]]:
    """Listen to all sources at once: those that play a recording, or simulate, are left alone."""
    ears = [Ear(site, source, seconds) for source in site.sources]
    for ear in ears:
        ear.start()
    for ear in ears:
        ear.join()
    return tuple(ear.facts() for ear in ears), [one for ear in ears for one in ear.heard]


class Ear:
    """Listens to one source in a thread of its own, until a packet has come in and the line is quiet, or in vain."""

    def __init__(self, site: Site, source: Source, seconds: float) -> None:
        """Prepare."""
        self.heard: list[HeardReading] = []
        self._site = site
        self._source = source
        self._seconds = seconds
        self._listening = Listening(site, source)
        self._failure = ""
        self._stopped = False
        self._thread = Thread(target=self._run, name=source.table, daemon=True)

    def start(self) -> None:
        """Begin, unless the source plays a recording or simulates."""
        if self._source.origin == LIVE:
            self._thread.start()

    def join(self) -> None:
        """Wait for the end."""
        if self._thread.ident is not None:
            self._thread.join(self._seconds + PATIENCE)
            if self._thread.is_alive():
                self._failure = f"it does not stop within {PATIENCE:.0f} s after it was told to"

    def facts(self) -> SourceFacts:
        """Return what came in."""
        listening = self._listening
        undecoded = listening.recent_bytes.undecoded(settle=0.0) if not listening.serials else []
        return SourceFacts(
            source=self._source,
            state="stopped" if self._stopped else "",
            failure=self._failure,
            listened=self._seconds if self._thread.ident is not None else 0.0,
            undecoded=tuple(Undecoded(one.stream, one.data, one.damaged > 0, one.not_taken) for one in undecoded),
            serials=tuple(listening.serials),
            packets=listening.counts.packets,
            damaged=listening.counts.damaged,
        )

    def _run(self) -> None:
        try:
            for _chunk in self._listening.chunks(self._seconds):
                if self._listening.serials:  # it works
                    break
        except Stop as error:
            self._failure, self._stopped = describe_error(error), True
        except BaseException as error:  # noqa: BLE001 - whatever a plugin raises is what is looked for
            self._failure = describe_error(error)
        self.heard = [
            HeardReading(reading, reading.serial, reading.time, self._known_as(reading))
            for reading in self._listening.readings
        ]

    def _known_as(self, reading: Reading) -> str:
        return self._site.meters.serial_of(self._source.name, reading.address, reading.serial, reading.format.name)
