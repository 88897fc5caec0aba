# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal that is a stream of NATS JetStream: all of it, and each partition of it, as the core's contract has it.

What it promises otherwise than a file: it forgets by the stream's limits alone, an append of several messages may be
kept in part, times are not corrected later, and how far a sink is behind is reckoned where that is much.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from threading import Event, Thread

from btcore.journal import (
    Appended,
    Baseline,
    Checkpoint,
    Damage,
    DeadLetter,
    Entry,
    EntrySize,
    Forgotten,
    HeardMeter,
    Lag,
    Offset,
    Retention,
    Unavailable,
)
from btcore.journal.opening import JournalOptions
from btcore.journal.partitions import Share, replay_name
from btmon_nats.journal.appending import Appending
from btmon_nats.journal.checkpoints import Checkpoints
from btmon_nats.journal.cluster import Cluster, MissingError
from btmon_nats.journal.entries import Trust
from btmon_nats.journal.leases import Leases
from btmon_nats.journal.letters import Letters
from btmon_nats.journal.records import Records, token
from btmon_nats.journal.refused import Refused
from btmon_nats.journal.renewal import Renewal
from btmon_nats.journal.url import Address, parse
from btmon_nats.journal.view import Heard, View
from btmon_nats.stream import bucket_of, leases_of, letters_of, mark_of, partitions_in
from btmon_nats.subjects import partition_of

log = logging.getLogger("btcore")

REFRESH = 1.0
"""Seconds between two looks at what is newest."""

RECENT = 1000
"""Newest entries whose meters count as heard."""


def open_journal(options: JournalOptions) -> "StreamJournal":
    """Open the journal of a URL. Raises ConfigurationError, Unavailable."""
    journal = StreamJournal(parse(options.url))
    try:
        journal.open()
    except BaseException:
        journal.close()
        raise
    return journal


def _check(options: JournalOptions) -> None:
    parse(options.url)


open_journal.check = _check  # type: ignore[attr-defined]
open_journal.is_filled_by_others = True  # type: ignore[attr-defined]


class PartJournal:
    """A part of the stream as a journal: `number` is that of its partition; None: all of it."""

    is_full = False
    damages: Sequence[Damage] = ()

    def __init__(self, journal: "StreamJournal", cluster: Cluster, heard: Heard, number: int | None) -> None:
        """Prepare; nothing is read yet."""
        self._journal = journal
        self._cluster = cluster
        self._number = number
        address = journal.address
        self.view = View(cluster, journal.trust, heard, number)
        self.checkpoints = Checkpoints(journal.records, "all" if number is None else f"{number:03}")
        where = f"{address.login.address}/{address.login.stream}"
        self.location = where if number is None else f"{where}, partition {number}"

    # --- entries

    def append(self, entries: Sequence[Entry]) -> Appended:
        """Append to the stream, each reading to the partition of its meter."""
        return self._journal.appending.append(entries)

    def read(self, after: Offset, limit: int) -> Sequence[Entry]:
        """Return the entries after an offset."""
        return self.view.read(after, limit)

    def get(self, offsets: Sequence[Offset]) -> Sequence[Entry]:
        """Return the entries at these offsets."""
        return self.view.get(offsets)

    def recent(self, until: Offset, limit: int) -> Sequence[Entry]:
        """Return the last entries up to an offset."""
        return self.view.recent(until, limit)

    def newest(self) -> Offset:
        """Return the newest offset, as it is known."""
        return self.view.newest()

    def kept_after(self) -> Offset:
        """Return the end of what the stream has dropped."""
        return self.view.kept_after()

    def lag(self, after: Offset) -> Lag:
        """Return what comes after an offset; where that is much, reckoned."""
        return self.view.lag(after)

    def sizes(self, after: Offset, limit: int) -> Sequence[EntrySize]:
        """Return the sizes of the entries after an offset."""
        return self.view.sizes(after, limit)

    def wait(self, after: Offset, timeout: float, count: int = 1) -> bool:  # noqa: ARG002 - offsets have gaps here
        """Wait until there is an entry after an offset."""
        return self.view.wait(after, timeout)

    def wake(self) -> None:
        """Make every `wait` return now."""
        self.view.wake()

    def restamp(self, entries: Sequence[Entry]) -> None:
        """Change nothing: an entry without a time is not appended."""

    def heard_meters(self) -> Sequence[HeardMeter]:
        """Return which meters were heard in this run and shortly before."""
        return self.view.heard_meters()

    def heard(self, recent: int) -> Sequence[Entry]:
        """Return the newest entries; baselines are not looked for, as there may be a hundred thousand."""
        return self.view.recent(self.newest(), recent)

    # --- sinks

    def checkpoint(self, sink: str) -> Checkpoint | None:
        """Return how far a sink has come."""
        return self.checkpoints.get(sink)

    def commit(self, sink: str, checkpoint: Checkpoint) -> Checkpoint:
        """Make this a sink's checkpoint."""
        return self.checkpoints.commit(sink, checkpoint)

    def baseline(self, sink: str, key: str) -> Baseline | None:
        """Return one baseline of a sink."""
        return self.checkpoints.baseline(sink, key)

    def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep these, one after the other."""
        self._journal.letters.add(letters)

    def dead_letters(self, sink: str | None = None) -> Sequence[DeadLetter]:
        """Return the dead letters of the part, oldest first."""
        return self._journal.letters.all(lambda one: sink in {None, one.sink} and self._has(one))

    def replace_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Give those that are kept these reasons."""
        self._journal.letters.replace(letters)

    def forget_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Forget these."""
        self._journal.letters.forget(letters)

    def _has(self, letter: DeadLetter) -> bool:
        return self._number is None or partition_of(letter.serial, self._journal.partitions) == self._number

    def source_checkpoint(self, source: str) -> str:
        """Return what was committed for a source last."""
        return self._journal.records.get(f"source.{token(source)}").value.decode()

    def commit_source(self, source: str, state: str) -> None:
        """Keep how far a source has come."""
        self._journal.records.put(f"source.{token(source)}", state.encode())

    # --- upkeep

    def apply_retention(self, _sinks: Sequence[str], retention: Retention) -> Iterator[Forgotten]:
        """Forget dead letters; entries are dropped by the stream's own limits."""
        yield Forgotten(0, self._journal.letters.apply(retention))

    def inspect(self) -> Sequence[Damage]:
        """Return nothing: the cluster looks after itself."""
        return ()

    def check(self) -> Iterator[str]:
        """Yield what readers of this run have refused."""
        yield from self._journal.refused.lines()

    def compact(self) -> None:
        """Do nothing: the cluster gives room back by itself."""

    def size(self) -> int:
        """Return the bytes of the stream."""
        return self.view.state().bytes

    def free(self) -> None:
        """Return nothing: the cluster's disks are not ours."""

    def close(self) -> None:
        """End reading."""
        self.view.close()


