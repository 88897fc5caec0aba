# SPDX-License-Identifier: GPL-3.0-or-later
"""What is answered at each address. The numbers are made in other rooms; who may ask is in `access.py`."""

import asyncio
import json
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
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
from btmon_dashboard.access import Access, is_same_origin
from btmon_dashboard.history import QueryError, parse_step
from btmon_dashboard.live import Live
from btmon_dashboard.overview import Overview
from btmon_dashboard.query import parse_channels, parse_span

FILES = Path(__file__).parent / "pages"
PAGES = {"/": "now.html", "/history": "history.html", "/insight": "insight.html", "/health": "health.html"}

MAX_STREAMS = 100
"""The most browsers that are sent news; another one is answered 503, and asks again."""

MIN_NEWS = 0.25
MAX_QUIET = 15.0
"""Seconds between two events: at least, and at most, so that a browser that is gone is noticed."""

HEALTH_SECONDS = 3.0
"""For how long an answer of the journal's state is good: it is not for free."""

BODY_TIMEOUT = 10.0
"""Seconds for the body of a request."""

MAX_BODY = 20_000
MAX_LETTERS = 200
"""Bytes of a request, and the dead letters that are listed."""


@attrs.define(eq=False)
class Dashboard:
    """The answers. They are made in threads, as the store is read from a disk.

    `may_retry`: whoever sees the pages may have dead letters delivered again.
    """

    live: Live
    overview: Overview
    is_stopping: Callable[[], bool]
    may_retry: bool = False
    token: str = attrs.field(factory=lambda: secrets.token_urlsafe(16), repr=False)
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
            "bill": self.bill,
            "cycles": self.cycles,
            "insight": self.insight,
            "health": self.health,
            "dead-letters": self.dead_letters,
            "events": self.events,
        }
        routes: list[BaseRoute] = [Route(path, partial(page, name)) for path, name in PAGES.items()]
        routes += [Route(f"/api/{name}", answer) for name, answer in api.items()]
        routes += [Route("/api/dead-letters/retry", self.retry, methods=["POST"])]
        routes += [Route("/healthz", healthz), Mount("/static", StaticFiles(directory=FILES))]
        handlers: Any = {BtcoreError: unavailable, QueryError: refused}
        return Access(Starlette(routes=routes, exception_handlers=handlers), password)

    def snapshot_text(self) -> str:
        """Return the snapshot as JSON, which is made once for all browsers."""
        with self._lock:
            current = (self.live.version, round(time() / MAX_QUIET))
            if self._latest[:2] != current:
                self._latest = (*current, json.dumps(self.overview.snapshot()))
            return self._latest[2]

    def now(self, _request: Request) -> Response:
        """Answer with the snapshot."""
        return Response(self.snapshot_text(), media_type="application/json")

    def recent(self, _request: Request) -> Response:
        """Answer with the mean watts of the last hour, minute by minute, of all channels."""
        return JSONResponse(self.overview.recent())

    def history(self, request: Request) -> Response:
        """Answer with the points of a channel; of several, with those of each by its name."""
        query = request.query_params
        start, end = span = parse_span(query)
        step = parse_step(query.get("step", ""), end - start)
        names = parse_channels(query)
        found = self.overview.history(names, span, step)
        return JSONResponse(found["_".join(names[0])] if len(names) == 1 else {"channels": found})

    def bill(self, request: Request) -> Response:
        """Answer with what the house and its circuits used and cost in each step."""
        query = request.query_params
        return JSONResponse(self.overview.bill(parse_span(query), query.get("step", ""), query.getlist("channel")))

    def cycles(self, _request: Request) -> Response:
        """Answer with when each billing cycle begins and ends, as far as there is anything."""
        return JSONResponse(self.overview.cycles())

    def insight(self, request: Request) -> Response:
        """Answer with what is found in a time."""
        return JSONResponse(self.overview.insight(parse_span(request.query_params)))

    def health(self, _request: Request) -> Response:
        """Answer with the facts of `btcore status`, asked once for all browsers."""
        with self._health_lock:  # the journal may take its time, and the page Now does not wait for it
            if monotonic() - self._health[0] >= HEALTH_SECONDS:
                self._health = (monotonic(), json.dumps(self.live.context.site_status()))
            return Response(self._health[1], media_type="application/json")

    def dead_letters(self, _request: Request) -> Response:
        """Answer with the dead letters, and with the word that a retry needs."""
        letters = self.live.context.dead_letters({"action": "list"})["letters"]
        token = {"token": self.token} if self.may_retry else {}
        return JSONResponse({"letters": letters[:MAX_LETTERS], "count": len(letters), **token})

    async def retry(self, request: Request) -> Response:
        """Have dead letters of a sink delivered again: for these pages alone, which know the word."""
        given = request.headers.get("x-btcore-token", "")
        if not (self.may_retry and is_same_origin(request.headers) and secrets.compare_digest(given, self.token)):
            return JSONResponse({"error": "this is for the pages of the dashboard alone"}, 403)
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                body = await _body(request)
        except TimeoutError:
            return JSONResponse({"error": f"expected the request within {BODY_TIMEOUT:.0f} s"}, 408)
        if body is None:
            return JSONResponse({"error": f"expected at most {MAX_BODY} bytes"}, 413)
        sink = _sink(body)
        asked = {"action": "retry", "sink": sink}
        found = await asyncio.to_thread(self.live.context.dead_letters, asked)
        self.live.context.log.info(
            "%d dead letters of %s are delivered again: a browser asked", len(found["letters"]), sink
        )
        return JSONResponse({"count": len(found["letters"])})

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


async def _body(request: Request) -> bytes | None:
    """Return the body of a request; None for one that is too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            return None
    return body


def _sink(body: bytes) -> str:
    """Return the sink that a request names. Raises QueryError."""
    try:
        sink = json.loads(body)["sink"]
    except (ValueError, KeyError, TypeError, RecursionError):
        sink = None
    if not isinstance(sink, str) or not sink:
        raise QueryError('expected {"sink": NAME}')
    return sink
