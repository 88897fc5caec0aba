# SPDX-License-Identifier: GPL-3.0-or-later
"""Home Assistant's WebSocket API and the statistics of its recorder, as it documents them: the real one is too large.

with HomeAssistantApi() as server:
    ...  # write to server.url with TOKEN
    assert server.recorder.sums("btcore:01000777_ch1_import") == ...

Commands of the recorder are answered before they are done, as by the real one; `busy` lets them wait. The real one is
in `real_home_assistant.py`.
"""

import json
import logging
import re
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from threading import RLock, Thread
from typing import Any, Self

import attrs
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

TOKEN = "a-long-lived-token"
SILENT = logging.Logger("servers.home_assistant", logging.CRITICAL + 1)  # noqa: LOG001 - tests look at the client's log
STATISTIC_ID = re.compile(r"(?!.+__)(?!_)[\da-z_]+(?<!_):(?!_)[\da-z_]+(?<!_)")
METADATA = {"has_sum", "name", "source", "statistic_id", "unit_of_measurement"}

Message = dict[str, Any]


class Refused(Exception):
    """An error that a command is answered with: its code and its text."""


@attrs.define
class StatisticsRecorder:
    """The statistics: by id, the metadata, and the rows (`state`, `sum`) by hour, in seconds since 1970."""

    version: str = "2025.4.4"
    metadata: dict[str, Message] = attrs.field(factory=dict)
    rows: dict[str, dict[int, tuple[float, float]]] = attrs.field(factory=dict)
    is_admin: bool = True
    is_busy: bool = False
    asked: list[Message] = attrs.field(factory=list)
    _waiting: list[Callable[[], None]] = attrs.field(factory=list)
    _lock: RLock = attrs.field(factory=RLock)

    def sums(self, statistic_id: str) -> list[float]:
        """Return the sums of a statistic, oldest first."""
        return [total for _, (_, total) in sorted(self.rows.get(statistic_id, {}).items())]

    def steps(self, statistic_id: str) -> list[float]:
        """Return the energy of each row, as the Energy dashboard shows it: the first from zero."""
        sums = self.sums(statistic_id)
        return [round(after - before, 6) for before, after in zip([0.0, *sums], sums, strict=False)]

    def finish(self) -> None:
        """Be busy no more, and do what waits."""
        with self._lock:
            self.is_busy = False
            for work in self._waiting:
                work()
            self._waiting.clear()

    def respond(self, command: Message) -> Any:  # noqa: ANN401 - whatever a command answers
        """Do a command and return its result. Raises Refused."""
        with self._lock:
            self.asked.append(command)
            match command["type"]:
                case "auth/current_user":
                    return {"name": "t", "is_owner": self.is_admin, "is_admin": self.is_admin}
                case "recorder/statistics_during_period":
                    return self._rows_during(command)
                case "recorder/import_statistics":
                    self._queue(self._importing(command))
                case "recorder/adjust_sum_statistics":
                    self._queue(self._adjusting(command))
                case _:
                    raise Refused("unknown_command", "Unknown command.")
            return None

    def _queue(self, work: Callable[[], None]) -> None:
        if not self.is_admin:
            raise Refused("unauthorized", "Unauthorized")
        self._waiting.append(work)
        if not self.is_busy:
            self.finish()

    def _importing(self, command: Message) -> Callable[[], None]:
        about, rows = command["metadata"], command["stats"]
        year, month = map(int, self.version.split(".")[:2])
        wanted = METADATA | ({"mean_type", "unit_class"} if (year, month) >= (2025, 11) else {"has_mean"})
        if about.keys() != wanted or any(row.keys() != {"start", "state", "sum"} for row in rows):
            raise Refused("invalid_format", f"extra keys not allowed: {sorted(about.keys() ^ wanted)}")
        name = about["statistic_id"]
        if not STATISTIC_ID.fullmatch(name) or name.partition(":")[0] != about["source"]:
            raise Refused("home_assistant_error", "Invalid statistic_id")
        if any(_seconds(row["start"]) % 3600 for row in rows):
            raise Refused("home_assistant_error", "Invalid timestamp: timestamps must be from the top of the hour")

        def work() -> None:
            self.metadata[name] = about
            found = self.rows.setdefault(name, {})
            found.update((_seconds(row["start"]), (row["state"], row["sum"])) for row in rows)

        return work

    def _adjusting(self, command: Message) -> Callable[[], None]:
        name, start, by = command["statistic_id"], _seconds(command["start_time"]), command["adjustment"]
        if name not in self.metadata:
            raise Refused("unknown_statistic_id", "Unknown statistic ID")

        def work() -> None:
            rows = self.rows[name]
            rows.update((hour, (state, total + by)) for hour, (state, total) in rows.items() if hour >= start)

        return work

    def _rows_during(self, command: Message) -> Message:
        start = _seconds(command["start_time"])
        end = _seconds(command.get("end_time", "2200-01-01T00:00:00+00:00"))
        is_monthly = command["period"] == "month"
        if is_monthly:
            start, end = _month(start), _month(_month(end) + 32 * 86_400)
        found: Message = {}
        for name in command["statistic_ids"]:
            rows = {hour: row for hour, row in sorted(self.rows.get(name, {}).items()) if start <= hour < end}
            if is_monthly:
                rows = {_month(hour): row for hour, row in rows.items()}  # the last of each
            if rows:
                found[name] = [
                    {"start": hour * 1000, "end": (hour + 3600) * 1000, "state": state, "sum": total}
                    for hour, (state, total) in rows.items()
                ]
        return found


