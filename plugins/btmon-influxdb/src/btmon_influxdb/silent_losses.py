# SPDX-License-Identifier: GPL-3.0-or-later
"""What VictoriaMetrics does not keep and says nothing about: it answers 204, and only counts what it has ignored.

That is what lies before its retention, a month unless it is told otherwise, and what is more than two days ahead.
"""

import re
import time
from collections.abc import Callable, Sequence

import attrs

from btcore import Reject, Retry
from btcore.web import Client
from btmon_influxdb.points import PointGroup
from btmon_influxdb.writer import Target

DAY = 86_400_000_000
"""Microseconds."""

AHEAD = 2 * DAY
"""How far ahead of its own clock a server takes points."""

SHORTEST_RETENTION = DAY
"""The shortest that a server can be started with: what is younger need not be asked about."""

UNITS = {"h": DAY / 24, "d": DAY, "w": 7 * DAY, "y": 365 * DAY, "": 31 * DAY}
"""Units of a retention; without one it is in months."""

BEFORE = "{} keeps nothing that is older than {:.0f} days: start it with a longer -retentionPeriod"
AFTER = "{} takes nothing that is more than two days ahead: are the clocks of the meter and of the server right?"

RETENTION = re.compile(r'^flag\{name="retentionPeriod", value="([\d.]+)([hdwy]?)"', re.MULTILINE)


@attrs.define(eq=False)
class SilentLosses:
    """Refuses the readings that a VictoriaMetrics would not keep. It is asked for its retention once."""

    target: Target
    client: Client
    clock: Callable[[], float] = time.time
    _retention: float | None = attrs.field(init=False, default=None)
    """Microseconds; None: not known yet, infinite: it does not tell."""

    def check(self, groups: Sequence[PointGroup]) -> None:
        """Return where all of a batch would be kept. Raises Reject otherwise, before anything is sent."""
        now = self.clock() * 1_000_000
        is_old = any(group.key < now - SHORTEST_RETENTION for group in groups)
        oldest = now - self._ask() if is_old else 0.0
        old = [group for group in groups if group.key < oldest]
        ahead = [group for group in groups if group.key > now + AHEAD]
        if old:
            raise Reject(BEFORE.format(self.target, (now - oldest) / DAY), whole_batch=len(old) == len(groups))
        if ahead:
            raise Reject(AFTER.format(self.target), whole_batch=len(ahead) == len(groups))

    def _ask(self) -> float:
        if self._retention is None:
            try:
                answer = self.target.send(self.client, "/metrics")
            except Retry:
                return float("inf")  # asked again with the next batch
            found = RETENTION.search(answer.body) if answer.ok else None
            self._retention = float(found[1]) * UNITS[found[2]] if found else float("inf")
        return self._retention
