# SPDX-License-Identifier: GPL-3.0-or-later
"""What mends a site: its dead letters, and what is to be delivered again. For a site that runs, and for one at rest.

Each answer is a dict that the control socket can send. Delivering is done by the sinks' workers.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from threading import Event
from typing import TYPE_CHECKING, Any

import attrs

from btcore.config.site import Sink, Site
from btcore.control.server import Handler
from btcore.errors import Unavailable, WrongUse
from btcore.journal import START, Journal
from btcore.mending.redelivery import REPORT_INTERVAL, open_decoders, preview_request
from btcore.records import from_microseconds
from btcore.replay.letters import as_json, id_of, select_letters
from btcore.replay.requests import Request, RequestBook, Requests, SharedRequests
from btcore.sinks.worker import SinkWorker
from btcore.status import ReplayStatus
from btcore.status.replays import request_status
from btcore.status.report import replay_line
from btcore.text import nearest, plural

if TYPE_CHECKING:
    from btcore.capture.export import Span

MAX_READ = 500
"""Journal entries read at once."""

Answer = Mapping[str, Any]


class Mending:
    """The mending of one site, whose configuration and workers may change: `site` and `workers` return them now.

    Where nothing runs there are no workers: what is asked for is kept for the next run.
    """

    def __init__(
        self,
        journal: Journal,
        site: Callable[[], Site],
        workers: Callable[[], Sequence[SinkWorker]],
        stop: Event,
        requests: RequestBook | None = None,
    ) -> None:
        """Take what it works on. `stop` is set when the program ends; `requests` are those that the workers have."""
        self.journal = journal
        self._book = requests or RequestBook(journal)
        self._current_site = site
        self._current_workers = workers
        self._stop = stop

    @property
    def _site(self) -> Site:
        return self._current_site()

    def _worker(self, table: str) -> SinkWorker | None:
        return next((worker for worker in self._current_workers() if worker.name == table), None)

    def _is_configured(self, table: str) -> bool:
        return any(sink.table == table for sink in self._site.sinks)

    @property
    def handlers(self) -> dict[str, Handler]:
        """What the control socket answers, by command."""
        return {
            "dead-letters": self.dead_letters,
            "replay": self.replay,
            "journal": self.look_after,
            "import": self.import_files,
        }

    # --- dead letters

    def dead_letters(self, request: Answer) -> Iterator[Answer]:
        """List, drop or retry dead letters: those of a sink, of a meter, or of some ids."""
        letters = self._selected(request)
        match request.get("action"):
            case "drop":
                self.journal.forget_dead_letters(letters)
            case "retry":
                yield {"letters": [as_json(one) for one in letters], "requests": self._retry(letters)}
                return
        yield {"letters": [as_json(one) for one in letters]}

    def _selected(self, request: Answer) -> list[Any]:
        letters = self.journal.dead_letters()
        known = [*(sink.table for sink in self._site.sinks), *(one.sink for one in letters)]
        name = request.get("sink")
        tables = tables_of(str(name), known) if name else []
        return select_letters(letters, tables, request.get("meters", ()), request.get("ids", ()))

    def _retry(self, letters: Sequence[Any]) -> list[str]:
        numbers = []
        for table in dict.fromkeys(one.sink for one in letters):
            ids = tuple(id_of(one) for one in letters if one.sink == table)
            numbers.append(self._ask(table, Request(retry=True, letters=ids)).number)
        self.journal.wake()
        return numbers

    def _ask(self, table: str, request: Request) -> Request:
        """Keep a request. Raises WrongUse where there is no such sink, Unavailable where it has too many requests."""
        if not self._is_configured(table):
            raise WrongUse(f"[{table}] is not in the configuration: nothing can be delivered to it")
        worker = self._worker(table)
        if worker is not None and worker.is_dry_run:
            raise Unavailable("btcore makes a dry run, which delivers nothing: stop it, or ask again when it is over")
        self._book.of_all(table).ask(request)
        return request

    # --- replays

    def replay(self, request: Answer) -> Iterator[Answer]:
        """Deliver again, and yield how far it has come until it is done; with `dry_run`, only what it would be."""
        asked = Request.from_json(request.get("request", {}))
        sinks = self.sinks_of(str(request.get("sink")))
        if request.get("dry_run"):
            for sink in sinks:
                yield {"sink": sink.table, "preview": preview_request(self._site, self.journal, sink, asked)}
            return
        if asked.gaps:
            raise_if_unanswerable(sinks)
        for sink in sinks:
            one = self._ask(sink.table, asked)
            self.journal.wake()
            yield from self._progress(sink.table, one.number)

    def sinks_of(self, name: str) -> list[Sink]:
        """Return the sinks of a name: one, or all parts of one. Raises WrongUse where there is none."""
        tables = tables_of(name, [sink.table for sink in self._site.sinks])
        return [sink for sink in self._site.sinks if sink.table in tables]

    def _progress(self, table: str, number: str) -> Iterator[Answer]:
        requests = self._book.of_all(table)
        while requests.is_waiting(number) and not self._stop.wait(REPORT_INTERVAL):
            worker = self._worker(table)
            if worker is not None and worker.stop_reason:
                why = worker.stop_reason
                raise Unavailable(f"{table} has stopped until a restart ({why}); what was asked for is done then")
            if worker is None and not self._is_configured(table):
                raise Unavailable(self._describe_removal(table, requests.get(number)))
            status = worker.replay_status() if worker else None
            found = status if status is not None and status.number == number else self._kept_status(requests, number)
            yield {"sink": table, "replay": attrs.asdict(found)}
        if requests.is_waiting(number):
            raise Unavailable("btcore stops: what is left is delivered again when it runs")
        done = requests.get(number)
        if done is not None:
            yield {"sink": table, "replay": attrs.asdict(request_status(done, finished=True))}

    def _kept_status(self, requests: Requests | SharedRequests, number: str) -> ReplayStatus:
        """Return how far a request has come that no worker here knows, as the journal has it."""
        kept = requests.get(number)
        return request_status(kept) if kept is not None else ReplayStatus(number)

    def _describe_removal(self, table: str, request: Request | None) -> str:
        """Describe how far a replay came whose sink was taken out of the configuration."""
        last = self.journal.recent(request.done, 1) if request and request.done else ()
        until = f" up to {from_microseconds(last[0].key).astimezone():%Y-%m-%d %H:%M:%S}" if last else ""
        came = f"it came{until}, {replay_line(request_status(request))}" if request else "it had not begun"
        return f"[{table}] was taken out of the configuration: {came}; where it is back, the rest is delivered"

    # --- the journal

    def look_after(self, request: Answer) -> Iterator[Answer]:
        """Check the journal, export a part of it, or what identifies its readings; compact one that is at rest."""
        match request.get("action"):
            case "check":
                yield {"faults": list(self._faults())}
            case "export":
                from btcore.capture.export import export  # noqa: PLC0415 - as for imports

                yield from map(attrs.asdict, export(self.journal, _span(request)))
            case "identities":
                from btcore.capture.export import identities  # noqa: PLC0415 - as for imports

                yield from ({"readings": some} for some in identities(self.journal, _span(request)) if some)
            case "compact":
                raise Unavailable("compacting takes the journal away from the meters for long: stop btcore first")

    def import_files(self, request: Answer) -> Iterator[Answer]:
        """Bring files into the journal, one after the other, and yield how far it has come."""
        from btcore.mending.file_import import import_files  # noqa: PLC0415 - a run without imports does not need it

        yield from import_files(self._site, self.journal, self._stop, request)

    def compact(self) -> tuple[int, int]:
        """Give free room of the journal back to the disk; return its bytes before and after."""
        before = self.journal.size()
        self.journal.compact()
        return before, self.journal.size()

    def _faults(self) -> Iterator[str]:
        """Yield what is wrong with the journal, and which readings no decoder reads."""
        yield from self.journal.check()
        unread: Counter[str] = Counter()
        with ExitStack() as opened:
            decoders = open_decoders(self._site, opened)
            after, end = START, self.journal.newest()
            while entries := [one for one in self.journal.read(after, MAX_READ) if one.offset <= end]:
                after = entries[-1].offset
                unread.update(entry.format for entry in entries if decoders.read_entry(entry) is None)
        for form, count in unread.items():
            yield f"{plural(count, 'reading')} of format {form} cannot be read by any decoder of the configuration"


def _span(request: Answer) -> "Span":
    from btcore.capture.export import Span  # noqa: PLC0415 - as for imports

    return Span(request.get("since"), request.get("until"), request.get("meters", ()))


def raise_if_unanswerable(sinks: Sequence[Sink]) -> None:
    """Raise WrongUse where a sink cannot be asked what it has."""
    for sink in sinks:
        if not hasattr(sink.instance, "find_stored"):
            raise WrongUse(
                f"{sink.table} cannot be asked what it has: its plugin {sink.plugin} has no find_stored. Omit --gaps"
            )


def tables_of(name: str, known: Sequence[str]) -> list[str]:
    """Return the tables of sinks that a name means: `roof`, `sink.roof`, or all parts of that. Raises WrongUse."""
    table = name if name.startswith("sink.") else f"sink.{name}"
    found = [one for one in dict.fromkeys(known) if one == table or one.startswith(f"{table}/")]
    if not found:
        names = [one.removeprefix("sink.") for one in dict.fromkeys(known)]
        hint = nearest(name, names) or f"; the sinks are {', '.join(names)}"
        raise WrongUse(f'there is no sink "{name}"{hint}')
    return found
