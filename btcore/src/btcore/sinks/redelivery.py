# SPDX-License-Identifier: GPL-3.0-or-later
"""Delivering again to one sink: replays, and dead letters that are retried, a little at a time.

It is done in the sink's own thread, with its own instance and within its limits, whenever the live delivery has nothing
to do: so a plugin is never called twice at once, and the live delivery waits for one call at most. It has no part in
the sink's checkpoint. What is wanted and how far it has come is in the journal (`replay/requests.py`).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from time import monotonic

from btcore.backoff import Backoff
from btcore.calculate.sampling import Step
from btcore.classes import define, evolve, field, frozen
from btcore.decode.decoders import Decoders
from btcore.errors import InvalidPluginResult, Unavailable
from btcore.journal import Checkpoint, DeadLetter, Journal, Offset, Superseded
from btcore.records import Batch
from btcore.replay.history import Found, History, Sampling
from btcore.replay.letters import LetterIndex, id_of, rebuild
from btcore.replay.requests import Request, Requests
from btcore.replay.selection import select, without_stored
from btcore.settings import Context, Delivery
from btcore.sinks.calls import Failure, HookCalls, Rejection
from btcore.sinks.dead_letters import faults
from btcore.sinks.limits import RateLimit
from btcore.sinks.results import BatchResult, check_result, check_stored
from btcore.status import ReplayStatus
from btcore.status.replays import waiting_replay
from btcore.text import describe_error, format_duration, plural

MAX_BUGS = 5
"""Calls that end in an unexpected exception before what was delivered again is given up."""

MAX_WHY = 500
"""Characters of a reason that are kept."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two turns, where the first could do nothing."""

NOT_SELECTED = "the settings of the sink select nothing of it"


@frozen
class Part:
    """What one call delivers again: steps, and the dead letters that they settle.

    `is_asked`: the sink was asked whether it has them, and has none of them.
    """

    found: Sequence[Found]
    letters: Sequence[DeadLetter] = ()
    is_asked: bool = False

    @property
    def batch(self) -> Batch:
        """The batch of the call."""
        steps = [one.step for one in self.found]
        return Batch(
            tuple(reading for step in steps for reading in step.readings),
            tuple(sample for step in steps for sample in step.samples),
        )


@define
class Work:
    """The request that is worked on: its history, and the steps that wait for a call."""

    request: Request
    history: History
    portions: Iterator[list[Found]]
    letters: LetterIndex
    queue: list[tuple[Found, Sequence[DeadLetter]]] = field(factory=list)
    parts: list[Part] = field(factory=list)
    has_read_all: bool = False


