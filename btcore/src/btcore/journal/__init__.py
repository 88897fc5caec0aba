# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: every packet that was decoded, in order, on disk, and how far each sink has come.

Nothing else remembers anything. This module is the contract and its records. `memory.py` keeps it in its
shortest form, `btcore.sqlite_journal` on a disk; `btcore.testing` holds an implementation to it. Nothing else may know
what a journal is kept in.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple, Protocol, Self, TypeAlias

from btcore.classes import Weak, evolve, field, fillable, frozen
from btcore.errors import BtcoreError, JournalFull, JournalNotReady, Unavailable
from btcore.origin import current_origin

Offset: TypeAlias = int
"""Says where an entry is in a journal: opaque and ordered. Offsets can be compared, but not counted with."""

START: Offset = 0
"""The offset before the first entry."""


class Superseded(BtcoreError):
    """The checkpoint of a sink was changed by another worker since it was read: whoever gets this delivers no more."""

    def __init__(self, sink: str) -> None:
        """Say which sink."""
        super().__init__(f"another worker delivers to {sink} now")


@frozen
class Entry(Weak):
    """One reading as the journal keeps it.

    `serial` and `key` identify it: `key` is its time in microseconds since 1970, raised by its writer where another
    reading of the meter has that key (`keys.py`). `raw` is the packet; where `packetless` is set, the values of a
    reading that came without one. `offset` is given by the journal: 0 before that. `monotonic`, `boot`, `address` and
    `origin` are as in `Reading`; a negative `boot` says that the time of day was not known, so that `key` is a guess.
    """

    key: int
    source: str
    serial: str
    format: str
    raw: bytes = field(repr=False)
    packetless: bool = False
    offset: Offset = START
    monotonic: int = 0
    boot: int = 0
    address: str = ""
    origin: str = ""

    def __new__(  # noqa: PLR0913, PLR0917 - a record's fields
        cls,
        key: int,
        source: str,
        serial: str,
        format: str,
        raw: bytes,
        packetless: bool = False,
        offset: Offset = START,
        monotonic: int = 0,
        boot: int = 0,
        address: str = "",
        origin: str = "",
    ) -> Self:
        """Keep what is given; `__init__` would take twice as long, and each packet has an entry or two."""
        it = _FILLABLE_ENTRY()
        it.key, it.source, it.serial, it.format, it.raw = key, source, serial, format, raw
        it.packetless, it.offset, it.monotonic, it.boot = packetless, offset, monotonic, boot
        it.address, it.origin = address, current_origin(origin) if origin else origin
        it.__class__ = cls
        return it  # type: ignore[no-any-return] # now it is one

    def __getnewargs__(self) -> tuple[object, ...]:
        """Return what a copy is made with, before it is given the rest."""
        return self.key, self.source, self.serial, self.format, self.raw


_FILLABLE_ENTRY = fillable(Entry)


@frozen
class Appended:
    """What became of entries that were appended.

    `kept` are those that are new, with their offsets. `rest` are those that were not appended: the key of the first one
    is taken by another reading of its meter, and the others come after it.
    """

    kept: Sequence[Entry] = ()
    rest: Sequence[Entry] = ()


class EntrySize(NamedTuple):
    """Of an entry: its offset, its key, and the bytes of its packet."""

    offset: Offset
    key: int
    size: int


class Lag(NamedTuple):
    """What comes after an offset: how many entries, the bytes of their packets, and the key of the first (0: none)."""

    entries: int = 0
    size: int = 0
    oldest: int = 0


@frozen
class Retention:
    """For how long a journal keeps what nobody needs any more.

    Entries that every sink has examined stay for `age` seconds; dead letters for `dead_letter_age` seconds, and of each
    sink the newest `max_dead_letters`.
    """

    age: float
    dead_letter_age: float = 90 * 86_400
    max_dead_letters: int = 10_000


class Forgotten(NamedTuple):
    """What a journal has forgotten: how many entries, and how many dead letters by sink."""

    entries: int = 0
    dead_letters: Mapping[str, int] = MappingProxyType({})


class HeardMeter(NamedTuple):
    """A meter and a packet format of it: `offset` is that of its last such reading in this run, 0 before that."""

    serial: str
    format: str
    offset: Offset


