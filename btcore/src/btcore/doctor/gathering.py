"""Gathering the facts about a site: from the program that runs with it, else by listening to its sources.

The only room of this wing that opens anything. It never opens what a running program holds.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import attrs

from btcore.config.site import Site, Source
from btcore.control.client import NotRunning, ask_once
from btcore.decode.decoders import Decoders
from btcore.doctor.facts import HeardReading, JournalFacts, SilentMeter, SinkFacts, SiteFacts, SourceFacts, Undecoded
from btcore.errors import Stop, Unavailable
from btcore.journal import Entry
from btcore.journal.sqlite_view import JournalView, view_journal
from btcore.origin import LIVE
from btcore.runtime import state_directory
from btcore.runtime.listening import Listening, site_decoders
from btcore.runtime.names import NameCheck
from btcore.runtime.supervisor import JOURNAL
from btcore.text import describe_error
from btcore.version import __version__

NEWEST = 3000
"""Entries of the journal that are looked at."""

FAILS = {"failing", "stopped"}
"""States in which the last error counts."""

PATIENCE = 30.0
"""Seconds that a source may take to close, after it was listened to."""


Json = dict[str, Any]


@attrs.frozen
class _Running:
    """What a running program tells: its status, and the bytes that it cannot decode, by table."""

    status: Json
    undecoded: Json


def gather(site: Site, seconds: float) -> SiteFacts:
    """Gather the facts about a site; each source of one that does not run is listened to for so many seconds.

    Raises ConfigurationError where the state directory belongs to another configuration.
    """
    state_directory.check(site.state, site.file)
    running, silence = _ask(site)
    with ExitStack() as held:
        if running is None and not silence:
            silence = _hold(site, held)
        sources, heard = _sources(site, running, seconds, may_listen=running is None and not silence)
        journal, view = _journal(site, running)
        return SiteFacts(
            site=site,
            now=datetime.now(UTC),
            sources=sources,
            sinks=_sinks(site, running, view),
            journal=journal,
            readings=(*_readings(site, view), *heard),
            unknown_names=tuple(NameCheck.of(site, lambda: view.meters).describe_mismatches()),
            readable=tuple(_readable(site)),
            version=__version__,
            running_version=running.status.get("version", "") if running else "",
            silence=silence,
            process=running.status.get("process") if running else None,
        )


def _ask(site: Site) -> tuple[_Running | None, str]:
    """Ask the running program; return what it tells, or why it cannot be asked, if one may be running."""
    try:
        status = ask_once(site.state, "status")["status"]
        return _Running(status, ask_once(site.state, "undecoded")["sources"]), ""
    except NotRunning:
        return None, ""
    except Unavailable as error:
        return None, str(error)


def _hold(site: Site, held: ExitStack) -> str:
    """Hold the lock of the state directory if there is one, so that no btcore starts; return why that cannot be."""
    if not (site.state / "lock").exists():
        return ""
    try:
        held.callback(os.close, state_directory.lock(site.state))
    except Unavailable as error:
        return str(error)
    return ""


# --- sources


def _sources(
    site: Site, running: _Running | None, seconds: float, *, may_listen: bool
) -> tuple[tuple[SourceFacts, ...], list[HeardReading]]:
    if running is not None:
        by_name = {one["name"]: one for one in running.status["sources"]}
        started = running.status.get("started")
        since = (datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds() if started else 0.0
        return tuple(_of_status(one, by_name.get(one.name, {}), running, since) for one in site.sources), []
    if not may_listen:
        return tuple(SourceFacts(source=one) for one in site.sources), []
    return _listen(site, seconds)


def _of_status(source: Source, found: Json, running: _Running, since: float) -> SourceFacts:
    meters = found.get("meters", ())
    silent = [one for one in meters if one.get("silent_for") is not None]
    state = found.get("state", "")
    return SourceFacts(
        source=source,
        state=state,
        failure=_error(found) if state in FAILS else "",
        listened=since if since >= SETTLED and source.origin == LIVE and state == "waiting" else 0.0,
        undecoded=tuple(
            Undecoded(one["stream"], bytes.fromhex(one["hex"]), bool(one["damaged"]), one["not_taken"])
            for one in running.undecoded.get(source.table, ())
        ),
        serials=tuple(one["serial"] for one in meters if one.get("readings")),
        silent=tuple(SilentMeter(one["serial"], one["silent_for"], one.get("interval")) for one in silent),
        packets=found.get("packets") or 0,
        damaged=found.get("damaged") or 0,
        refused=found.get("refused") or 0,
    )


SETTLED = 60.0
"""Seconds after the start of a program from which a source without any packet is a finding."""


def _error(found: Json) -> str:
    error = found.get("last_error")
    return str(error["text"]) if error else "it fails: the log says why"


def _listen(site: Site, seconds: float) -> tuple[tuple[SourceFacts, ...], list[HeardReading]]:
    """Listen to all sources at once: those that play a recording, or simulate, are left alone."""
    ears = [_Ear(site, source, seconds) for source in site.sources]
    for ear in ears:
        ear.start()
    for ear in ears:
        ear.join()
    return tuple(ear.facts() for ear in ears), [one for ear in ears for one in ear.heard]


class _Ear:
    """Listens to one source in a thread of its own, until a packet has come in and the line is quiet, or in vain."""

    def __init__(self, site: Site, source: Source, seconds: float) -> None:
        self.heard: list[HeardReading] = []
        self._site = site
        self._source = source
        self._seconds = seconds
        self._listening = Listening(site, source)
        self._failure = ""
        self._stopped = False
        self._thread = Thread(target=self._run, name=source.table, daemon=True)

    def start(self) -> None:
        if self._source.origin == LIVE:
            self._thread.start()

    def join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join(self._seconds + PATIENCE)
            if self._thread.is_alive():
                self._failure = f"it does not stop within {PATIENCE:.0f} s after it was told to"

    def facts(self) -> SourceFacts:
        listening = self._listening
        undecoded = listening.recent_bytes.undecoded(settle=0.0) if not listening.serials else []
        return SourceFacts(
            source=self._source,
            state="stopped" if self._stopped else "",
            failure=self._failure,
            listened=self._seconds if self._thread.ident is not None else 0.0,
            undecoded=tuple(Undecoded(one.stream, one.data, one.damaged > 0, one.not_taken) for one in undecoded),
            serials=tuple(listening.serials),
            packets=listening.counts.packets,
            damaged=listening.counts.damaged,
        )

    def _run(self) -> None:
        try:
            for _chunk in self._listening.chunks(self._seconds):
                if self._listening.serials:  # it works
                    break
        except Stop as error:
            self._failure, self._stopped = describe_error(error), True
        except BaseException as error:  # noqa: BLE001 - whatever a plugin raises is what is looked for
            self._failure = describe_error(error)
        self.heard = [
            HeardReading(reading, reading.serial, reading.time, self._known_as(reading.address, reading.serial))
            for reading in self._listening.readings
        ]

    def _known_as(self, address: str, sent: str) -> str:
        return self._site.meters.serial_of(self._source.name, address, sent)


# --- sinks


def _sinks(site: Site, running: _Running | None, view: JournalView) -> tuple[SinkFacts, ...]:
    by_name = {one["name"]: one for one in running.status["sinks"]} if running is not None else {}
    return tuple(
        SinkFacts(
            sink=sink,
            state=found.get("state", ""),
            failure=_error(found) if found.get("state") in FAILS else "",
            waiting=found.get("waiting", 0),
            oldest_waiting=datetime.fromisoformat(oldest) if (oldest := found.get("oldest_waiting")) else None,
            dead_letters=view.dead_letters.get(sink.table, 0),
        )
        for sink in site.sinks
        for found in [by_name.get(sink.name, {})]
    )


# --- the journal, and this machine


def _journal(site: Site, running: _Running | None) -> tuple[JournalFacts, JournalView]:
    file = site.state / JOURNAL
    failure, view = "", JournalView()
    is_writable = not site.state.exists() or os.access(site.state, os.R_OK | os.W_OK | os.X_OK)
    try:
        if is_writable and file.exists():
            view = view_journal(file, NEWEST)
    except (Unavailable, OSError) as error:
        failure = describe_error(error)
    usage = _disk(site.state)
    full = ((running.status.get("journal") or {}).get("full")) if running is not None else None
    return JournalFacts(
        failure=failure,
        free=usage.free if usage else None,
        total=usage.total if usage else None,
        newest=view.entries[-1][1] if view.entries else None,
        full=datetime.fromisoformat(full) if full else None,
        is_writable=is_writable,
    ), view


def _disk(state: Path) -> Any:  # noqa: ANN401 - shutil's own type
    """Return the usage of the disk that the state directory is on, or will be."""
    for folder in (state, *state.absolute().parents):
        with suppress(OSError):
            return shutil.disk_usage(folder)
    return None


def _readings(site: Site, view: JournalView) -> Iterator[HeardReading]:
    if not view.entries:
        return
    decoders = site_decoders(site)
    decoders.open(skip_failing=True)
    try:
        for entry, added in view.entries:
            yield from _reading(site, decoders, entry, added)
    finally:
        decoders.close()


def _reading(site: Site, decoders: Decoders, entry: Entry, added: datetime) -> Iterator[HeardReading]:
    found = decoders.read_entry_and_serial(entry)
    if found is not None:
        sent, reading = found
        yield HeardReading(reading, sent, added, site.meters.serial_of(entry.source, entry.address, sent))


def _readable(site: Site) -> Iterator[str]:
    """Yield the files with secrets or readings that every user of this machine can read."""
    if site.secrets and _is_readable(site.file):
        yield str(site.file)
    if _is_readable(site.state / JOURNAL):
        yield str(site.state / JOURNAL)


def _is_readable(file: Path) -> bool:
    """Whether others may read a file: its rights, and those of its directory, say so."""
    try:
        return bool(file.stat().st_mode & stat.S_IROTH and file.absolute().parent.stat().st_mode & stat.S_IXOTH)
    except OSError:
        return False