class HomeAssistantApi:
    """A server on a port of its own, started by `with`; it can be stopped, and started again with what it had."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """Prepare; nothing listens yet."""
        self.recorder = StatisticsRecorder()
        self.senseless: object = None
        """What is answered to each question for rows, where it is not None."""
        self.answers: list[Message | None] = []
        """What is answered in place of the next commands of the recorder; None ends the connection once it is done."""
        self.port = 0
        self._tls = tls
        self._server: Server | None = None
        self._thread = Thread()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """End it."""
        self.stop()

    def start(self) -> None:
        """Listen; on the same port as before."""
        self._server = serve(self._serve, "127.0.0.1", self.port, ssl=self._tls, close_timeout=1, logger=SILENT)
        self.port = self._server.socket.getsockname()[1]
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.shutdown()
            self._thread.join()
        self._server = None

    def _serve(self, socket: ServerConnection) -> None:
        try:
            socket.send(json.dumps({"type": "auth_required", "ha_version": self.recorder.version}))
            if json.loads(socket.recv()) != {"type": "auth", "access_token": TOKEN}:
                socket.send(json.dumps({"type": "auth_invalid", "message": "Invalid access token or password"}))
                return
            socket.send(json.dumps({"type": "auth_ok", "ha_version": self.recorder.version}))
            for message in socket:
                answer = self._answer(json.loads(message))
                if answer is None:
                    return
                socket.send(json.dumps(answer))
        except ConnectionClosed:
            pass

    def _answer(self, command: Mapping[str, Any]) -> Message | None:
        try:
            answer = {"success": True, "result": self.recorder.respond(dict(command))}
        except Refused as error:
            code, text = error.args
            answer = {"success": False, "error": {"code": code, "message": text}}
        if command["type"] == "recorder/statistics_during_period":
            answer = answer if self.senseless is None else {"success": True, "result": self.senseless}
        elif self.answers:
            instead = self.answers.pop(0)
            if instead is None:
                return None
            answer = instead
        return {"id": command["id"], "type": "result", **answer}


def _seconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp())


def _month(time: int) -> int:
    at = datetime.fromtimestamp(time, UTC)
    return int(datetime(at.year, at.month, 1, tzinfo=UTC).timestamp())
