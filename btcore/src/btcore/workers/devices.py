# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests of `btcore device`: which meter is meant, on which source and stream, and the conversation with it.

What is asked of a meter is in `device/`. The same code answers in the running program and in a command beside none.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from btcore import clocks
from btcore.classes import evolve, frozen
from btcore.config.site import Source
from btcore.control.server import Handler, Request
from btcore.device.heard import HeardMeter, zone_time
from btcore.device.meters import Target, change_settings, read_settings
from btcore.device.report import change_lines, list_lines, show_lines
from btcore.device.settings import (
    Change,
    ChangeRefused,
    DeviceSettings,
    Family,
    check_changes,
    current_text,
    old_values,
    read_changes,
)
from btcore.meter_commands import CommandFailed
from btcore.sources.worker import SourceWorker

GEM_DIGITS, ECM_DIGITS = 8, 6
STOP_TIMEOUT = 10.0
"""Seconds that a source may take to stop after a command that opened it itself."""

MAX_LISTED = 1000
"""Meters of one source that are listed."""


@frozen
class _Found:
    """The meter that is meant: its source, the stream it was heard on, and what is known of it."""

    worker: SourceWorker
    stream: str
    target: Target
    heard: HeardMeter | None = None


class DeviceRequests:
    """Answers the requests of `btcore device` with the sources that run."""

    def __init__(self, workers: Sequence[SourceWorker]) -> None:
        """Take the workers of the sources, whose threads are started."""
        self._workers = workers

    def handlers(self) -> Mapping[str, Handler]:
        """Return the handlers, for the control socket."""
        return {
            "device-list": lambda _request: [self.list()],
            "device-show": lambda request: [self.show(request)],
            "device-plan": lambda request: [self.plan(request)],
            "device-set": lambda request: [self.set(request)],
        }

    def list(self) -> dict[str, Any]:
        """Return the sources with the meters that were heard."""
        sources = [_listed(worker) for worker in self._workers]
        return {"sources": sources, "lines": [*list_lines(sources)]}

    def show(self, request: Request) -> dict[str, Any]:
        """Ask a meter for its settings. Raises CommandFailed."""
        found = self._find(request)
        with found.worker.commands.conversation(found.stream) as line:
            settings = _with_clock(read_settings(line, found.target), found)
        return _answer(settings, found)

    def plan(self, request: Request) -> dict[str, Any]:
        """Ask a meter for its settings; return what the changes would replace. Raises CommandFailed, ChangeRefused."""
        changes = read_changes(_words(request))
        found = self._find(request)
        if found.target.family is not None:
            _check(changes, found, found.target.family, request)
        with found.worker.commands.conversation(found.stream) as line:
            settings = _with_clock(read_settings(line, found.target), found)
        _check(changes, found, settings.family, request)
        rows = [{"name": name, "old": old, "new": new} for name, old, new in old_values(changes, settings)]
        return {**_answer(settings, found), "changes": rows, "lines": _change_lines(settings, rows)}

    def set(self, request: Request) -> dict[str, Any]:
        """Change settings of a meter, and return what it says then. Raises CommandFailed, ChangeRefused."""
        changes = read_changes(_words(request))
        found = self._find(request)
        with found.worker.commands.conversation(found.stream) as line:
            before = _with_clock(read_settings(line, found.target), found)
            _check(changes, found, before.family, request)
            after = change_settings(line, _known(found.target, before), changes, lambda: _now(found.worker.source))
        rows = [_row(change, before, after) for change in changes]
        return {**_answer(after, found), "changes": rows, "lines": _change_lines(after, rows)}

    def _find(self, request: Request) -> _Found:
        """Find the meter of a request, by serial number or source. Raises CommandFailed."""
        name, device = str(request.get("target", "")), str(request.get("device", ""))
        for worker in self._workers:
            heard = worker.heard.get(name)
            if heard is not None:
                return _heard_on(_alive(worker), heard, device)
        for worker in self._workers:
            if name in {worker.source.name, worker.source.table}:
                return _on_source(_alive(worker), device)
        family = _family(name)
        if family and len(self._workers) == 1:
            return _Found(_alive(self._workers[0]), "", Target(serial=name, family=family, device=device))
        serials = sorted(meter.serial for worker in self._workers for meter in worker.heard)[:MAX_LISTED]
        names = [worker.source.name for worker in self._workers]
        known = ", ".join([*serials, *names]) or "none"
        raise CommandFailed(f"no meter or source {name!r:.60} is known; those that are: {known}")


