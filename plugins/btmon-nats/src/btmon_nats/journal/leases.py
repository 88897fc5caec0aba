# SPDX-License-Identifier: GPL-3.0-or-later
"""Which partitions of which sinks this program works: those whose lease it has.

A lease is a key in a bucket that forgets it after some seconds: it is renewed well before. Each program is a member as
long as it renews a key of its own, which says to which sinks it cannot deliver. Nobody leads: of each sink, each that
can deliver to it takes what is free up to a fair number, and frees what it has above that. Two may believe that they
have a lease, where one of them slept; then the checkpoint decides, of which a new holder makes a new revision before it
begins.
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
from btmon_nats.repetition import Repetition
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
        self._who = {"member": self._member, "host": socket.gethostname(), "process": os.getpid()}
        self._value = json.dumps(self._who).encode()
        self._sinks: Sequence[str] = ()
        self._working: Collection[Share] = ()
        self._unfit: Collection[str] = ()
        self._mine: dict[Share, int] = {}  # with the revision of the lease
        self._leaving: set[Share] = set()
        self._renewed = -math.inf
        self._lock = Lock()
        self._stop = Event()
        self._failure = Repetition()
        self._thread: Thread | None = None

    def hold(self, sinks: Sequence[str], working: Collection[Share], unfit: Collection[str] = ()) -> frozenset[Share]:
        """Return what is this program's to deliver; `working` is what it has not ended with yet.

        `unfit` are sinks that it cannot deliver to.
        """
        with self._lock:
            self._sinks, self._working, self._unfit = tuple(sinks), frozenset(working), frozenset(unfit)
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
            self._records.put_all([(lease_key(share), b"", last) for share, last in self._mine.items()])
            self._records.remove([f"member.{self._member}"])
        except Unavailable as error:
            log.debug("the leases of this program end by themselves: %s", error)

    def _run(self) -> None:
        while not self._stop.wait(self._lease / PER_LEASE):
            self._turn()

    def _turn(self) -> None:
        try:
            self._work()
            self._failure.end()
        except Unavailable as error:
            log.log(
                self._level(error, logging.WARNING),
                "which partitions are this program's cannot be asked now: %s",
                error,
            )
        except Exception as error:
            text = "which partitions are this program's cannot be asked, by a fault of btmon-nats"
            log.log(self._level(error, logging.ERROR), text, exc_info=error)

    def _level(self, error: Exception, first: int) -> int:
        """Return at which level to log a failure: one that comes again and again is logged once."""
        return first if self._failure.is_new(type(error)) else logging.DEBUG

    def _work(self) -> None:
        began = time.monotonic()
        if self._renewed == -math.inf:
            self._lease = self._records.ttl() or LEASE
        with self._lock:
            sinks, working, unfit = self._sinks, self._working, self._unfit
        self._records.put(f"member.{self._member}", json.dumps({**self._who, "unfit": sorted(unfit)}).encode())
        self._renew()
        keys = self._records.keys("")
        found = dict(zip(keys, self._records.get_all(keys), strict=True))
        owners = {key: (owner_in(record.value), record.revision) for key, record in found.items()}
        able = {owner_in(record.value): _unfit(record.value) for key, record in found.items() if key[:7] == "member."}
        able.pop(self._member, None)
        with self._lock:
            self._renewed = began
            self._leaving |= {share for share in self._mine if share.sink not in sinks}
        most = {sink: self._leave(sink, owners, [one for one in able if sink not in able[one]]) for sink in sinks}
        self._free(working)
        for sink in sinks:
            self._take(sink, owners, most[sink])

    def _renew(self) -> None:
        """Renew what is held; what somebody else has by now is lost."""
        mine = list(self._mine.items())
        done = self._records.put_all([(lease_key(share), self._value, last) for share, last in mine])
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

    def _leave(self, sink: str, owners: Mapping[str, tuple[str, int]], others: Sequence[str]) -> int:
        """Choose what to free of a sink: what is above a fair share where another that can deliver has less.

        All of it where only others can deliver. Returns how many shares of it this program may have.
        """
        is_unfit = sink in self._unfit and bool(others)
        members = len(others) + (not is_unfit)
        fair = self._partitions // members
        has = Counter(owners.get(lease_key(share), ("", 0))[0] for share in self._shares(sink))
        is_short = any(has[one] < fair for one in others)
        with self._lock:
            staying = [share for share in self._mine if share.sink == sink and share not in self._leaving]
            if is_unfit or is_short:
                self._leaving |= set(staying[0 if is_unfit else fair :])
        if is_unfit:
            return 0
        return fair if is_short else math.ceil(self._partitions / members)

    def _shares(self, sink: str) -> list[Share]:
        return [Share(sink, number) for number in range(self._partitions)]

    def _free(self, working: Collection[Share]) -> None:
        """Free what nobody here works on any more."""
        over = [(share, self._mine[share]) for share in self._leaving if share in self._mine and share not in working]
        self._records.put_all([(lease_key(share), b"", last) for share, last in over])
        with self._lock:
            for share, _ in over:
                del self._mine[share]
            self._leaving &= self._mine.keys()

    def _take(self, sink: str, owners: Mapping[str, tuple[str, int]], most: int) -> None:
        """Take what is free of a sink, up to so many shares."""
        shares = self._shares(sink)
        free = [share for share in shares if share not in self._mine and not owners.get(lease_key(share), ("", 0))[0]]
        random.shuffle(free)
        for share in free[: max(most - sum(share in self._mine for share in shares), 0)]:
            [revision] = self._records.put_all(
                [(lease_key(share), self._value, owners.get(lease_key(share), ("", 0))[1])]
            )
            if revision:
                self._fence(share)
                with self._lock:
                    self._mine[share] = revision


def lease_key(share: Share) -> str:
    """Return the key of the lease of a share."""
    return f"lease.{token(share.sink)}.{share.partition:03}"


def _unfit(value: bytes) -> frozenset[str]:
    """Return to which sinks a member cannot deliver."""
    try:
        return frozenset(map(str, json.loads(value).get("unfit", ())))
    except (ValueError, TypeError, AttributeError):
        return frozenset()


def owner_in(value: bytes) -> str:
    """Return which program has a lease; "" where it is free."""
    try:
        return str(json.loads(value)["member"]) if value else ""
    except (ValueError, KeyError, TypeError):
        return ""
