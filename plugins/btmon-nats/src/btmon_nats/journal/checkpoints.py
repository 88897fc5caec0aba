# SPDX-License-Identifier: GPL-3.0-or-later
"""How far sinks have come, in a bucket: a value a sink, changed by compare and set, all at once.

A partition may have thousands of baselines, and each delivery changes some. So the value has those that changed of
late; all others are in a snapshot, of values that are written before the one that names it, and never changed. Whatever
dies in between leaves a snapshot that nobody names: the next one removes it.
"""

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import attrs

from btcore.journal import START, Baseline, Checkpoint, Superseded, Unavailable
from btmon_nats.journal.cluster import ChangedMeanwhileError
from btmon_nats.journal.records import MAX_VALUE, Record, Records, token

MAX_CHANGED = 1000
"""Baselines that a value has before they become a snapshot."""

PER_PART = 4000
"""Baselines in one value of a snapshot."""

MAX_BYTES = 64 << 20
"""Bytes of a value that is not compressed any more."""


@attrs.frozen
class Kept:
    """What is kept of a sink: its checkpoint with all baselines, those since the snapshot, the snapshot's keys."""

    checkpoint: Checkpoint = attrs.field(factory=Checkpoint)
    since: Mapping[str, Baseline] = attrs.field(factory=dict)
    snapshot: tuple[str, ...] = ()
    last: int = 0  # the bucket's revision
    writer: str = ""


class Checkpoints:
    """The checkpoints of one partition, or of the whole journal. Safe between threads; methods raise Unavailable."""

    def __init__(self, records: Records, part: str) -> None:
        """Take the bucket, and what the partition is called in its keys; `begin` comes first."""
        self._records = records
        self._name = self._part = part
        self._kept: dict[str, Kept] = {}
        self._doubtful: dict[str, str] = {}  # writes that may have been done, by sink
        self._lock = Lock()

    def begin(self, stream: str) -> None:
        """Take which stream it is: where it is made anew, its offsets begin anew, and so do its checkpoints."""
        with self._lock:
            self._part = f"{stream}.{self._name}"
            self._kept.clear()
            self._doubtful.clear()

    def get(self, sink: str) -> Checkpoint | None:
        """Return how far a sink has come, as the cluster says."""
        with self._lock:
            kept = self._kept[sink] = self._load(sink)
        return kept.checkpoint if kept.last else None

    def baseline(self, sink: str, key: str) -> Baseline | None:
        """Return a baseline, as it was known last."""
        with self._lock:
            kept = self._kept.get(sink) or self._load(sink)
        return kept.checkpoint.baselines.get(key)

    def commit(self, sink: str, checkpoint: Checkpoint) -> Checkpoint:
        """Change a checkpoint, where its revision is that of the one that is kept. Raises Superseded."""
        with self._lock:
            kept = self._kept.get(sink)
            if kept is None or kept.checkpoint.revision != checkpoint.revision or sink in self._doubtful:
                kept = self._kept[sink] = self._load(sink)
            is_own = bool(kept.last) and kept.writer == self._doubtful.get(sink)  # written, but nobody said so
            if kept.checkpoint.revision != checkpoint.revision and not is_own:
                self._doubtful.pop(sink, None)
                raise Superseded(sink)
            changed = {
                key: one for key, one in checkpoint.baselines.items() if kept.checkpoint.baselines.get(key) != one
            }
            new = self._write(sink, kept, checkpoint, changed)
            self._kept[sink] = new
        return new.checkpoint

    def fence(self, sink: str) -> None:
        """Make a new revision of what is kept: whoever has read it before moves nothing any more."""
        while True:
            found = self.get(sink)
            if found is None:
                return
            try:
                self.commit(sink, found)
            except Superseded:
                continue
            return

    def _write(self, sink: str, kept: Kept, checkpoint: Checkpoint, changed: Mapping[str, Baseline]) -> Kept:
        before = kept.checkpoint
        baselines, since = {**before.baselines, **changed}, {**kept.since, **changed}
        snapshot = kept.snapshot
        if len(since) > MAX_CHANGED:
            snapshot, since = self._write_snapshot(sink, baselines), {}
        new = attrs.evolve(checkpoint, baselines=baselines, revision=before.revision + 1)
        writer = os.urandom(8).hex()
        value = _pack(_as_json(new) | {"since": _baselines_as_json(since), "snapshot": snapshot, "writer": writer})
        if len(value) > MAX_VALUE:
            raise Unavailable(f"the checkpoint of {sink} is larger than the cluster takes: {len(value)} bytes")
        try:
            self._doubtful[sink] = writer
            last = self._records.put(self._key(sink), value, kept.last)
        except ChangedMeanwhileError:
            del self._doubtful[sink]
            self._kept.pop(sink, None)
            raise Superseded(sink) from None
        del self._doubtful[sink]
        if snapshot != kept.snapshot:
            self._remove_snapshots(sink, snapshot)
        return Kept(new, since, tuple(snapshot), last, writer)

    def _load(self, sink: str) -> Kept:
        record = self._records.get(self._key(sink))
        if not record.revision:
            return Kept()
        data = _unpack(record)
        baselines: dict[str, Baseline] = {}
        for part in self._records.get_all(data["snapshot"]):
            if not part.revision:  # a new one was made meanwhile
                return self._load(sink)
            baselines |= _baselines_from_json(_unpack(part))
        since = _baselines_from_json(data["since"])
        checkpoint = _from_json(data, {**baselines, **since})
        return Kept(checkpoint, since, tuple(data["snapshot"]), record.revision, data["writer"])

    # --- snapshots

    def _write_snapshot(self, sink: str, baselines: Mapping[str, Baseline]) -> tuple[str, ...]:
        name, items = os.urandom(6).hex(), list(baselines.items())
        keys = []
        for number, at in enumerate(range(0, len(items), PER_PART)):
            keys.append(f"{self._snapshots(sink)}{name}.{number}")
            self._records.put(keys[-1], _pack(_baselines_as_json(dict(items[at : at + PER_PART]))))
        return tuple(keys)

    def _remove_snapshots(self, sink: str, but: Sequence[str]) -> None:
        try:
            old = [key for key in self._records.keys(self._snapshots(sink)) if key not in but]
            self._records.remove(old)
        except Unavailable:
            pass  # the next snapshot removes them

    def _key(self, sink: str) -> str:
        return f"checkpoint.{token(sink)}.{self._part}"

    def _snapshots(self, sink: str) -> str:
        return f"baselines.{token(sink)}.{self._part}."


