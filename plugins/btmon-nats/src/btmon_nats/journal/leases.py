# SPDX-License-Identifier: GPL-3.0-or-later
"""Which partitions of which sinks this program works: those whose lease it has.

A lease is a key in a bucket that forgets it after some seconds: it is renewed well before. Each program is a member as
long as it renews a key of its own. Nobody leads: each takes what is free up to a fair number, and frees what it has
above that. Two may believe that they have a lease, where one of them slept; then the checkpoint decides, of which a
new holder makes a new revision before it begins.
"""

import json
import logging
import math
import os
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from threading import Event, Lock, Thread

from btcore.journal import Unavailable
from btcore.journal.partitions import Share
from btmon_nats.journal.records import Records, token
from btmon_nats.stream import LEASE

log = logging.getLogger("btcore")

PER_LEASE = 5
"""How often it is renewed in that time."""


class Leases:
    """The leases of one program. `fence` makes sure that whoever had a share before moves nothing any more."""

    def __init__(self, records: Records, partitions: int, fence: Callable[[Share], None]) -> None:
        """Prepare; nothing is asked before the first `hold`, which asks how long a lease holds."""
        self._records = records
        self._partitions = partitions
        self._fence = fence
        self._lease = LEASE
        self._member = os.urandom(6).hex()
        self._value = json.dumps(
            {"member": self._member, "host": socket.gethostname(), "process": os.getpid()}
        ).encode()
        self._wanted: list[Share] = []
        self._working: Collection[Share] = ()
        self._mine: dict[Share, int] = {}  # with the revision of the lease
        self._leaving: set[Share] = set()
        self._renewed = -math.inf
        self._lock = Lock()
        self._stop = Event()
        self._is_failing = False
        self._thread: Thread | None = None

    def hold(self, sinks: Sequence[str], working: Collection[Share]) -> frozenset[Share]:
        """Return what is this program's to deliver; `working` is what it has not ended with yet."""
        with self._lock:
            self._wanted = [Share(sink, number) for sink in sinks for number in range(self._partitions)]
            self._working = frozenset(working)
        if self._thread is None:
            self._turn()
            self._thread = Thread(target=self._run, name="leases", daemon=True)
            self._thread.start()
        with self._lock:
            is_valid = time.monotonic() - self._renewed < self._lease
            return frozenset(self._mine.keys() - self._leaving) if is_valid else frozenset()

    def close(self) -> None:
        """Give all back, so that others need not wait."""
        self._stop.set()
        if self._thread is None:
            return
        self._thread.join(self._lease)
        try:
            self._records.put_all([(_key(share), b"", last) for share, last in self._mine.items()])
            self._records.remove([f"member.{self._member}"])
        except Unavailable as error:
            log.debug("the leases of this program end by themselves: %s", error)

    def _run(self) -> None:
        while not self._stop.wait(self._lease / PER_LEASE):
            self._turn()

    def _turn(self) -> None:
        try:
            self._work()
            self._is_failing = False
        except Unavailable as error:
            level = logging.DEBUG if self._is_failing else logging.WARNING
            self._is_failing = True
            log.log(level, "which partitions are this program's cannot be asked now: %s", error)
        except Exception as error:
            text = "which partitions are this program's cannot be asked, by a fault of btmon-nats"
            log.log(logging.ERROR, text, exc_info=error)

    def _work(self) -> None:
        began = time.monotonic()
        if self._renewed == -math.inf:
            self._lease = self._records.ttl() or LEASE
        self._records.put(f"member.{self._member}", self._value)
        self._renew()
        keys = self._records.keys("")
        found = dict(zip(keys, self._records.get_all(keys), strict=True))
        owners = {key: (_owner(record.value), record.revision) for key, record in found.items()}
        with self._lock:
            self._renewed = began
            wanted, working = list(self._wanted), self._working
            others = self._others(owners)
        members = len(others) + 1
        fair, is_short = len(wanted) // members, min(others.values(), default=len(wanted)) < len(wanted) // members
        self._leave(wanted, fair, is_short=is_short)
        self._free(working)
        self._take(wanted, owners, fair if is_short else math.ceil(len(wanted) / members))

    def _others(self, owners: Mapping[str, tuple[str, int]]) -> Counter[str]:
        """Return how many shares each of the other members has."""
        others = Counter({owner: 0 for key, (owner, _) in owners.items() if key.startswith("member.")})
        others.update(owner for key, (owner, _) in owners.items() if key.startswith("lease.") and owner in others)
        del others[self._member]
        return others

    def _renew(self) -> None:
        """Renew what is held; what somebody else has by now is lost."""
        mine = list(self._mine.items())
        done = self._records.put_all([(_key(share), self._value, last) for share, last in mine])
        with self._lock:
            for (share, _), revision in zip(mine, done, strict=True):
                if revision:
                    self._mine[share] = revision
                else:
                    self._mine.pop(share)
                    self._leaving.discard(share)
        lost = done.count(0)
        if lost:
            log.warning("%d of this program's partitions are another's now: it was not heard of for too long", lost)

    def _leave(self, wanted: Sequence[Share], fair: int, *, is_short: bool) -> None:
        """Choose what to free: what is no longer wanted, and what is above a fair share where another has less."""
        with self._lock:
            self._leaving |= self._mine.keys() - set(wanted)
            staying = [share for share in self._mine if share not in self._leaving]
            if is_short:
                self._leaving |= set(staying[fair:])

    def _free(self, working: Collection[Share]) -> None:
        """Free what nobody here works on any more."""
        over = [(share, self._mine[share]) for share in self._leaving if share in self._mine and share not in working]
        self._records.put_all([(_key(share), b"", last) for share, last in over])
        with self._lock:
            for share, _ in over:
                del self._mine[share]
            self._leaving &= self._mine.keys()

    def _take(self, wanted: Sequence[Share], owners: Mapping[str, tuple[str, int]], most: int) -> None:
        """Take what is free, up to so many."""
        free = [share for share in wanted if share not in self._mine and not owners.get(_key(share), ("", 0))[0]]
        random.shuffle(free)
        for share in free[: max(most - len(self._mine), 0)]:
            [revision] = self._records.put_all([(_key(share), self._value, owners.get(_key(share), ("", 0))[1])])
            if revision:
                self._fence(share)
                with self._lock:
                    self._mine[share] = revision


def _key(share: Share) -> str:
    return f"lease.{token(share.sink)}.{share.partition:03}"


def _owner(value: bytes) -> str:
    """Return which program has a lease; "" where it is free."""
    try:
        return str(json.loads(value)["member"]) if value else ""
    except (ValueError, KeyError, TypeError):
        return ""
