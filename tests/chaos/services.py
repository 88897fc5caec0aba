# SPDX-License-Identifier: GPL-3.0-or-later
"""The services that the program delivers to, played by servers of this computer: how they fail, and what they have."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from chaos.stores import WH, Identity, Stored, sums
from servers.influxdb_api import TOKEN, InfluxDB2
from servers.pvoutput import ERROR, HANG, LOST, RESET, PVOutputServer

from btcore.testing import HostedService, Reply, Request


class Moods:
    """How a service answers at the moment: as it should, or with a trouble."""

    def __init__(self, recorder: HostedService, take: Callable[[Request], Reply]) -> None:
        """Answer for a service, which takes requests so."""
        self._recorder, self._take, self._mood = recorder, take, ""
        recorder.answer = self._answer

    def _answer(self, request: Request) -> Reply:
        if self._mood == "errors":
            return Reply(503, "try again later")
        if self._mood == "hangs":
            return Reply(wire="hang")
        if self._mood == "slow":
            time.sleep(0.5)
        reply = self._take(request)
        return Reply(wire="lost") if self._mood == "lost-answers" else reply

    @contextmanager
    def trouble(self, what: str) -> Iterator[None]:
        """Make trouble while the block runs."""
        self._mood = what
        if what == "down":
            self._recorder.down()
        yield
        self._mood = ""
        if what in ("down", "hangs"):
            self._recorder.down()
            self._recorder.up()


class InfluxStore:
    """InfluxDB 2, played."""

    name = "influxdb"

    def __init__(self, server: InfluxDB2) -> None:
        """Play it."""
        self._server = server
        self.trouble = Moods(server, server.respond).trouble

    @property
    def table(self) -> str:
        """Its table."""
        return (
            f'[sink.influxdb]\nserver = "influxdb-2"\nurl = "{self._server.url}"\norg = "{self._server.org}"\n'
            f'bucket = "{self._server.bucket}"\ntoken = "{TOKEN}"\ntimeout = "3s"\n'
        )

    def stored(self) -> Stored:
        """Return its points; the energy is by how much the counters rose, of which the first is before any sample."""
        counters: dict[tuple[str, str, str], list[float]] = {}
        readings: Counter[Identity] = Counter()
        for (_, tags, at), fields in self._server.points.items():
            of = dict(tags)
            readings[of["serial"], at] = 1
            for label in ("wh_import", "wh_export"):
                if label in fields:
                    counters.setdefault((of["serial"], of["channel"], label), []).append(fields[label])
        return Stored(readings, _rises(counters, "wh_export"), is_from_first_sample=True)


class EmoncmsStore:
    """emoncms, played: of each input the smallest and the largest value."""

    name = "emoncms"

    def __init__(self, server: HostedService) -> None:
        """Play it."""
        self._server = server
        self._inputs: dict[str, list[float]] = {}
        self.trouble = Moods(server, self._take).trouble

    @property
    def table(self) -> str:
        """Its table."""
        return (
            f'[sink.emoncms]\nurl = "{self._server.url}"\ntoken = "abcdef0123456789"\ninclude_directions = true\n'
            'serials = "full"\nflush_interval = "500ms"\ntimeout = "3s"\n'
        )

    def _take(self, request: Request) -> Reply:
        for _, _, *inputs in json.loads(request.form["data"]):
            for one in inputs:
                for name, value in one.items():
                    self._inputs.setdefault(name, []).append(value)
        return Reply(200, "ok")

    def stored(self) -> Stored:
        """Return its inputs; they have 0.01 Wh."""
        counters: dict[tuple[str, str, str], list[float]] = {}
        for name, values in self._inputs.items():
            serial, channel, kind = [*name.split("_"), ""][:3]
            if kind in ("pwh", "nwh") or (kind == "wh" and channel.startswith("aux")):
                counters[serial, channel, kind] = values
        return Stored(Counter(), _rises(counters, "nwh"), rounding=0.04 * WH, is_from_first_sample=True)


class PVOutputStore:
    """PVOutput, played: it has what one meter with a clock of its own generates, in slots of five minutes."""

    name = "pvoutput"

    def __init__(self, server: PVOutputServer, meter: str) -> None:
        """Play it."""
        self._server, self._meter = server, meter

    @property
    def table(self) -> str:
        """Its table."""
        return (
            f'[sink.pvoutput]\nurl = "{self._server.url}"\nsystem_id = "{self._server.system}"\n'
            f'api_key = "{self._server.key}"\ngeneration = "{self._meter}_ch1"\ngeneration_direction = "both"\n'
            f'meters = ["{self._meter}"]\nzone = "UTC"\n'
            'max_calls_per_hour = 0\nflush_interval = 0\ntimeout = "3s"\n'
        )

    @contextmanager
    def trouble(self, what: str) -> Iterator[None]:
        """Make trouble while the block runs."""
        if what == "lost-answers":
            self._server.fail(LOST, LOST)
        self._server.outage = {"down": RESET, "errors": ERROR, "hangs": HANG}.get(what)
        yield
        self._server.outage = None

    def stored(self) -> Stored:
        """Return nothing: `slots` has what there is."""
        return Stored()

    def slots(self) -> dict[int, int]:
        """Return the Wh of each slot, by its end in seconds since 1970: a counter of the meter's life."""
        return {
            int(datetime.strptime("".join(slot), "%Y%m%d%H:%M").replace(tzinfo=UTC).timestamp()): int(kept["v1"])
            for slot, kept in self._server.slots.items()
        }


def _rises(counters: Mapping[tuple[str, str, str], list[float]], negative: str) -> dict[tuple[str, str], float]:
    """Return by how many Ws counters that never fall rose; those of one direction count against the other."""
    return sums(
        (serial, channel, (max(values) - min(values)) * (-1 if label == negative else 1))
        for (serial, channel, label), values in counters.items()
    )
