# SPDX-License-Identifier: GPL-3.0-or-later
"""All that the pages show of the house: now, in the last hour, in a time, with its costs and what is found in it."""

import threading
from collections.abc import Sequence
from time import monotonic, time
from typing import Any

import attrs

from btmon_dashboard.bills import CYCLE, bill, circuit, first_of, numbers_of, timed
from btmon_dashboard.history import WH, Step, histories, parse_step
from btmon_dashboard.house import Flow, supply_of, total_of
from btmon_dashboard.insight import insight
from btmon_dashboard.ledger import Ledger
from btmon_dashboard.live import Live
from btmon_dashboard.members import Members
from btmon_dashboard.sensors import is_sensor
from btmon_dashboard.spans import DAY, HOUR, MINUTE, SECOND, end_of, start_of
from btmon_dashboard.store import Store, energies
from btmon_dashboard.sums import Sums

RECENT = 3600
"""Seconds of the small pictures beside each channel."""

HABIT_DAYS = 28
"""The days that make a habit."""

INSIGHT_SECONDS = 60.0
MAX_INSIGHTS = 8
"""For how long an answer of `insight` is good, and how many are remembered."""


@attrs.define(eq=False)
class Overview:
    """Makes the answers. Any thread may ask."""

    live: Live
    store: Store
    members: Members
    ledger: Ledger
    _insights: dict[tuple[int, int], tuple[float, dict[str, Any]]] = attrs.field(factory=dict)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    @property
    def currency(self) -> str | None:
        """The currency of the tariff; None without one."""
        return self.ledger.tariff.currency if self.ledger.tariff else None

    def snapshot(self) -> dict[str, Any]:
        """Return what is known now of all meters, each channel with what it has consumed today, and what it cost."""
        now = round(time() * SECOND)
        today = start_of(DAY, now)
        roles, costs, bills = self.members.assigned(), {}, None
        if self.ledger.tariff is not None:
            day = total_of(flow for _, flow in self.ledger.days(today, today + 1))
            cycle = total_of(flow for _, flow in self.ledger.days(self.ledger.cycle(now)[0], end_of(DAY, today)))
            names = self.members.house().names
            costs = {name: first_of(circuit([day], at))["cost"] for at, name in enumerate(names)}
            bills = {"currency": self.currency, "today": _one(day), "cycle": _one(cycle)}
        meters = [self._meter(meter, today, roles, costs) for meter in self.live.meters()]
        return {"meters": meters, "bill": bills, "grid": self._grid(today)}

    def _grid(self, today: int) -> dict[str, float] | None:
        """Return what came from the grid today and went to it; None where it is not measured."""
        house = self.members.house()
        rows = {serial: dict(self.store.read(serial, DAY, today, today + 1)).get(today) for serial, _ in house.grid}
        taken, given = supply_of(house, rows)
        return {"import_today": taken / WH, "export_today": given / WH} if house.grid else None

    def _meter(
        self, meter: dict[str, Any], today: int, roles: dict[tuple[str, str], str], costs: dict[str, float]
    ) -> dict[str, Any]:
        serial = meter["serial"]
        rows = self.store.read(serial, DAY, today, today + 1)
        known = self.store.meters.get(serial)
        columns = {name: at for at, name in enumerate(known.channels)} if known else {}
        channels = []
        for channel in meter["channels"]:
            name = channel["channel"]
            sums = list(energies(rows, columns[name])) if name in columns else []
            taken, given = (sums[0][2], sums[0][3]) if sums else (0, 0)
            more = {"role": roles.get((serial, name), ""), "cost_today": costs.get(f"{serial}_{name}")}
            wh = {"wh_today": (taken - given) / WH, "import_today": taken / WH, "export_today": given / WH}
            channels.append({**channel, **wh, **more})
        return {**meter, "channels": channels}

    def recent(self) -> dict[str, Any]:
        """Return the mean watts of the last hour, minute by minute, of all channels."""
        end = start_of(MINUTE, round(time() * SECOND))
        start = end - RECENT * SECOND
        times = list(range(start // SECOND, end // SECOND, MINUTE))
        found: dict[str, list[float | None]] = {}
        for serial, meter in list(self.store.meters.items()):
            rows = dict(self.store.read(serial, MINUTE, start, end))
            for column, channel in enumerate(list(meter.channels)):
                if not is_sensor(channel):
                    found[f"{serial}_{channel}"] = [_watts(rows.get(at * SECOND), column) for at in times]
        return {"times": times, "watts": found}

    def bill(self, span: tuple[float, float], step: str, channels: Sequence[str]) -> dict[str, Any]:
        """Return what the house and these circuits used and cost in each step of a time. Raises QueryError."""
        start, end = (round(moment * SECOND) for moment in span)
        suits = "hour" if (end - start) / SECOND <= 3 * DAY else "day"
        found = timed(self.ledger, (start, end), None if step == CYCLE else parse_step(step or suits, 0))
        ends = {"ends": [self.ledger.cycle(at)[1] // SECOND for at, _ in found]} if step == CYCLE else {}
        return {"currency": self.currency, **bill(found, self.members.house().names, channels), **ends}

    def cycles(self) -> dict[str, list[int]]:
        """Return when the billing cycles begin and end. Nothing is counted for it."""
        found = self.ledger.cycles()
        return {"times": [start // SECOND for start, _ in found], "ends": [end // SECOND for _, end in found]}

    def history(
        self, names: Sequence[tuple[str, str]], span: tuple[float, float], step: Step
    ) -> dict[str, dict[str, Any]]:
        """Return the points of channels and sensors, pulses in the unit of [channels]. Raises QueryError."""
        found = histories(self.store, names, span, step)
        for name in names:
            about, points = self.live.context.describe_channel(*name), found["_".join(name)]
            if "values" in points and about.is_of_pulses:
                points["values"] = [round(value * about.per_pulse, 3) for value in points["values"]]
        return found

    def insight(self, span: tuple[float, float]) -> dict[str, Any]:
        """Return what is found in a time, and in the habits of the last weeks."""
        key = (round(span[0]) // HOUR, round(span[1]) // HOUR)
        with self._lock:
            made, found = self._insights.get(key, (0.0, {}))
            if not found.get("days") or monotonic() - made > INSIGHT_SECONDS:  # what is empty may fill
                found = self._insight(span)
                self._insights = dict([*self._insights.items()][-MAX_INSIGHTS:]) | {key: (monotonic(), found)}
        return found

    def _insight(self, span: tuple[float, float]) -> dict[str, Any]:
        now = round(time() * SECOND)
        start, end = (round(moment * SECOND) for moment in span)
        hours = self.ledger.hours(start_of(DAY, now - HABIT_DAYS * DAY * SECOND), now)
        total = total_of(flow for _, flow in self.ledger.days(start_of(DAY, start), end))
        names = self.members.house().names
        about = {name: self._about(name) for name in names}
        found = insight(hours, total, names, now)
        for one in (*found["circuits"], *found["unusual"]):
            one.update(about[one["id"]])
        return {"currency": self.currency, "from": start // SECOND, "to": end // SECOND, **found}

    def _about(self, name: str) -> dict[str, Any]:
        described = self.live.context.describe_channel(*name.rsplit("_", 1))
        return {"name": described.name, "area": described.area, "named": name in self.live.context.channels}


def _one(flow: Flow) -> dict[str, float]:
    return first_of(numbers_of([flow]))


def _watts(row: Sums | None, column: int) -> float | None:
    if row is None or not row.length:
        return None
    taken, given = row.of(column)
    return round((taken - given) * SECOND / row.length, 1)
