# SPDX-License-Identifier: GPL-3.0-or-later
"""Gathering the facts about a site: from the program that runs with it, else by listening to its sources.

The only room of this wing that opens anything. It never opens what a running program holds.
"""

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from btcore import clocks
from btcore.classes import field, frozen
from btcore.config.site import Sink, Site, Source
from btcore.control.client import NotRunning, ask, ask_once
from btcore.doctor.ears import listen
from btcore.doctor.facts import HeardReading, JournalFacts, SilentMeter, SinkFacts, SiteFacts, SourceFacts, Undecoded
from btcore.errors import Unavailable
from btcore.journal import Entry, HeardMeter
from btcore.origin import LIVE
from btcore.records import from_microseconds
from btcore.runtime import state_directory
from btcore.runtime.listening import site_decoders
from btcore.runtime.names import NameCheck
from btcore.runtime.observation import decode_entry, newest_entries
from btcore.runtime.supervisor import open_site_journal
from btcore.status import as_json
from btcore.status.at_rest import status_at_rest
from btcore.version import __version__

NEWEST = 3000
"""Entries of the journal that are looked at."""

FAILS = {"failing", "stopped"}
"""States in which the last error counts."""


Json = dict[str, Any]


@frozen
class _Answers:
    """What the running program tells, or the journal of one that does not run; `silence` as in `SiteFacts`.

    `undecoded` are the bytes that the program cannot decode, by table. `failure`: why the journal cannot be read.
    """

    status: Json | None = None
    undecoded: Json = field(factory=dict)
    meters: Sequence[HeardMeter] = ()
    entries: Sequence[Entry] = ()
    silence: str = ""
    failure: str = ""

    @property
    def is_running(self) -> bool:
        """Whether the program was asked."""
        return self.status is not None and bool(self.status["running"])


@contextmanager
def gathered(site: Site, seconds: float) -> Iterator[SiteFacts]:
    """Gather the facts about a site; each source of one that does not run is listened to for so many seconds.

    While the block runs, no btcore can start with a site that does not run. Raises ConfigurationError where the state
    directory belongs to another configuration.
    """
    state_directory.check(site.state, site.file)
    with ExitStack() as held:
        answers = _ask(site) or _at_rest(site, held)
        status = answers.status or {}
        sources, heard = _sources(site, answers, seconds)
        yield SiteFacts(
            site=site,
            now=datetime.now(UTC),
            sources=sources,
            sinks=_sinks(site, status, is_running=answers.is_running),
            journal=_journal(site, answers),
            readings=(*_readings(site, answers.entries), *heard),
            unknown_names=tuple(NameCheck.of(site, lambda: answers.meters).describe_mismatches()),
            readable=tuple(_readable(site, status)),
            version=__version__,
            running_version=status.get("version", "") if answers.is_running else "",
            silence=answers.silence,
            process=status.get("process"),
        )


def _ask(site: Site) -> _Answers | None:
    """Ask the running program; None if none runs."""
    try:
        status = ask_once(site.state, "status")["status"]
        undecoded = ask_once(site.state, "undecoded")["sources"]
    except NotRunning:
        return None
    except Unavailable as error:
        return _Answers(silence=str(error))
    meters: list[HeardMeter] = []
    entries: list[Entry] = []
    failure = ""
    try:
        for answer in ask(site.state, "newest", limit=NEWEST):
            meters += [HeardMeter(*meter) for meter in answer.get("meters", ())]
            entries += map(decode_entry, answer.get("entries", ()))
    except Unavailable as error:
        failure = str(error)
    return _Answers(status, undecoded, meters, entries, failure=failure)


def _at_rest(site: Site, held: ExitStack) -> _Answers:
    """Hold the lock of the state directory if there is one, so that no btcore starts, and read the journal."""
    if not state_directory.is_used(site.state):
        return _Answers()
    try:
        held.callback(os.close, state_directory.lock(site.state))
    except Unavailable as error:
        return _Answers(silence=str(error))
    try:
        journal = open_site_journal(site, must_exist=True)
        held.callback(journal.close)
        status = as_json(status_at_rest(site, journal, datetime.now(UTC)))
        return _Answers(status, {}, journal.heard_meters(), newest_entries(journal, NEWEST))
    except Unavailable as error:
        return _Answers(failure=str(error))


# --- sources


