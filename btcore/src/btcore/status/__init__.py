# SPDX-License-Identifier: GPL-3.0-or-later
"""What a site does: the states of its sources, sinks and journal, as a person and a monitoring system ask for them.

This module has the records. `runtime/status.py` makes them of a running program's workers, `at_rest.py` of the journal
when nothing runs; `report.py` writes them for a person, `metrics.py` for Prometheus. Nothing here changes anything.
"""

from datetime import UTC, datetime
from typing import Any, Literal

from btcore.classes import as_dicts, frozen

State = Literal["ok", "waiting", "behind", "failing", "stopped", "ended", "not running"]
"""The state of a source or a sink, in one word.

`waiting`: a source has no meter yet, or a service has asked to wait. `behind`: readings are being delivered that came
in earlier. `ended`: a source has nothing more to give, such as a file.
"""

BAD: tuple[State, ...] = ("failing", "stopped")
"""The states that a person should see to."""


@frozen
class ErrorStatus:
    """The last error of a source or a sink."""

    text: str
    time: datetime


@frozen
class MeterStatus:
    """One meter of a source.

    `last` is when it was heard last, `readings` how many came in this run. `interval` is its usual interval, in
    seconds, if it is known. `silent_for`: for how many seconds it has been overdue; None where it is not.
    """

    serial: str
    last: datetime | None = None
    readings: int | None = None
    interval: float | None = None
    silent_for: float | None = None


@frozen
class SourceStatus:
    """One source. Counts are of this run, and None where nothing runs.

    `packets`, `bytes`, `junk` (bytes) and `damaged` (packets) are as they came in; of the readings, `kept` were new to
    the journal, `duplicates` there already, `refused` not taken, and `unwritten` wait for the journal.
    """

    name: str
    plugin: str
    state: State
    meters: tuple[MeterStatus, ...] = ()
    packets: int | None = None
    bytes: int | None = None
    junk: int | None = None
    damaged: int | None = None
    kept: int | None = None
    duplicates: int | None = None
    refused: int | None = None
    unwritten: int | None = None
    last_error: ErrorStatus | None = None
    next_attempt: datetime | None = None


@frozen
class ReplayStatus:
    """What is delivered to a sink again: a replay, or its dead letters. `number` names the request.

    Of `total` readings in the journal, `examined` were looked at. `delivered`, `refused`, `stored` (already there) and
    `missing` count readings, `queued` those that wait for the next call. `last_error` is why it waits, or what was
    refused last.
    """

    number: str
    total: int = 0
    examined: int = 0
    delivered: int = 0
    refused: int = 0
    stored: int = 0
    missing: int = 0
    queued: int = 0
    waiting: int = 0
    last_error: str = ""
    finished: bool = False


@frozen
class SinkStatus:
    """One sink. `delivered`, `unwanted` and `dropped` count readings of this run, and are None where nothing runs.

    `offset` is that of its checkpoint; `waiting` readings came in after it, of which `oldest_waiting` is the time of
    the oldest. `dead_letters` are all that the journal keeps. `replay` is what is delivered again now.
    `partitions` are those of the journal that this program works; None where the journal has none.
    """

    name: str
    plugin: str
    state: State
    offset: int = 0
    waiting: int = 0
    oldest_waiting: datetime | None = None
    delivered: int | None = None
    unwanted: int | None = None
    dropped: int | None = None
    dead_letters: int = 0
    last_error: ErrorStatus | None = None
    next_attempt: datetime | None = None
    replay: ReplayStatus | None = None
    partitions: tuple[int, ...] | None = None


@frozen
class JournalStatus:
    """The journal. `bytes` and `free` (of its disk) are bytes, `retention` seconds.

    `free` is None where it is not known. `full` is when the disk will be full if the readings go on coming as they do;
    None where it never will. `last_error` is why it cannot be used now; then the other numbers are not known. `damages`
    are how often it was damaged of late, `lost` the readings that are gone by it, as far as known, and `last_damage`
    what happened last.
    """

    location: str
    bytes: int = 0
    entries: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    retention: float = 0.0
    free: int | None = None
    full: datetime | None = None
    damages: int = 0
    lost: int = 0
    last_damage: ErrorStatus | None = None
    last_error: ErrorStatus | None = None


@frozen
class SiteStatus:
    """A site at one moment: `time`. `started` is when the program was; None where it does not run.

    In a dry run nothing is sent: the `delivered` of a sink are readings that were shown.
    """

    running: bool
    time: datetime
    file: str
    version: str
    sources: tuple[SourceStatus, ...]
    sinks: tuple[SinkStatus, ...]
    journal: JournalStatus | None
    process: int | None = None
    started: datetime | None = None
    dry_run: bool = False

    @property
    def is_ok(self) -> bool:
        """Whether nothing fails, nothing has stopped, no meter is silent, and the journal can be used."""
        states = [*(source.state for source in self.sources), *(sink.state for sink in self.sinks)]
        silent = any(meter.silent_for is not None for source in self.sources for meter in source.meters)
        is_journal_bad = self.journal is not None and self.journal.last_error is not None
        return not silent and not is_journal_bad and not any(state in BAD for state in states)


def as_json(status: SiteStatus) -> dict[str, Any]:
    """Return a status as JSON has it: times as text in UTC. This is the format of `btcore status --json`."""
    data: dict[str, Any] = as_dicts(status, _serialize)
    return {"running": data.pop("running"), "ok": status.is_ok, **data}


def _serialize(value: object) -> object:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