@frozen
class Baseline:
    """The reading from which the next sample of a meter counts, by its offset.

    `lifetime` says by how much the counters of the meter's life are ahead of what that reading shows, in Ws, by label.
    """

    offset: Offset
    lifetime: Mapping[str, int] = field(factory=dict)


@frozen
class Checkpoint:
    """How far a sink has come: everything up to `offset` is delivered.

    `baselines` has the baseline of each meter. It may come after `offset`, where a sink averages over intervals: then
    what the meter sent up to it is delivered too.

    `examined` is up to where the sink has looked: of what is between `offset` and it, its settings selected nothing. It
    is never before `offset`. `settings` is a fingerprint of those settings, `first_unwanted` the offset of the
    first reading up to `offset` that they did not select (0: none), `accepted` a fingerprint of the settings with which
    anything was ever accepted. `revision` says which commit of the sink this was, 0 before the
    first: two checkpoints that differ by it alone are equal.
    """

    offset: Offset = START
    baselines: Mapping[str, Baseline] = field(factory=dict)
    examined: Offset = START
    first_unwanted: Offset = START
    settings: str = ""
    accepted: str = ""
    revision: int = field(default=0, eq=False)

    def __attrs_post_init__(self) -> None:
        """Set `examined`: what was delivered was examined."""
        object.__setattr__(self, "examined", max(self.examined, self.offset))

    def moved(self, offset: Offset, baselines: Mapping[str, Baseline]) -> "Checkpoint":
        """Return the checkpoint after delivering some more; `baselines` are those that changed."""
        return evolve(self, offset=offset, baselines={**self.baselines, **baselines})


@frozen
class DeadLetter:
    """A sample or a reading that a sink will never take, kept with the reason.

    `keys` are those of the readings at the ends of the sample: with `sink` and `serial` they identify it. `entries` are
    the offsets of these readings; the journal keeps them.
    """

    sink: str
    serial: str
    start: datetime
    end: datetime
    why: str
    entries: tuple[Offset, ...] = ()
    keys: tuple[int, ...] = ()

    @property
    def identity(self) -> tuple[str, str, tuple[int, ...]]:
        """What no two dead letters have in common."""
        return self.sink, self.serial, self.keys


@frozen
class Damage:
    """Damage of what a journal keeps, which was mended: `text` says in a line what was found, and what was done.

    `lost` readings are gone for good; None: nobody knows how many. `time` is when it was found.
    """

    time: datetime
    text: str
    lost: int | None = 0


