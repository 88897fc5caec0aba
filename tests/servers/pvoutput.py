# SPDX-License-Identifier: GPL-3.0-or-later
"""PVOutput, as its API documentation describes it, in one process: for tests that must not trouble the real one.

    with PVOutputServer() as server:
        ...  # post to server.url + "/service/r2/addstatus.jsp" with server.key and server.system
        assert server.slots["20231114", "17:15"]["v2"] == "1911"

Or as a program: `python tests/servers/pvoutput.py --port 8765 --log accepted.jsonl` writes a line of JSON for each
status that it accepts. Only what clients of this project use is here: adding statuses, one or many, and asking which
there are.
"""

import argparse
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import formatdate
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import attrs

from btcore.testing import HostedService, Reply
from btcore.testing import Request as Sent

HOUR = 3600
Slot = tuple[str, str]
FIELDS = tuple(f"v{number}" for number in range(1, 13))
ENERGIES = {"v1": "12", "v3": "13"}
"""The energy fields, and the values of c1 with which each is a counter of a lifetime."""


class Refused(Exception):
    """A request, or a status in it, is not accepted."""

    def __init__(self, code: int, words: str) -> None:
        """Say it as the service does."""
        named = {400: "Bad request", 401: "Unauthorized", 403: "Forbidden"}[code]
        super().__init__(f"{named} {code}: {words}")
        self.code = code


# What can be made to happen to a request, by `PVOutputServer.fail`.
ERROR = Reply(500, "Internal Server Error")
EMPTY = Reply(200, "")
RESET = Reply(wire="reset")  # the connection is reset before any answer
HANG = Reply(wire="hang")  # no answer until the server is closed
DRIP = Reply(200, "x", wire="drip")  # an answer that comes byte by byte, for ever
FLOOD = Reply(200, "x", wire="flood")  # an answer that has no end
LOST = Reply(wire="lost")  # accepted and stored, but the connection is reset before the answer


@dataclass
class Request:
    """What a client sent: the query and the body are one form."""

    path: str
    headers: Mapping[str, str]
    form: Mapping[str, str]


@dataclass(frozen=True)
class Checked:
    """A status that may be stored: its slot, all that the slot then holds, and what was given."""

    slot: Slot  # a day and a time, as they are sent
    values: dict[str, str]
    given: dict[str, str]