class StreamJournal(PartJournal):
    """The whole stream, with its partitions."""

    def __init__(self, address: Address) -> None:
        """Prepare; nothing is connected yet."""
        self.address = address
        self.partitions = address.partitions
        cluster, heard, stream = Cluster(address.login, "btcore journal"), Heard(), address.login.stream
        self.refused = Refused()
        self.trust = Trust(address.partitions, address.publishers, self.refused.report)
        self.records = Records(cluster, bucket_of(stream))
        self.letters = Letters(Records(cluster, letters_of(stream)))
        super().__init__(self, cluster, heard, None)
        self._parts = [PartJournal(self, cluster, heard, number) for number in range(self.partitions)]
        self.appending = Appending(cluster, self.partitions, lambda number: self._parts[number].view)
        self._leases = Leases(Records(cluster, leases_of(stream)), self.partitions, self._fence)
        self._renewal = Renewal(cluster, self.location, self.partitions, self._begin)
        self._stop = Event()
        self._watch = Thread(target=self._run, name="stream", daemon=True)

    def open(self) -> None:
        """See that stream and buckets are there, and how far the stream is. Raises Unavailable."""
        stream = self.address.login.stream
        missing = f"{self.location}: there is no such stream, or it is no journal yet: `btcore nats setup` makes it"
        try:
            info = self._cluster.use(lambda jetstream: jetstream.stream_info(stream))
        except MissingError:
            raise Unavailable(missing) from None
        found = partitions_in(info)
        if found != self.partitions:
            raise Unavailable(f"{self.location} has {found} partitions: give partitions={found} in `journal`")
        if not self.records.exists():
            raise Unavailable(missing)
        self._renewal.begin(mark_of(info))
        self._begin(mark_of(info))
        if newest := self.newest():
            self.view.note_heard(self.view.recent(newest, RECENT))
        self._watch.start()

    def partition(self, number: int) -> PartJournal:
        """Return a partition."""
        return self._parts[number]

    def hold(self, sinks: Sequence[str], working: Collection[Share], unfit: Collection[str] = ()) -> Collection[Share]:
        """Return which shares are this program's."""
        is_working = self._renewal.may_work(working)
        return self._leases.hold(sinks, working, unfit) if is_working else ()

    def wake(self) -> None:
        """Make every `wait` return now, of all partitions."""
        for part in self._parts:
            part.wake()
        super().wake()

    def close(self) -> None:
        """Give leases back, end reading, and disconnect."""
        self._stop.set()
        self._leases.close()
        for part in self._parts:
            part.close()
        super().close()
        self._cluster.close()

    def _fence(self, share: Share) -> None:
        part = self._parts[share.partition]
        for name in (share.sink, replay_name(share.sink)):
            part.checkpoints.fence(name)

    def _begin(self, mark: str) -> None:
        """Begin with a stream, that was made at this time: nothing that was known of another one means anything."""
        self.letters.begin(mark)
        for part in (self, *self._parts):
            part.checkpoints.begin(mark)
            part.view.restart()
        self.appending.restart()
        for part in self._parts:
            part.view.refresh()
        self.view.found(max(part.newest() for part in self._parts))

    def _run(self) -> None:
        """Keep what is newest of the whole stream."""
        faults = 0
        while not self._stop.wait(REFRESH):
            try:
                self._refresh()
            except Unavailable as error:
                log.debug("what is newest in the stream cannot be asked now: %s", error)
            except Exception as error:
                faults += 1
                level = logging.ERROR if faults == 1 else logging.DEBUG
                log.log(level, "what is newest in the stream cannot be asked: a fault of btmon-nats", exc_info=error)

    def _refresh(self) -> None:
        self._renewal.look()
        self.view.refresh()