class Journal(Protocol):
    """An append-only log of entries, with one durable checkpoint a sink. Safe to use from several threads.

    What cannot be done now (a full disk) raises `Unavailable`; nothing is half done. A journal that has reached its
    largest size, and can forget nothing, raises `JournalFull`.
    """

    def append(self, entries: Sequence[Entry]) -> Appended:
        """Keep entries in their order, up to the first whose key is taken: all of these, or none.

        A reading is identified by `serial` and `key`. Where the pair is kept with the same packet, it is the same
        reading, and is kept once: as long as the first is kept, or within a time that the implementation names. Where
        the pair is kept with another packet, the key is taken: the journal chooses no other, and keeps nothing that
        comes after it, so that the order of a meter's readings stays. The writer appends the rest with another key:
        `append_all` in `keys.py`.
        """

    def read(self, after: Offset, limit: int) -> Sequence[Entry]:
        """Return the entries after an offset, oldest first, at most `limit`."""

    def get(self, offsets: Sequence[Offset]) -> Sequence[Entry]:
        """Return the entries at these offsets that are still kept, in this order."""

    def recent(self, until: Offset, limit: int) -> Sequence[Entry]:
        """Return the last entries up to an offset, oldest first, at most `limit`."""

    def newest(self) -> Offset:
        """Return the offset of the newest entry, also where it is no longer kept; `START` when there never was one."""

    def kept_after(self) -> Offset:
        """Return an offset after which nothing was forgotten: all that came in after it is kept."""

    def lag(self, after: Offset) -> Lag:
        """Return what is kept after an offset. It takes no longer where that is much: nothing is read one by one."""

    def sizes(self, after: Offset, limit: int) -> Sequence[EntrySize]:
        """Return the sizes of the entries after an offset, oldest first, at most `limit`, without their packets."""

    def wait(self, after: Offset, timeout: float, count: int = 1) -> bool:
        """Wait until there are so many entries after an offset, or `timeout` seconds; return whether there are.

        A journal that cannot tell how many there are waits for one.
        """

    def wake(self) -> None:
        """Make every `wait` return now."""

    def checkpoint(self, sink: str) -> Checkpoint | None:
        """Return how far a sink has come; None for one that was never here."""

    def commit(self, sink: str, checkpoint: Checkpoint) -> Checkpoint:
        """Make this a sink's checkpoint, and return it with its new revision. Raises Superseded.

        It is changed all at once, and only where `checkpoint.revision` is that of the one that is kept. Baselines that
        `checkpoint` does not have stay.
        """

    def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep these, all or none. One whose identity is kept already is not kept twice.

        It is done before the checkpoint moves over them: a crash between the two costs nothing.
        """

    def dead_letters(self, sink: str | None = None) -> Sequence[DeadLetter]:
        """Return the dead letters, oldest first, of one sink or all."""

    def replace_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Give dead letters that are kept these reasons, all or none. One that is kept no longer stays away."""

    def forget_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Forget these, all or none: they were delivered, or dropped by a person."""

    def baseline(self, sink: str, key: str) -> Baseline | None:
        """Return one baseline of a sink, by its key; None when there is none.

        A checkpoint holds those of the meters that were heard last; this finds the others.
        """

    def restamp(self, entries: Sequence[Entry]) -> None:
        """Give entries that are kept, by their offsets, these keys and boots: they were kept before the time was known.

        Where another reading of the meter has the key, the next one that is free. One that is not kept stays away. No
        sink has examined any of them.
        """

    def source_checkpoint(self, source: str) -> str:
        """Return what was committed for a source last; "" where nothing was."""

    def commit_source(self, source: str, state: str) -> None:
        """Keep how far a source has come, as its plugin's own text; called when the readings before it are kept."""

    def heard_meters(self) -> Sequence[HeardMeter]:
        """Return which meters were ever heard, and in which formats, the last heard last, as many as are remembered.

        It does not ask the disk.
        """

    def heard(self, recent: int) -> Sequence[Entry]:
        """Return the last entry of each meter that any sink has a baseline of, and so many of the newest, oldest first.

        As many as are kept.
        """

    @property
    def location(self) -> str:
        """Where it is kept, for messages: a directory, a server. It contains no secret."""

    @property
    def is_full(self) -> bool:
        """Whether there was no room for the last thing that was to be kept, or there soon will be none."""

    def apply_retention(self, sinks: Sequence[str], retention: Retention) -> Iterator[Forgotten]:
        """Forget what is older than the retention, and what nobody needs.

        Entries stay that any of these sinks has not examined, and those of baselines and of dead letters. Where there
        is no room, the others are forgotten whatever their age. It is done in small portions, so that nobody waits for
        it; after each it yields what is gone. Not all need be asked for.
        """

    def inspect(self) -> Sequence[Damage]:
        """See whether what is kept is well, mend what is not, and return what was found since the last call.

        Called about once a second, by a thread of its own. Where there is much to mend it takes long, and what others
        ask for meanwhile waits, or raises Unavailable. A journal whose store looks after itself returns nothing.
        """

    @property
    def damages(self) -> Sequence[Damage]:
        """What was found of late, oldest first, also before the journal was opened, as far as that is remembered."""

    def check(self) -> Iterator[str]:
        """Yield what is wrong with what is kept, a line for a person each. Nothing is changed, and nobody waits."""

    def compact(self) -> None:
        """Give room that is free in it back to the disk. It may take long; nobody else uses the journal meanwhile."""

    def size(self) -> int:
        """Return how many bytes it takes where it is kept."""

    def free(self) -> int | None:
        """Return how many bytes are free where it is kept; None where that is not known."""

    def close(self) -> None:
        """Give everything back. The journal cannot be used afterwards."""


def known_serials(journal: Journal) -> list[str]:
    """Return the meters that were ever heard, the last heard first, as many as the journal remembers."""
    return list(dict.fromkeys(meter.serial for meter in reversed(journal.heard_meters())))


__all__ = [
    "START",
    "Appended",
    "Baseline",
    "Checkpoint",
    "Damage",
    "DeadLetter",
    "Entry",
    "EntrySize",
    "Forgotten",
    "HeardMeter",
    "Journal",
    "JournalFull",
    "JournalNotReady",
    "Lag",
    "Offset",
    "Retention",
    "Superseded",
    "Unavailable",
    "known_serials",
]