@dataclass
class PVOutputServer:
    """A system of PVOutput and the service in front of it, on a port of this machine; started by `with`.

    `clock` tells seconds since 1970. `interval` is the status interval in minutes, `limit` the requests an hour, `rows`
    the most statuses of a request, `days` how far back they may be. `size` in W refuses more generation than one and a
    half times that; `night` are hours in which generation is refused. `whole`: one bad status refuses all of its
    request; else it is answered with 0 and the others are stored.

    `requests` is what came, `accepted` each status that was stored, as it was sent; `slots` what is kept: a status adds
    to what its slot has.
    """

    clock: Callable[[], float] = time.time
    zone: tzinfo = UTC
    key: str = "0123456789abcdef"
    system: str = "12345"
    read_only: bool = False
    interval: int = 5
    limit: int = 60
    rows: int = 30
    days: int = 14
    size: int = 0
    night: Sequence[int] = ()
    whole: bool = True
    port: int = 0
    log: Path | None = None
    requests: list[Request] = field(default_factory=list)
    accepted: list[dict[str, str]] = field(default_factory=list)
    slots: dict[Slot, dict[str, str]] = field(default_factory=dict)
    outage: Reply | None = None
    """What every request is answered with, while it is set."""

    def __post_init__(self) -> None:
        """Prepare; nothing listens yet."""
        self._failures: deque[Reply] = deque()
        self._used: dict[int, int] = {}
        self._lock = threading.RLock()
        self._service = HostedService(self._reply)

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        """Start."""
        self._service.port = self.port
        self._service.up()
        self.port = self._service.port
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop, also the requests that hang."""
        self._service.down()

    def fail(self, *replies: Reply) -> None:
        """Let the next requests end like this, one each."""
        with self._lock:
            self._failures.extend(replies)

    def answer(self, request: Request) -> Reply:
        """Return the answer to a request, which may have been told to fail."""
        with self._lock:
            self.requests.append(request)
            failure = self._failures.popleft() if self._failures else self.outage
            if failure is not None and failure.wire != "lost":
                return failure
            reply = self._serve(request)
            return failure or reply

    def _reply(self, sent: Sent) -> Reply:
        """Answer what came; the time is the service's, not this machine's."""
        form = dict([*sent.query, *parse_qsl(sent.text)])
        reply = self.answer(Request(sent.path, sent.headers, form))
        usual = {"Content-Type": "text/plain;charset=UTF-8", "Date": formatdate(self.clock(), usegmt=True)}
        return attrs.evolve(reply, headers={**usual, **reply.headers})

    def _serve(self, request: Request) -> Reply:
        headers: dict[str, str] = {}
        try:
            self._authorize(request)
            headers = self._count(request)
            text = self._add(request)
        except Refused as error:
            return Reply(error.code, str(error), headers or self._limits(request))
        return Reply(200, text, headers)

    def _authorize(self, request: Request) -> None:
        if request.headers.get("x-pvoutput-systemid") != self.system:
            raise Refused(401, "Invalid System ID")
        if request.headers.get("x-pvoutput-apikey") != self.key:
            raise Refused(401, "Invalid API Key")
        if self.read_only:
            raise Refused(403, "Read only key")

    def _count(self, request: Request) -> dict[str, str]:
        hour = int(self.clock()) // HOUR
        if self._used.get(hour, 0) >= self.limit:
            raise Refused(403, f"Exceeded {self.limit} requests per hour")
        self._used[hour] = self._used.get(hour, 0) + 1
        return self._limits(request)

    def _limits(self, request: Request) -> dict[str, str]:
        if request.headers.get("x-rate-limit") != "1":
            return {}
        hour = int(self.clock()) // HOUR
        return {
            "X-Rate-Limit-Remaining": str(self.limit - self._used.get(hour, 0)),
            "X-Rate-Limit-Limit": str(self.limit),
            "X-Rate-Limit-Reset": str((hour + 1) * HOUR),
        }

    def _add(self, request: Request) -> str:
        page = request.path.rpartition("/")[2]
        if page == "addstatus.jsp":
            self._store([self._checked(request.form, self.slots)])
            return "OK 200: Added Status"
        if page == "addbatchstatus.jsp":
            return self._add_batch(request.form.get("data", ""), {"c1": request.form.get("c1", "0")})
        if page == "getstatus.jsp":
            return self._history(request.form)
        if page == "getsystem.jsp":
            return "House,3500,,14,250,,1,3400,,N,25,No,20200101,,,5;;0"
        raise Refused(400, "Could not read service")

    def _add_batch(self, data: str, flags: Mapping[str, str]) -> str:
        rows = [row.split(",") for row in data.strip(";").split(";") if row]
        if not rows:
            raise Refused(400, "Missing required data")
        if len(rows) > self.rows:
            raise Refused(400, f"Could not read data: {len(rows)} statuses, {self.rows} are allowed")
        slots = dict(self.slots)
        good: list[Checked] = []
        results: list[str] = []
        error: Refused | None = None
        for row in rows:
            status = {name: text for name, text in zip(("d", "t", *FIELDS), row, strict=False) if text}
            try:
                good.append(self._checked({**status, **flags}, slots))
                slots[good[-1].slot] = good[-1].values
                results.append(f"{status['d']},{status['t']},1")
            except Refused as refused:
                error = error or refused
                results.append(f"{status.get('d')},{status.get('t')},0")
        if error and (self.whole or not good):
            raise error
        self._store(good)
        return ";".join(results)

    def _history(self, form: Mapping[str, str]) -> str:
        """Return the statuses of a day, as getstatus.jsp does with h=1: the newest first, 30 of them, unless asked."""
        day, order = form.get("d", ""), 1 if form.get("asc") == "1" else -1
        found = [(slot, kept) for slot, kept in sorted(self.slots.items()) if slot[0] == day][::order]
        rows = [_history_row(slot, kept) for slot, kept in found[: min(int(form.get("limit", 30)), 288)]]
        if form.get("h") != "1" or not rows:
            raise Refused(400, "No status found")
        return ";".join(rows)

    def _checked(self, status: Mapping[str, str], slots: Mapping[Slot, dict[str, str]]) -> Checked:
        """Return a status as it may be stored beside these. Raises Refused."""
        when = self._when(status)
        given = {name: status[name] for name in FIELDS if status.get(name)}
        if not any(name in given for name in FIELDS[:4]):
            raise Refused(400, "Missing required data")
        if any(name in given for name in FIELDS[6:]):
            raise Refused(403, "Donation Mode")
        self._check_numbers(given, when)
        slot = (f"{when:%Y%m%d}", f"{when:%H:%M}")
        values = {**slots.get(slot, {}), **given, "c1": status.get("c1", "0")}
        self._check_energies(slot, values, slots)
        return Checked(slot, values, given)

    def _when(self, status: Mapping[str, str]) -> datetime:
        try:
            when = datetime.strptime(f"{status['d']} {status['t']}", "%Y%m%d %H:%M").replace(tzinfo=self.zone)
        except (KeyError, ValueError):
            raise Refused(400, f"Could not read date [{status.get('d', '')} {status.get('t', '')}]") from None
        now = datetime.fromtimestamp(self.clock(), self.zone)
        if when.replace(tzinfo=None) > now.replace(tzinfo=None) + timedelta(minutes=self.interval):
            raise Refused(400, f"Date is in the future [{status['d']}]")
        if (now.date() - when.date()).days > self.days:
            raise Refused(400, f"Date is older than {self.days} days [{status['d']}]")
        return when.replace(minute=when.minute - when.minute % self.interval)

    def _check_numbers(self, given: Mapping[str, str], when: datetime) -> None:
        for name, text in given.items():
            whole = name in FIELDS[:4]
            try:
                number = int(text) if whole else float(text)
            except ValueError:
                raise Refused(400, f"Could not read {name} [{text}]") from None
            if whole and number < 0:
                raise Refused(400, f"Invalid {'energy' if name in ENERGIES else 'power'} value [{text}]")
        power = int(given.get("v2", 0))
        if self.size and power > self.size * 1.5:
            raise Refused(400, f"Power value [{power}] too high for system size [{self.size}]")
        if power and when.hour in self.night:
            raise Refused(400, "Moon Powered")

    def _check_energies(self, slot: Slot, values: Mapping[str, str], slots: Mapping[Slot, Mapping[str, str]]) -> None:
        """Energy never falls within a day."""
        day, moment = slot
        for name, lifetime in ENERGIES.items():
            kind = values["c1"] in lifetime
            earlier = [
                (when, int(kept[name]))
                for (date, when), kept in slots.items()
                if date == day and when < moment and name in kept and (kept["c1"] in lifetime) is kind
            ]
            if name in values and earlier and int(values[name]) < (last := max(earlier)[1]):
                raise Refused(400, f"Energy value [{values[name]}] lower than previously recorded value: [{last}]")

    def _store(self, statuses: Sequence[Checked]) -> None:
        for status in statuses:
            day, moment = status.slot
            self.slots[status.slot] = status.values
            self.accepted.append({"d": day, "t": moment, **status.given, "c1": status.values["c1"]})
            if self.log is not None:
                with self.log.open("a") as log:
                    log.write(json.dumps(self.accepted[-1]) + "\n")


def _history_row(slot: Slot, kept: Mapping[str, str]) -> str:
    """Write a status: date, time, Wh, Wh/kW, W, mean W, kW/kW, consumed Wh and W, °C, V; NaN is what is not known."""
    columns = ("v1", "", "v2", "v2", "", "v3", "v4", "v5", "v6")
    return ",".join([*slot, *(kept.get(name, "NaN") for name in columns)])


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="A PVOutput for tests.")
    parser.add_argument("--port", type=int, default=0, help="0: a free one, which the first line on stdout tells")
    parser.add_argument("--log", type=Path, help="write each accepted status here, a line of JSON each")
    parser.add_argument("--key", default=PVOutputServer.key)
    parser.add_argument("--system", default=PVOutputServer.system)
    parser.add_argument("--limit", type=int, default=60, help="requests an hour")
    parser.add_argument("--zone", type=ZoneInfo, default=UTC, help="time zone of the system")
    options = vars(parser.parse_args())
    with PVOutputServer(**options) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
