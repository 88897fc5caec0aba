# SPDX-License-Identifier: GPL-3.0-or-later
"""Goes on with a stream that was made anew while this program ran.

Its offsets begin anew, so whatever has begun with the old one has to end first: nothing is read or committed, and no
share is this program's, until its workers have ended. Then all that is known of the old stream is forgotten.
"""

import logging
from collections.abc import Callable, Collection

from btcore.journal.partitions import Share
from btmon_nats.journal.cluster import Cluster
from btmon_nats.repetition import Repetition
from btmon_nats.stream import bucket_of, mark_of, partitions_in

log = logging.getLogger("btcore")


class Renewal:
    """Whether the stream is still the one that it was. `restart` forgets the old one, given the mark of the new."""

    def __init__(self, cluster: Cluster, location: str, partitions: int, restart: Callable[[str], None]) -> None:
        """Prepare; `begin` comes first."""
        self._cluster = cluster
        self._location = location
        self._partitions = partitions
        self._restart = restart
        self._mark = ""
        self._failure = Repetition()
        self._have_workers_ended = False
        self.is_due = False

    def begin(self, mark: str) -> None:
        """Take which stream it is."""
        self._mark = mark

    def may_work(self, working: Collection[Share]) -> bool:
        """Whether shares may be worked; `working` are those that workers of this program have not ended with yet."""
        if self.is_due:
            self._have_workers_ended = not working
        return not self.is_due

    def look(self) -> None:
        """Ask which stream it is, and go on with another one. Raises Unavailable."""
        stream = self._cluster.login.stream
        info = self._cluster.use_anyway(lambda jetstream: jetstream.stream_info(stream))
        if mark_of(info) == self._mark:
            return
        if not self.is_due:
            self._have_workers_ended, self.is_due = False, True
        if (found := partitions_in(info)) != self._partitions:
            self._cluster.refusal = f"{self._location} was made anew with {found} partitions: {_what_to_do(found)}"
            self._report(logging.ERROR, self._cluster.refusal)
            return
        self._report(
            logging.WARNING, f"{self._location} was made anew: this program goes on with it, from its beginning"
        )
        self._cluster.refusal = f"{self._location} was made anew while this program ran: its workers end first"
        if self._have_workers_ended:
            self._cluster.use_anyway(lambda jetstream: jetstream.stream_info(f"KV_{bucket_of(stream)}"))
            self._cluster.refusal = ""
            self._restart(mark_of(info))
            self._mark, self.is_due = mark_of(info), False
            self._failure.end()

    def _report(self, level: int, text: str) -> None:
        """Log it once: it is looked at each second."""
        if self._failure.is_new(text):
            log.log(level, "%s", text)


def _what_to_do(partitions: int) -> str:
    if not partitions:
        return "let `btcore nats setup` take it"
    return f"give partitions={partitions} in `journal`, and restart"