class Redelivery:
    """Delivers again what was asked for, to one sink. `turn` is for the sink's thread, the rest for any."""

    def __init__(
        self,
        journal: Journal,
        decoders: Decoders,
        context: Context,
        delivery: Delivery,
        limiter: RateLimit,
        redact: Callable[[str], str] = str,
        requests: Requests | None = None,
    ) -> None:
        """Prepare; nothing is read before the first turn. `delivery` says whether the sink takes only what is live.

        `requests` are those of the sink, where others see them too.
        """
        self.requests = requests or Requests(journal, context.name)
        self._is_shared = self.requests.is_shared
        self._journal = journal
        self._decoders = decoders
        self._context = context
        self._delivery = delivery
        self._limiter = limiter
        self._redact = redact
        self._backoff = Backoff(delivery.min_backoff, delivery.max_backoff)
        self._work: Work | None = None
        self._not_before = -math.inf
        self._bugs = 0
        self._error = ""

    @staticmethod
    def sampling_of(context: Context, delivery: Delivery) -> Sampling:
        """Return how samples are made for a sink."""
        interval = round(delivery.interval * 1e6)
        return Sampling(context.polarity, interval, delivery.meters, bool(delivery.only_live))

    @property
    def next_turn_in(self) -> float:
        """Seconds until the next turn may do anything, where the last one could not; never long."""
        if self._work is None and monotonic() >= self._not_before:
            return LONGEST_PAUSE  # nothing is asked for
        return min(max(self._limiter.spare_wait(), self._not_before - monotonic(), SHORTEST_PAUSE), LONGEST_PAUSE)

    def status(self) -> ReplayStatus | None:
        """Return how far the request has come that is worked on, or that waits to be."""
        work, kept = self._work, waiting_replay(self.requests)
        if kept is None:
            return None
        known = evolve(kept, last_error=self._error or kept.last_error)
        if work is None or work.request.number != kept.number:
            return known
        return evolve(
            known,
            total=work.history.total,
            examined=work.history.examined,
            queued=len(work.queue) + sum(len(part.found) for part in work.parts),
        )

    def turn(self, calls: HookCalls) -> bool:
        """Do a little; return whether there is more to do at once. Raises Stop, ShuttingDown."""
        if monotonic() < self._not_before:
            return False
        try:
            return self._turn(calls)
        except Superseded:  # another program has changed what is asked for, or delivers it: look again
            if not self._is_shared:
                raise
            self._work = None
            return False
        except Unavailable as error:
            self._work = None  # what was read is read again
            self._failed(Failure(describe_error(error)))
            return False

    def finish(self, calls: HookCalls) -> None:
        """Do all that was asked for, and wait for it. Raises Stop, ShuttingDown."""
        while self.turn(calls) or self._is_anything_left():
            calls.raise_if_stopping()
            if monotonic() < self._not_before or self._limiter.spare_wait() > 0:
                calls.wait(self.next_turn_in)

    def _is_anything_left(self) -> bool:
        try:
            return self.requests.first() is not None
        except Unavailable:  # the next turn says why
            return True

    def _turn(self, calls: HookCalls) -> bool:
        work = self._begun()
        if work is None:
            return False
        if not work.parts and not work.has_read_all and len(work.queue) < self._delivery.batch_size:
            self._read(work)
        elif work.parts or work.queue:
            if self._limiter.spare_wait() > 0:
                return False
            self._deliver(work, calls)
        else:
            self._end(work)
        return True

    # --- what to deliver

    def _begun(self) -> Work | None:
        """Return the work on the first request, begun where it was not."""
        request = self.requests.first()
        if request is None:
            self._work = None
        elif self._work is None or self._work.request.number != request.number:
            self._work = self._begin(request)
        return self._work

    def _begin(self, request: Request) -> Work:
        has_begun = request.has_begun
        request, live = begin_request(self._journal, self._context.name, request)
        if not has_begun:
            self.requests.update(request)
        wanted = frozenset(request.letters)
        letters = [one for one in self._journal.dead_letters(self._context.name) if id_of(one) in wanted]
        end = self._end_of_history(request, letters)
        sampling = self.sampling_of(self._context, self._delivery)
        history = History(self._journal, self._decoders, sampling, end, (live or Checkpoint()).baselines)
        self._context.log.info("delivering again what was asked for (%s)", request.number)
        return Work(request, history, history.portions(), LetterIndex(letters))

    def _end_of_history(self, request: Request, letters: Sequence[DeadLetter]) -> Offset:
        """Return up to where history is needed; an interval is closed by what comes after it."""
        if request.retry and not self._delivery.interval:
            return max((max(one.entries) for one in letters if one.entries), default=0)
        return request.read_to if self._delivery.interval or request.retry else request.end

    def _read(self, work: Work) -> None:
        portion = next(work.portions, None)
        if portion is None or (work.request.retry and not work.letters.letters):
            work.has_read_all = True
            self._rebuild(work)
            return
        for found in portion:
            step, letters = self._wanted(work, found)
            if step is not None:
                work.queue.append((evolve(found, step=step), letters))

    def _wanted(self, work: Work, found: Found) -> tuple[Step | None, Sequence[DeadLetter]]:
        if work.request.retry:
            return work.letters.take(found.step)
        if found.settled <= work.request.done:
            return None, ()
        return select(found.step, work.request), ()

    def _rebuild(self, work: Work) -> None:
        """Make the steps of dead letters that history has no longer, of their own readings."""
        for letter in work.letters.letters.values():
            step = rebuild(letter, self._journal, self._decoders, self._context.polarity)
            if isinstance(step, str):
                self._refuse_letters(work, [letter], step)
            else:
                work.queue.append((Found(step, step.offset), [letter]))
        work.letters.letters.clear()

    # --- delivering it

    def _deliver(self, work: Work, calls: HookCalls) -> None:
        """Make one call: with the next batch, or with a part of one that was rejected."""
        if not work.parts:
            some, work.queue = work.queue[: self._delivery.batch_size], work.queue[self._delivery.batch_size :]
            work.parts.append(Part([found for found, _ in some], [one for _, letters in some for one in letters]))
        part = work.parts[-1]
        is_question = work.request.gaps and not part.is_asked
        answer = calls.try_once(lambda: self._ask(part, calls) if is_question else self._call(part, calls))
        if isinstance(answer, Failure) and (not answer.is_bug or self._bugs + 1 < MAX_BUGS):
            self._bugs += answer.is_bug
            self._failed(answer)
            return
        if not isinstance(answer, Failure):
            self._has_answered()  # after a bug, the halves are tried once each
        work.parts.pop()
        if isinstance(answer, frozenset):
            self._leave_missing(work, part, answer)
        elif isinstance(answer, BatchResult):
            self._settle_delivered(work, part, answer)
        elif len(part.found) > 1 and not is_question and not (isinstance(answer, Rejection) and answer.is_entire_batch):
            work.parts += reversed(_halves(part))
        else:
            self._settle_refused(work, part, answer.why)

    def _ask(self, part: Part, calls: HookCalls) -> frozenset[tuple[str, int]]:
        """Ask the sink which readings of a part it has."""
        self._limiter.called()
        return check_stored(calls.call("find_stored", batch=part.batch))

    def _leave_missing(self, work: Work, part: Part, stored: frozenset[tuple[str, int]]) -> None:
        """Put back what the sink does not have; settle the part where that is nothing, or only to be counted."""
        missing = [evolve(one, step=step) for one in part.found if (step := without_stored(one.step, stored))]
        count = sum(len(one.step.readings) for one in missing)
        had = len(part.batch.readings) - count
        if missing and not work.request.find_only:
            work.request = evolve(work.request, stored=work.request.stored + had, missing=work.request.missing + count)
            # what comes after the last of these is settled with them
            last = evolve(missing[-1], settled=part.found[-1].settled)
            work.parts.append(Part([*missing[:-1], last], is_asked=True))
        else:
            self._settle(work, part, stored=had, missing=count)

    def _call(self, part: Part, calls: HookCalls) -> BatchResult | Rejection:
        if len(part.found) == 1 and (broken := faults(part.found[0].step)):
            return Rejection(f"cannot be calculated, which is a fault of btcore: {next(iter(broken.values()))}")
        batch = part.batch
        self._limiter.called()
        returned = calls.call("process_batch", batch=batch)
        try:
            return check_result(returned, batch)
        except InvalidPluginResult as error:
            self._context.log.warning("%s; the entire batch counts as delivered", error)
            return BatchResult.all(batch)

    def _settle_delivered(self, work: Work, part: Part, answer: BatchResult) -> None:
        if part.letters and not answer.is_any_wanted:
            self._settle_refused(work, part, NOT_SELECTED)
            return
        self._journal.forget_dead_letters(part.letters)
        self._settle(work, part, delivered=answer.delivered)

    def _settle_refused(self, work: Work, part: Part, why: str) -> None:
        self._refuse_letters(work, part.letters, why)
        refused = len(part.batch.readings) or len(part.found)
        self._settle(work, part, refused=0 if part.letters else refused, why=self._plain(why))

    def _refuse_letters(self, work: Work, letters: Sequence[DeadLetter], why: str) -> None:
        """Keep dead letters with their new reason."""
        why = self._plain(why)
        self._journal.replace_dead_letters([evolve(one, why=why) for one in letters])
        work.request = evolve(work.request, refused=work.request.refused + len(letters), why=why)

    def _settle(
        self,
        work: Work,
        part: Part,
        *,
        delivered: int = 0,
        refused: int = 0,
        stored: int = 0,
        missing: int = 0,
        why: str = "",
    ) -> None:
        """Keep in the journal how far the request has come."""
        request = work.request
        settled = {id_of(letter) for letter in part.letters}
        work.request = evolve(
            request,
            letters=tuple(one for one in request.letters if one not in settled),
            done=max(request.done, part.found[-1].settled),
            delivered=request.delivered + delivered,
            refused=request.refused + refused,
            stored=request.stored + stored,
            missing=request.missing + missing,
            why=why or request.why,
        )
        self.requests.update(work.request)

    def _end(self, work: Work) -> None:
        request = work.request
        refused = f", {request.refused} refused: {request.why}" if request.refused else ""
        what = plural(request.delivered, "reading")
        self._context.log.info("delivered %s again (%s)%s", what, request.number, refused)
        self.requests.finish(request)
        self._work = None

    def _plain(self, why: str) -> str:
        return " ".join(self._redact(why).split())[:MAX_WHY]

    def _has_answered(self) -> None:
        self._bugs = 0
        self._error = ""
        self._backoff.worked()

    def _failed(self, failure: Failure) -> None:
        wait = self._backoff.failed(failure.after)
        self._not_before = monotonic() + wait
        if not self._error:
            again = format_duration(math.ceil(wait))
            self._context.log.warning("delivering again: %s; trying again in %s", self._plain(failure.why), again)
        self._error = self._plain(failure.why)


def begin_request(journal: Journal, table: str, request: Request) -> tuple[Request, Checkpoint | None]:
    """Return a request with up to where it goes, and the checkpoint of the sink's live delivery."""
    live = journal.checkpoint(table)
    if request.has_begun:
        return request, live
    newest = journal.newest()
    return evolve(request, end=live.offset if live else newest, read_to=newest), live


def _halves(part: Part) -> list[Part]:
    """Return a part as two; each has the dead letters of its own readings."""
    middle = len(part.found) // 2
    halves = [part.found[:middle], part.found[middle:]]
    letters = [[one for one in part.letters if _has(half, one)] for half in halves]
    return [Part(half, own, part.is_asked) for half, own in zip(halves, letters, strict=True)]


def _has(found: Sequence[Found], letter: DeadLetter) -> bool:
    offsets = {reading.offset for one in found for reading in one.step.readings}
    offsets |= {sample.newer.offset for one in found for sample in one.step.samples}
    return bool(letter.entries) and letter.entries[-1] in offsets