def _pack(data: object) -> bytes:
    return zlib.compress(json.dumps(data, separators=(",", ":")).encode(), 1)


def _unpack(record: Record) -> Any:  # noqa: ANN401 - JSON
    inflate = zlib.decompressobj()
    try:
        return json.loads(inflate.decompress(record.value, MAX_BYTES))
    except (zlib.error, ValueError):
        raise Unavailable(
            "a checkpoint in the cluster is none of btcore's: was its bucket used for anything else?"
        ) from None


def _as_json(checkpoint: Checkpoint) -> dict[str, Any]:
    fields = ("offset", "examined", "first_unwanted", "settings", "accepted", "revision")
    return {name: getattr(checkpoint, name) for name in fields}


def _from_json(data: Mapping[str, Any], baselines: Mapping[str, Baseline]) -> Checkpoint:
    return Checkpoint(
        data.get("offset", START),
        baselines,
        data.get("examined", START),
        data.get("first_unwanted", START),
        data.get("settings", ""),
        data.get("accepted", ""),
        data["revision"],
    )


def _baselines_as_json(baselines: Mapping[str, Baseline]) -> dict[str, Any]:
    return {key: [one.offset, dict(one.lifetime)] if one.lifetime else [one.offset] for key, one in baselines.items()}


def _baselines_from_json(data: Mapping[str, Any]) -> dict[str, Baseline]:
    return {key: Baseline(one[0], one[1] if len(one) > 1 else {}) for key, one in data.items()}
