# SPDX-License-Identifier: GPL-3.0-or-later
"""What archives have left in the cluster and nobody uses any more: found, and removed.

That is the buckets of streams that are gone, the records of an earlier stream of the same name, and those of sinks
that no configuration has. A sink that a program works, or for which readings wait, is another configuration's until a
person says that it is not.
"""

import json
import re
from collections.abc import Collection, Iterator, Sequence

import attrs
from nats.js import JetStreamContext
from nats.js.api import StreamInfo

from btcore.journal.partitions import Share, replay_name
from btmon_nats.journal.checkpoints import Checkpoints
from btmon_nats.journal.cluster import Cluster, MissingError
from btmon_nats.journal.journal import StreamJournal
from btmon_nats.journal.leases import lease_key, owner_in
from btmon_nats.journal.records import Records, name_of
from btmon_nats.journal.url import Address
from btmon_nats.stream import bucket_of, leases_of, letters_of, mark_of, partitions_in

BUCKET = "KV_btcore-"

SUFFIXES = tuple(bucket("").removeprefix("btcore-") for bucket in (letters_of, leases_of))

OURS = ("checkpoint.", "baselines.", "source.", "letter.", "lease.", "member.")
"""What the keys of an archive begin with."""


SEPARATORS = 3
"""Points that a key has at least: between its kind, its sink, the mark of its stream, and more."""


@attrs.frozen
class Leftover:
    """Something that is left: of which stream, of which of its sinks, how many records; why it stays, "" where not.

    Without a sink it is all that is left of a stream that is gone; of an earlier one of that name where `is_earlier`.
    """

    stream: str
    sink: str = ""
    is_earlier: bool = False
    records: int = 0
    waiting: int = 0
    stays: str = ""


