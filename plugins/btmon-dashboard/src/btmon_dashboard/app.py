# SPDX-License-Identifier: GPL-3.0-or-later
"""What is answered at each address. The numbers are `live.py`'s and `history.py`'s; who may ask is `access.py`'s."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from math import isfinite
from pathlib import Path
from time import monotonic, time
from typing import Any

import attrs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from btcore import BtcoreError
from btmon_dashboard.access import Access
from btmon_dashboard.history import WH, QueryError, history, parse_step
from btmon_dashboard.live import SILENT, Live
from btmon_dashboard.spans import DAY, MINUTE, SECOND, start_of
from btmon_dashboard.store import Store, energies
from btmon_dashboard.sums import Sums

FILES = Path(__file__).parent / "pages"
PAGES = {"/": "now.html", "/history": "history.html", "/health": "health.html"}

MAX_STREAMS = 100
"""The most browsers that are sent news; another one is answered 503, and asks again."""

MIN_NEWS = 0.25
MAX_QUIET = 15.0
"""Seconds between two events: at least, and at most, so that a browser that is gone is noticed."""

HEALTH_SECONDS = 3.0
"""For how long an answer of the journal's state is good: it is not for free."""

RECENT = 3600
"""Seconds of the small pictures beside each channel."""


@attrs.define(eq=False)
class Dashboard:
    """The answers. They are made in threads, as the store is read from a disk."""

    live: Live
    store: Store
    is_stopping: Callable[[], bool]
    _streams: int = 0
    _latest: tuple[int, int, str] = (-1, 0, "")
    _health: tuple[float, str] = (-HEALTH_SECONDS, "")
    _lock: threading.Lock = attrs.field(factory=threading.Lock)
    _health_lock: threading.Lock = attrs.field(factory=threading.Lock)

    def app(self, password: str) -> Any:  # noqa: ANN401 - an ASGI application
        """Return the application."""
        api = {
            "now": self.now,
            "recent": self.recent,
            "history": self.history,
            "health": self.health,
            "events": self.events,
        }
        routes: list[BaseRoute] = [Route(path, partial(page, name)) for path, name in PAGES.items()]
        routes += [Route(f"/api/{name}", answer) for name, answer in api.items()]
        routes += [Route("/healthz", healthz), Mount("/static", StaticFiles(directory=FILES))]
        handlers: Any = {BtcoreError: unavailable, QueryError: refused}
        return Access(Starlette(routes=routes, exception_handlers=handlers), password)

    def snapshot(self) -> dict[str, Any]:
        """Return what is known now of all meters, each channel with what it has consumed today, in Wh."""
        today = start_of(DAY, round(time() * SECOND))
        return {"meters": [self._meter(meter, today) for meter in self.live.meters()], "silent_after": SILENT}

    def snapshot_text(self) -> str:
        """Return the snapshot as JSON, which is made once for all browsers."""
        with self._lock:
            current = (self.live.version, round(time() / MAX_QUIET))
            if self._latest[:2] != current:
                self._latest = (*current, json.dumps(self.snapshot()))
            return self._latest[2]

    def _meter(self, meter: dict[str, Any], today: int) -> dict[str, Any]:
        serial = meter["serial"]
        rows = self.store.read(serial, DAY, today, today + 1)
        known = self.store.meters.get(serial)
        columns = {name: at for at, name in enumerate(known.channels)} if known else {}
        channels = []
        for channel in meter["channels"]:
            column = columns.get(channel["channel"], -1)
            sums = list(energies(rows, column)) if column >= 0 else []
            taken, given = (sums[0][2], sums[0][3]) if sums else (0, 0)
            wh = {"wh_today": (taken - given) / WH, "import_today": taken / WH, "export_today": given / WH}
            channels.append({**channel, **wh})
        return {**meter, "channels": channels}

    def now(self, _request: Request) -> Response:
        """Answer with the snapshot."""
        return Response(self.snapshot_text(), media_type="application/json")

    def recent(self, _request: Request) -> Response:
        """Answer with the mean watts of the last hour, minute by minute, of all channels."""
        end = start_of(MINUTE, round(time() * SECOND))
        start = end - RECENT * SECOND
        times = list(range(start // SECOND, end // SECOND, MINUTE))
        found: dict[str, list[float | None]] = {}
        for serial, meter in list(self.store.meters.items()):
            rows = dict(self.store.read(serial, MINUTE, start, end))
            for column, channel in enumerate(meter.channels):
                found[f"{serial}_{channel}"] = [_watts(rows.get(at * SECOND), column) for at in times]
        return JSONResponse({"times": times, "watts": found})

    def history(self, request: Request) -> Response:
        """Answer with the points of a channel."""
        query = request.query_params
        end = parse_moment("to", query.get("to", ""), time())
        start = parse_moment("from", query.get("from", ""), end - DAY)
        serial, _, channel = query.get("channel", "").rpartition("_")
        step = parse_step(query.get("step", ""), end - start)
        return JSONResponse(history(self.store, serial, channel, (start, end), step))

    def health(self, _request: Request) -> Response:
        """Answer with the facts of `btcore status`, asked once for all browsers."""
        with self._health_lock:  # the journal may take its time, and the page Now does not wait for it
            if monotonic() - self._health[0] >= HEALTH_SECONDS:
                self._health = (monotonic(), json.dumps(self.live.context.site_status()))
            return Response(self._health[1], media_type="application/json")

    async def events(self, _request: Request) -> Response:
        """Answer with the snapshot, and with each later one as it comes."""
        if self._streams >= MAX_STREAMS:
            return PlainTextResponse(f"{MAX_STREAMS} browsers are watching already\n", 503)
        return StreamingResponse(self._news(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    async def _news(self) -> AsyncIterator[str]:
        news, loop = asyncio.Event(), asyncio.get_running_loop()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(news.set)

        end = self.live.listen(wake)
        self._streams += 1
        try:
            while not self.is_stopping():
                news.clear()
                yield f"event: now\ndata: {await asyncio.to_thread(self.snapshot_text)}\n\n"
                await asyncio.sleep(MIN_NEWS)
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), MAX_QUIET)
        finally:
            self._streams -= 1
            end()


def page(name: str, _request: Request) -> Response:
    """Answer with a page."""
    return FileResponse(FILES / name, media_type="text/html")


def healthz(_request: Request) -> Response:
    """Answer that it works: a page that needs no password, for a container or a proxy."""
    return JSONResponse({"status": "ok"})


def refused(_request: Request, error: Exception) -> Response:
    """Answer what is wrong with a question."""
    return JSONResponse({"error": str(error)}, 400)


def unavailable(_request: Request, error: Exception) -> Response:
    """Answer why nothing can be answered now."""
    return JSONResponse({"error": str(error)}, 503)


def parse_moment(key: str, text: str, default: float) -> float:
    """Return seconds since 1970 of such a number, or of a time of ISO 8601, local if it has no zone."""
    if not text:
        return default
    try:
        moment = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError, OSError):
            moment = float("nan")
    if not (isfinite(moment) and 0 <= moment < LAST):
        raise QueryError(f"{key}: expected seconds since 1970, or a time such as 2026-06-21T06:00, found {text!r:.40}")
    return moment


LAST = 32_503_680_000
"""The beginning of the year 3000: no page asks for a later time."""


def _watts(row: Sums | None, column: int) -> float | None:
    if row is None or not row.length:
        return None
    taken, given = row.of(column)
    return round((taken - given) * SECOND / row.length, 1)