def _alive(worker: SourceWorker) -> SourceWorker:
    if not worker.thread.is_alive():
        why = worker.failure or "it has ended"
        raise CommandFailed(f"{worker.name} does not run, so its line is closed: {why}")
    return worker


def _heard_on(worker: SourceWorker, heard: HeardMeter, device: str) -> _Found:
    family: Family = "ecm" if heard.format.family == "ecm" else "gem"
    neighbours = [meter for meter in worker.heard.on_stream(heard.stream) if meter.format.family == "gem"]
    target = Target(serial=heard.serial, family=family, device=device, shared=len(neighbours) > 1)
    return _Found(worker, heard.stream or "", target, heard)


def _on_source(worker: SourceWorker, device: str) -> _Found:
    """Return the only meter of a source; where none has been heard, whatever answers."""
    meters = list(worker.heard)
    if device or not meters:
        return _Found(worker, "", Target(device=device, family="gem" if device.isdigit() else None))
    if len(meters) > 1:
        serials = ", ".join(sorted(meter.serial for meter in meters)[:MAX_LISTED])
        raise CommandFailed(f"{worker.name} has several meters: say which one is meant: {serials}")
    return _heard_on(worker, meters[0], device)


def _family(serial: str) -> Family | None:
    if not (serial.isascii() and serial.isdigit()):
        return None
    families: dict[int, Family] = {GEM_DIGITS: "gem", ECM_DIGITS: "ecm"}
    return families.get(len(serial))


def _known(target: Target, settings: DeviceSettings) -> Target:
    """Return the target with what its answers have told."""
    return evolve(target, serial=settings.meter, family=settings.family, device=settings.device or target.device)


def _words(request: Request) -> list[str]:
    words = request.get("changes")
    return [str(word) for word in words] if isinstance(words, list) else []


def _check(changes: Sequence[Change], found: _Found, family: Family, request: Request) -> None:
    """Raise ChangeRefused for what the meter does not know, what loses something, and what btcore would not read."""
    check_changes(changes, family, may_lose=bool(request.get("may_lose")))
    accepted = found.worker.source.formats
    for change in changes:
        if change.key == "format" and accepted and change.value not in accepted:
            raise ChangeRefused(
                f"format: {found.worker.name} takes only the formats {', '.join(accepted)}; add {change.value} to"
                " its `formats` first"
            )


def _row(change: Change, before: DeviceSettings, after: DeviceSettings) -> dict[str, Any]:
    now = current_text(change, after)
    is_readable = change.key != "clock" and now != "?"  # the clock is in the packets only
    return {
        "name": change.name,
        "old": current_text(change, before),
        "new": change.text,
        "now": now,
        "confirmed": now == change.text if is_readable else None,
    }


def _answer(settings: DeviceSettings, found: _Found) -> dict[str, Any]:
    values = settings.values()
    return {"device": values, "source": found.worker.source.name, "lines": [*show_lines(values, found.worker.name)]}


def _change_lines(settings: DeviceSettings, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"meter {settings.meter} ({settings.family.upper()})", *change_lines(rows)]


def _with_clock(settings: DeviceSettings, found: _Found) -> DeviceSettings:
    """Add what the clock showed in the last packet: no command asks for it."""
    heard = found.heard or found.worker.heard.get(settings.meter)
    if heard is None or heard.clock is None:
        return settings
    error = heard.clock_error(utc=_is_utc(found.worker.source))
    return evolve(settings, clock=heard.clock.isoformat(" "), clock_error=error)


def _now(source: Source) -> datetime:
    """Return the time that a meter of this source is to show."""
    return zone_time(clocks.now(), utc=_is_utc(source))


def _is_utc(source: Source) -> bool:
    return source.clock == "device-utc"


def _listed(worker: SourceWorker) -> dict[str, Any]:
    now, utc = clocks.now(), _is_utc(worker.source)
    if not worker.thread.is_alive():
        state = f"does not run{f': {worker.failure}' if worker.failure else ''}"
    else:
        state = "sends commands" if worker.commands.are_taken else "has sent no command yet"
    meters = [
        {
            "serial": meter.serial,
            "family": meter.format.family,
            "format": meter.format.name,
            "stream": meter.stream or "",
            "heard": meter.time.isoformat(),
            "heard_for": (now - meter.time).total_seconds(),
            "clock": meter.clock.isoformat(" ") if meter.clock else None,
            "clock_error": meter.clock_error(utc=utc),
        }
        for meter in sorted(list(worker.heard)[:MAX_LISTED], key=lambda meter: meter.serial)
    ]
    return {"name": worker.source.name, "plugin": worker.source.plugin, "state": state, "meters": meters}