def _sources(site: Site, answers: _Answers, seconds: float) -> tuple[tuple[SourceFacts, ...], list[HeardReading]]:
    if answers.status is not None and answers.is_running:
        by_name = {one["name"]: one for one in answers.status["sources"]}
        started = answers.status.get("started")
        since = (datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds() if started else 0.0
        return tuple(_of_status(one, by_name.get(one.name, {}), answers, since) for one in site.sources), []
    if answers.silence:
        return tuple(SourceFacts(source=one) for one in site.sources), []
    return listen(site, seconds)


def _of_status(source: Source, found: Json, answers: _Answers, since: float) -> SourceFacts:
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
            for one in answers.undecoded.get(source.table, ())
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


# --- sinks


def _sinks(site: Site, status: Json, *, is_running: bool) -> tuple[SinkFacts, ...]:
    by_name = {one["name"]: one for one in status.get("sinks", ())}
    return tuple(_sink(sink, by_name.get(sink.name, {}), is_running=is_running) for sink in site.sinks)


def _sink(sink: Sink, found: Json, *, is_running: bool) -> SinkFacts:
    state = found.get("state", "") if is_running else ""
    oldest = found.get("oldest_waiting")
    return SinkFacts(
        sink=sink,
        state=state,
        failure=_error(found) if state in FAILS else "",
        waiting=found.get("waiting", 0),
        oldest_waiting=datetime.fromisoformat(oldest) if oldest else None,
        dead_letters=found.get("dead_letters", 0),
    )


# --- the journal, and this machine


def _journal(site: Site, answers: _Answers) -> JournalFacts:
    found = (answers.status or {}).get("journal") or {"free": _free(site.state)}
    full, damage = found.get("full"), found.get("last_damage") or {}
    return JournalFacts(
        location=found.get("location", str(site.state)),
        failure=answers.failure,
        free=found.get("free"),
        newest=_newest(site, answers.entries),
        full=datetime.fromisoformat(full) if full else None,
        is_writable=answers.is_running or _is_writable(site.state),
        is_read_only=_is_read_only(site.state),
        damage=damage.get("text", ""),
        damaged_at=datetime.fromisoformat(damage["time"]) if damage else None,
    )


def _is_writable(state: Path) -> bool:
    """Whether this user may use the state directory, or make it."""
    try:
        state.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return os.access(state, os.R_OK | os.W_OK | os.X_OK)


def _is_read_only(state: Path) -> bool:
    """Whether the file system of the state directory may only be read."""
    try:
        return bool(os.statvfs(state).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _newest(site: Site, entries: Sequence[Entry]) -> datetime | None:
    """Return when the newest reading came in, of the sources whose readings have the time of arrival."""
    live = {source.name for source in site.sources if source.clock == "arrival" and source.origin == LIVE}
    keys = [entry.key for entry in entries if entry.source in live and entry.boot]
    return from_microseconds(max(keys)) if keys else None


def _free(state: Path) -> int | None:
    """Return the free bytes of the disk that the state directory is on, or will be."""
    for folder in (state, *state.absolute().parents):
        with suppress(OSError):
            return shutil.disk_usage(folder).free
    return None


def _readings(site: Site, entries: Sequence[Entry]) -> Iterator[HeardReading]:
    if not entries:
        return
    decoders = site_decoders(site)
    decoders.open(skip_failing=True)
    boot = clocks.boot()
    try:
        for entry in entries:
            found = decoders.read_entry_and_serial(entry)
            if found is not None:
                sent, reading = found
                known_as = site.meters.serial_of(entry.source, entry.address, sent, entry.format)
                yield HeardReading(reading, sent, _arrived(entry, boot), known_as)
    finally:
        decoders.close()


def _arrived(entry: Entry, boot: int) -> datetime:
    """Return when an entry came in: by the steady clock if that still runs, else its own time."""
    if entry.boot == boot:
        return clocks.now() - timedelta(microseconds=clocks.steady() - entry.monotonic)
    return from_microseconds(entry.key)


def _readable(site: Site, status: Json) -> Iterator[str]:
    """Yield the files with secrets or readings that every user of this machine can read."""
    if site.secrets and _is_readable(site.file):
        yield str(site.file)
    location = Path((status.get("journal") or {}).get("location", ""))
    if location.is_absolute() and _is_readable(location):
        yield str(location)


def _is_readable(file: Path) -> bool:
    """Whether others may read a file: its rights, and those of its directory, say so."""
    try:
        return bool(file.stat().st_mode & stat.S_IROTH and file.absolute().parent.stat().st_mode & stat.S_IXOTH)
    except OSError:
        return False