class Leftovers:
    """Finds and removes it. `sinks` are those of the configuration. Methods raise Unavailable."""

    def __init__(self, cluster: Cluster, sinks: Collection[str]) -> None:
        """Prepare; nothing is asked yet."""
        self._cluster = cluster
        self._stream = cluster.login.stream
        self._sinks = sinks
        self._records = Records(cluster, bucket_of(self._stream))
        self._letters = Records(cluster, letters_of(self._stream))
        self._leases = Records(cluster, leases_of(self._stream))

    def find(self) -> Iterator[Leftover]:
        """Yield what is left of the stream's sinks, of earlier streams of its name, and of streams that are gone."""
        if self._records.exists():
            yield from self._of_stream()
        yield from self._of_gone_streams()

    def remove(self, one: Leftover) -> bool:
        """Remove it; return whether that was possible: a program may have begun to work it meanwhile."""
        if one.sink:
            return self._remove_sink(one.sink)
        if one.is_earlier:
            info = self._info(self._stream)
            keys = self._keys()
            mark = mark_of(info) if info else ""
            self._remove([key for key in keys if _mark_in(key) != mark])
            return True
        if self._info(one.stream) or self._is_worked(one.stream):
            return False
        for bucket in (bucket_of(one.stream), letters_of(one.stream), leases_of(one.stream)):
            self._delete(f"KV_{bucket}", one.stream)
        return True

    # --- of the stream that there is

    def _of_stream(self) -> Iterator[Leftover]:
        keys = self._keys()
        info = self._info(self._stream)  # after the keys: none of them is of a stream that was made after this one
        if info is None:
            return
        mark = mark_of(info)
        if earlier := [key for key in keys if _mark_in(key) != mark]:
            yield Leftover(self._stream, is_earlier=True, records=len(earlier))
        of_sinks: dict[str, list[str]] = {}
        for key in keys:
            if _mark_in(key) == mark:
                of_sinks.setdefault(_sink_in(key), []).append(key)
        for sink in sorted(of_sinks.keys() - set(self._sinks)):
            yield self._of_sink(sink, of_sinks[sink], info)

    def _of_sink(self, sink: str, keys: Sequence[str], info: StreamInfo) -> Leftover:
        found = Leftover(self._stream, sink, records=len(keys))
        if any(owner for owner, _ in self._owners(sink, partitions_in(info)).values()):
            return attrs.evolve(found, stays="a program works it")
        waiting = self._waiting(sink, keys, info)
        wait = "1 reading waits for it" if waiting == 1 else f"{waiting} readings wait for it"
        return attrs.evolve(found, waiting=waiting, stays=wait if waiting else "")

    def _waiting(self, sink: str, keys: Sequence[str], info: StreamInfo) -> int:
        """Return for how many readings of its partitions a sink has not come to yet."""
        parts = {key.split(".")[3] for key in keys if key.startswith("checkpoint.")}
        journal, waiting = StreamJournal(Address(self._cluster.login, partitions_in(info))), 0
        try:
            journal.open()
            for part in parts:
                if part != "all" and int(part) >= journal.partitions:
                    continue
                checkpoints = Checkpoints(self._records, part)
                checkpoints.begin(mark_of(info))
                if checkpoint := checkpoints.get(sink):
                    of_part = journal if part == "all" else journal.partition(int(part))
                    waiting += of_part.lag(max(checkpoint.offset, checkpoint.examined)).entries
        finally:
            journal.close()
        return waiting

    def _remove_sink(self, sink: str) -> bool:
        """Remove what is left of a sink, with its leases in hand: no program can begin to work it meanwhile."""
        info = self._info(self._stream)
        owners = self._owners(sink, partitions_in(info) if info else 0)
        if any(owner for owner, _ in owners.values()):
            return False
        value = json.dumps({"member": "removal"}).encode()
        taken = self._leases.put_all([(key, value, last) for key, (_, last) in owners.items()])
        if is_free := all(taken):
            self._remove([key for key in self._keys() if _sink_in(key) == sink])
        self._leases.remove(key for key, last in zip(owners, taken, strict=True) if last)
        return is_free

    def _owners(self, sink: str, partitions: int) -> dict[str, tuple[str, int]]:
        """Return of each lease of a sink which program has it, and its revision."""
        keys = [lease_key(Share(sink, number)) for number in range(partitions)]
        found = zip(keys, self._leases.get_all(keys), strict=True)
        return {key: (owner_in(record.value), record.revision) for key, record in found}

    def _keys(self) -> list[str]:
        of_letters = self._letters.keys("letter.") if self._letters.exists() else []
        found = (*self._records.keys("checkpoint."), *self._records.keys("baselines."), *of_letters)
        return [key for key in found if key.count(".") >= SEPARATORS]

    def _remove(self, keys: Sequence[str]) -> None:
        """Remove keys; checkpoints first, without which baselines mean nothing."""
        for prefix, records in (("checkpoint.", self._records), ("baselines.", self._records)):
            records.remove(key for key in keys if key.startswith(prefix))
        self._letters.remove(key for key in keys if key.startswith("letter."))

    # --- of streams that are gone

    def _of_gone_streams(self) -> Iterator[Leftover]:
        counts: dict[str, int] = {}
        for bucket, count in self._buckets():
            name = bucket.removeprefix(BUCKET)
            shorter = [name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)]
            if not any(self._info(one) for one in (name, *shorter)):
                stream = shorter[0] if shorter else name
                counts[stream] = counts.get(stream, 0) + count
        for stream, count in sorted(counts.items()):
            yield Leftover(stream, records=count, stays="a program works it" if self._is_worked(stream) else "")

    def _buckets(self) -> list[tuple[str, int]]:
        """Return the buckets that only an archive has filled, and how many records are in each."""
        found: list[StreamInfo] = []

        async def more(jetstream: JetStreamContext) -> list[StreamInfo]:
            return await jetstream.streams_info(offset=len(found))

        while some := self._cluster.use(more):
            found += some
        names = [(one.config.name or "", one.state.messages) for one in found]
        return [(name, count) for name, count in names if name.startswith(BUCKET) and self._is_ours(name)]

    def _is_ours(self, bucket: str) -> bool:
        return all(key.startswith(OURS) for key in Records(self._cluster, bucket.removeprefix("KV_")).keys(""))

    def _is_worked(self, stream: str) -> bool:
        """Whether a program was heard of in the last seconds that has this stream as its journal."""
        leases = Records(self._cluster, leases_of(stream))
        if not leases.exists():
            return False
        keys = leases.keys("")
        owners = [owner_in(record.value) for record in leases.get_all(keys)]
        return any(owner or key.startswith("member.") for key, owner in zip(keys, owners, strict=True))

    def _delete(self, bucket: str, stream: str) -> None:
        """Remove a bucket of a stream, unless it is also another stream's: of one with such an ending in its name."""
        name = bucket.removeprefix(BUCKET)
        if self._is_there(bucket) and (name == stream or not self._info(name)) and self._is_ours(bucket):
            self._cluster.use(lambda jetstream: jetstream.delete_stream(bucket))

    def _is_there(self, bucket: str) -> bool:
        return self._info(bucket) is not None

    def _info(self, stream: str) -> StreamInfo | None:
        try:
            return self._cluster.use(lambda jetstream: jetstream.stream_info(stream))
        except MissingError:
            return None


def _mark_in(key: str) -> str:
    """Return the mark of the stream that a key is of."""
    parts = key.split(".")
    return parts[1] if parts[0] == "letter" else parts[2]


def _sink_in(key: str) -> str:
    """Return the sink that a key is of; what is to be delivered again is its sink's."""
    parts = key.split(".")
    return re.sub(re.escape(replay_name("")) + "$", "", name_of(parts[2] if parts[0] == "letter" else parts[1]))
