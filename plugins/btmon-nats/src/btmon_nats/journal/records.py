# SPDX-License-Identifier: GPL-3.0-or-later
"""Values by key, in a key-value bucket of the cluster, each of them changed only from what was read: compare and set.

The stream's leader is asked, never a follower: a value that was written is read by everybody.
"""

import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nats.js import JetStreamContext
from nats.js.api import Header
from nats.js.errors import APIError, NotFoundError

from btmon_nats.journal.cluster import WRONG_LAST, Cluster, MissingError

MAX_VALUE = 900_000
"""Bytes of a value; a server takes messages of 1 MB."""

AT_ONCE = 64
"""Requests that are under way at once."""


class Record(NamedTuple):
    """A value, and which change of the bucket it was; 0: there is none."""

    value: bytes = b""
    revision: int = 0


def token(name: str) -> str:
    """Return a name as a part of a key: what cannot stand in one is escaped."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda found: "".join(f"={byte:02x}" for byte in found[0].encode()), name)


def name_of(part: str) -> str:
    """Return the name that is a part of a key: the other way round of `token`."""
    return re.sub(r"(?:=[0-9a-f]{2})+", lambda found: bytes.fromhex(found[0].replace("=", "")).decode(), part)


class Records:
    """One bucket. All methods raise Unavailable."""

    def __init__(self, cluster: Cluster, bucket: str) -> None:
        """Take the bucket; nothing is asked."""
        self._cluster = cluster
        self._stream = f"KV_{bucket}"
        self._prefix = f"$KV.{bucket}."

    def get(self, key: str) -> Record:
        """Return a value."""
        return self.get_all([key])[0]

    def get_all(self, keys: Sequence[str]) -> list[Record]:
        """Return the values of keys, in their order."""

        async def one(stream: JetStreamContext, key: str) -> Record:
            try:
                found = await stream.get_msg(self._stream, subject=self._prefix + key)
            except NotFoundError:
                return Record()
            return Record(found.data or b"", found.seq or 0)

        async def some(stream: JetStreamContext) -> list[Record]:
            done: list[Record] = []
            for at in range(0, len(keys), AT_ONCE):
                done += await asyncio.gather(*(one(stream, key) for key in keys[at : at + AT_ONCE]))
            return done

        return self._cluster.use(some) if keys else []

    def put(self, key: str, value: bytes, last: int | None = None) -> int:
        """Set a value, only where its revision is `last`, if that is given. Raises ChangedMeanwhileError."""
        headers: dict[str, str] = {} if last is None else {Header.EXPECTED_LAST_SUBJECT_SEQUENCE: str(last)}

        async def publish(stream: JetStreamContext) -> int:
            done = await stream.publish(self._prefix + key, value, stream=self._stream, headers=headers or None)
            return done.seq

        return self._cluster.use(publish)

    def put_all(self, values: Sequence[tuple[str, bytes, int]]) -> list[int]:
        """Set values by key, each only where its revision is the last one; return the new ones, 0 where it was not."""

        async def one(stream: JetStreamContext, key: str, value: bytes, last: int) -> int:
            headers: dict[str, str] = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE: str(last)}
            try:
                done = await stream.publish(self._prefix + key, value, stream=self._stream, headers=headers)
            except APIError as error:
                if error.err_code in WRONG_LAST:
                    return 0
                raise
            return done.seq

        async def some(stream: JetStreamContext) -> list[int]:
            done: list[int] = []
            for at in range(0, len(values), AT_ONCE):
                done += await asyncio.gather(*(one(stream, *each) for each in values[at : at + AT_ONCE]))
            return done

        return self._cluster.use(some) if values else []

    def remove(self, keys: Iterable[str]) -> None:
        """Remove keys; nothing is left of them."""
        subjects = [self._prefix + key for key in keys]

        async def some(stream: JetStreamContext) -> None:
            for at in range(0, len(subjects), AT_ONCE):
                work = [stream.purge_stream(self._stream, subject=one) for one in subjects[at : at + AT_ONCE]]
                await asyncio.gather(*work)

        if subjects:
            self._cluster.use(some)

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, such as `letter.`."""
        info = self._cluster.use(
            lambda stream: stream.stream_info(self._stream, subjects_filter=f"{self._prefix}{prefix}>")
        )
        return sorted(one.removeprefix(self._prefix) for one in info.state.subjects or {})

    def state(self) -> tuple[int, int]:
        """Return what changes with each change of the bucket."""
        state = self._cluster.use(lambda stream: stream.stream_info(self._stream)).state
        return state.last_seq, state.messages

    def ttl(self) -> float:
        """Return after how many seconds a value goes; 0 for never."""
        return self._cluster.use(lambda stream: stream.stream_info(self._stream)).config.max_age or 0.0

    def exists(self) -> bool:
        """Whether there is such a bucket."""
        try:
            self.state()
        except MissingError:
            return False
        return True
