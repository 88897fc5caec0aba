# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of Home Assistant's recorder: rows are read, written, adjusted, and waited for until they are stored.

Commands are queued by Home Assistant, one behind the other, and answered before they are done. So what was written
is read back before it counts as delivered.
"""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

from btcore import Retry
from btmon_home_assistant.connection import Connection
from btmon_home_assistant.hours import DAY, HOUR
from btmon_home_assistant.series import Row
from btmon_home_assistant.statistics import SOURCE, Statistic

MAX_ROWS = 500
"""Rows in one command, and rows that wait in Home Assistant's queue: about a second of its time."""

FAR = 35 * DAY
"""Longer than a month, in seconds: farther away, rows are looked for month by month."""

BEGINNING = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
"""The earliest time that is looked at: no meter has counted before."""

MAX_POLL = 0.5
"""Seconds between two looks whether something is stored, at most."""

WITH_UNIT_CLASSES = (2025, 11)
"""The version from which on the metadata has to say what kind of unit it is."""

ENERGY = frozenset({"Wh", "kWh", "MWh", "GWh", "TWh", "mWh", "J", "kJ", "MJ", "GJ", "cal", "kcal", "Mcal", "Gcal"})
VOLUME = frozenset({"L", "mL", "gal", "fl. oz.", "m³", "ft³", "CCF", "MCF"})

ById = Mapping[str, Sequence[Row]]


@attrs.frozen
class Recorder:
    """Home Assistant's recorder, behind a connection."""

    connection: Connection

    def rows(self, ids: Iterable[str], start: int, end: int | None = None, by: str = "hour") -> ById:
        """Return the rows that begin from `start` on and before `end`, by statistic, in their order."""
        until = {} if end is None else {"end_time": _iso(end)}
        found = self.connection.call(
            "recorder/statistics_during_period",
            statistic_ids=sorted(ids),
            start_time=_iso(start),
            period=by,
            types=["state", "sum"],
            **until,
        )
        return _checked(found, self.connection)

    def before(self, statistic_id: str, hour: int) -> Sequence[Row]:
        """Return the last row before an hour, if there is one."""
        near = self.rows([statistic_id], hour - FAR, hour).get(statistic_id)
        far = near or self.rows([statistic_id], BEGINNING, hour - FAR, "month").get(statistic_id, ())
        return far[-1:]

    def after(self, statistic_id: str, hour: int) -> Sequence[Row]:
        """Return the first row after an hour, if there is one."""
        near = self.rows([statistic_id], hour + HOUR, hour + FAR).get(statistic_id, ())
        if not near and (months := self.rows([statistic_id], hour + FAR, by="month").get(statistic_id)):
            near = self.rows([statistic_id], months[0].hour, months[0].hour + FAR).get(statistic_id, ())
        return near[:1]

    def write(self, parts: Mapping[Statistic, Sequence[Row]]) -> None:
        """Write rows, and wait until they are stored; those that are there are overwritten. Raises Retry or Stop.

        Home Assistant stores some hundred rows a second. So no more are queued than it has soon done.
        """
        queued: dict[str, Row] = {}
        count = 0
        for statistic, rows in parts.items():
            for first in range(0, len(rows), MAX_ROWS):
                some = rows[first : first + MAX_ROWS]
                self._queue(statistic, some)
                queued[statistic.id] = some[-1]
                count += len(some)
                if count >= MAX_ROWS:
                    self.wait_until_stored(queued)
                    queued, count = {}, 0
        self.wait_until_stored(queued)

    def _queue(self, statistic: Statistic, rows: Sequence[Row]) -> None:
        self.connection.call(
            "recorder/import_statistics",
            metadata=self._metadata(statistic),
            stats=[{"start": _iso(row.hour), "state": row.state, "sum": row.sum} for row in rows],
        )

    def adjust(self, statistic: Statistic, hour: int, by: float) -> None:
        """Queue that the sums of all rows from an hour on change by so much."""
        self.connection.call(
            "recorder/adjust_sum_statistics",
            statistic_id=statistic.id,
            start_time=_iso(hour),
            adjustment=by,
            adjustment_unit_of_measurement=statistic.unit,
        )

    def wait_until_stored(self, rows: Mapping[str, Row]) -> None:
        """Wait until a row of each statistic is as it was written. Raises Retry."""
        deadline = time.monotonic() + self.connection.server.timeout
        wait = 0.02
        while missing := list(self._missing(rows)):
            if time.monotonic() > deadline:
                why = f"{self.connection.server} has not stored {missing[0]} yet: its recorder is busy, or has failed"
                raise Retry(f"{why}; its own log says more")
            time.sleep(wait)
            wait = min(2 * wait, MAX_POLL)
            rows = {statistic_id: rows[statistic_id] for statistic_id in missing}

    def _missing(self, rows: Mapping[str, Row]) -> Iterator[str]:
        for hour in {row.hour for row in rows.values()}:
            ids = [statistic_id for statistic_id, row in rows.items() if row.hour == hour]
            found = self.rows(ids, hour, hour + HOUR)
            yield from (
                statistic_id
                for statistic_id in ids
                if not any(map(rows[statistic_id].equals, found.get(statistic_id, ())))
            )

    def _metadata(self, statistic: Statistic) -> dict[str, Any]:
        if self.connection.version >= WITH_UNIT_CLASSES:
            unit = statistic.unit
            kind: dict[str, Any] = {
                "mean_type": 0,
                "unit_class": "energy" if unit in ENERGY else "volume" if unit in VOLUME else None,
            }
        else:
            kind = {"has_mean": False}
        return {
            **kind,
            "has_sum": True,
            "name": statistic.name,
            "source": SOURCE,
            "statistic_id": statistic.id,
            "unit_of_measurement": statistic.unit,
        }


def _checked(found: object, connection: Connection) -> ById:
    """Return rows as they came. Raises Retry for what are none."""
    try:
        return {statistic_id: [_row(one) for one in rows] for statistic_id, rows in found.items()}  # type: ignore[attr-defined]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise Retry(f"{connection.server} does not answer as it should: these are no statistics") from None


def _row(found: Mapping[str, Any]) -> Row:
    """Read a row. Without a sum it is of a kind that was not written here: as if it had counted nothing."""
    state, total = float(found.get("state") or 0.0), float(found.get("sum") or 0.0)
    if not math.isfinite(state + total):
        raise ValueError
    return Row(int(found["start"]) // 1000, state, total)


def _iso(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat()
