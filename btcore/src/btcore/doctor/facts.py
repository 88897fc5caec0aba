# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts about a site that findings are made of: records, gathered in `gathering.py`."""

from collections.abc import Mapping
from datetime import datetime

from btcore.classes import field, frozen
from btcore.config.site import Sink, Site, Source
from btcore.decode.recognition import Kind, recognize
from btcore.records import Reading


@frozen
class Undecoded:
    """The beginning of what a stream brought without a packet; `not_taken` is a format in it that is not taken."""

    stream: str
    data: bytes
    damaged: bool = False
    not_taken: str = ""

    def kind(self, formats: tuple[str, ...] = ()) -> Kind:
        """Return what these bytes are taken for."""
        return recognize(self.data, formats, unwanted=self.not_taken, damaged=self.damaged)


@frozen
class SilentMeter:
    """A meter that is overdue: for how many seconds, and how many are usual for it, if that is known."""

    serial: str
    seconds: float
    usual: float | None = None


@frozen(kw_only=True)
class SourceFacts:
    """One source. `state` is that of `btcore status`; "" where nothing runs.

    `listened`: for how many seconds it was listened to, by this command or since the start of the program; 0: it was
    not. `failure` is the error that keeps it from working, `serials` are the meters that were heard.
    """

    source: Source
    state: str = ""
    failure: str = ""
    listened: float = 0.0
    undecoded: tuple[Undecoded, ...] = ()
    serials: tuple[str, ...] = ()
    silent: tuple[SilentMeter, ...] = ()
    packets: int = 0
    damaged: int = 0
    refused: int = 0

    @property
    def main(self) -> Undecoded | None:
        """The bytes that say most: those of a meter before others', and the larger before the smaller."""
        kinds = [(one.kind(self.source.formats), one) for one in self.undecoded if one.data]
        return max(kinds, key=lambda one: (one[0].is_meter, len(one[1].data)))[1] if kinds else None


@frozen(kw_only=True)
class SinkFacts:
    """One sink, as `btcore status` has it."""

    sink: Sink
    state: str = ""
    failure: str = ""
    waiting: int = 0
    oldest_waiting: datetime | None = None
    dead_letters: int = 0


@frozen
class HeardReading:
    """A reading of late: the serial number that its packet shows, and when it came in.

    `known_as` is what [meters] makes of that serial number.
    """

    reading: Reading
    sent: str
    arrived: datetime
    known_as: str


@frozen(kw_only=True)
class JournalFacts:
    """The journal, and where it is. `failure`: why it cannot be read. `free` are bytes of its disk, None if not known.

    `newest` is when the newest entry came in, `full` when the disk will be full at this rate. `damage` is what happened
    to the journal last, at `damaged_at`. `is_read_only`: nobody may write to its file system.
    """

    location: str = ""
    failure: str = ""
    free: int | None = None
    newest: datetime | None = None
    full: datetime | None = None
    is_writable: bool = True
    is_read_only: bool = False
    damage: str = ""
    damaged_at: datetime | None = None


@frozen(kw_only=True)
class SiteFacts:
    """All that is known of a site at a moment.

    `readable` are files with secrets or readings that every user of this machine can read. `version` is this command's,
    `running_version` that of the running program, "" if none runs. `unknown_names` has the names of the configuration
    that fit no meter, by table. `silence`: why a running program could not be asked; "" otherwise.
    """

    site: Site
    now: datetime
    sources: tuple[SourceFacts, ...] = ()
    sinks: tuple[SinkFacts, ...] = ()
    journal: JournalFacts = field(factory=JournalFacts)
    readings: tuple[HeardReading, ...] = ()
    unknown_names: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    version: str = ""
    running_version: str = ""
    silence: str = ""
    process: int | None = None

    @property
    def is_running(self) -> bool:
        """Whether a program runs with this site, or may do so: then no line of it is opened."""
        return bool(self.running_version or self.silence)

    @property
    def meters(self) -> Mapping[str, tuple[HeardReading, ...]]:
        """The readings of late by meter, oldest first."""
        found: dict[str, list[HeardReading]] = {}
        for one in self.readings:
            found.setdefault(one.reading.serial, []).append(one)
        return {serial: tuple(some) for serial, some in found.items()}
