# SPDX-License-Identifier: GPL-3.0-or-later
"""The work on one request after the other: what is delivered again, call by call, and what becomes of it.

Most runs are never asked, so this room is imported with the first request, by `redelivery.py`, which decides when there
is a turn.
"""

from collections.abc import Callable, Iterator, Sequence

from btcore.calculate.sampling import Step
from btcore.classes import define, evolve, field, frozen
from btcore.decode.decoders import Decoders
from btcore.errors import InvalidPluginResult
from btcore.journal import Checkpoint, DeadLetter, Journal, Offset
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
from btcore.text import plural

MAX_BUGS = 5
"""Calls that end in an unexpected exception before what was delivered again is given up."""

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


class RequestWork:
    """Works on the requests of one sink, in the sink's thread; `status` is for any."""

    def __init__(
        self,
        journal: Journal,
        decoders: Decoders,
        context: Context,
        delivery: Delivery,
        limiter: RateLimit,
        requests: Requests,
        *,
        plain: Callable[[str], str],
        failed: Callable[[Failure], None],
        answered: Callable[[], None],
    ) -> None:
        """Prepare; nothing is read yet.

        `plain` makes a reason fit to be kept, `failed` is told of each call that fails, `answered` of each other one.
        """
        self._journal = journal
        self._decoders = decoders
        self._context = context
        self._delivery = delivery
        self._limiter = limiter
        self._requests = requests
        self._plain = plain
        self._failed = failed
        self._answered = answered
        self._work: Work | None = None
        self._bugs = 0

    @property
    def has_begun(self) -> bool:
        """Whether a request is worked on."""
        return self._work is not None

    def forget(self) -> None:
        """Forget the work that is done: what was read is read again, and the request too."""
        self._work = None

    def status(self, known: ReplayStatus) -> ReplayStatus:
        """Add how far it has come to what is known of a request, where that is the one that is worked on."""
        work = self._work
        if work is None or work.request.number != known.number:
            return known
        return evolve(
            known,
            total=work.history.total,
            examined=work.history.examined,
            queued=len(work.queue) + sum(len(part.found) for part in work.parts),
        )

    def turn(self, request: Request, calls: HookCalls) -> bool:
        """Do a little for the first request; return whether there is more to do at once.

        Raises Stop, ShuttingDown, Superseded, Unavailable.
        """
        work = self._begun(request)
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

    def _begun(self, request: Request) -> Work:
        """Return the work on a request, begun where it was not."""
        if self._work is None or self._work.request.number != request.number:
            self._work = self._begin(request)
        return self._work

    def _begin(self, request: Request) -> Work:
        has_begun = request.has_begun
        request, live = begin_request(self._journal, self._context.name, request)
        if not has_begun:
            self._requests.update(request)
        wanted = frozenset(request.letters)
        letters = [one for one in self._journal.dead_letters(self._context.name) if id_of(one) in wanted]
        end = self._end_of_history(request, letters)
        sampling = sampling_of(self._context, self._delivery)
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
            self._bugs = 0
            self._answered()  # after a bug, the halves are tried once each
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
        self._requests.update(work.request)

    def _end(self, work: Work) -> None:
        request = work.request
        refused = f", {request.refused} refused: {request.why}" if request.refused else ""
        what = plural(request.delivered, "reading")
        self._context.log.info("delivered %s again (%s)%s", what, request.number, refused)
        self._requests.finish(request)
        self._work = None


def sampling_of(context: Context, delivery: Delivery) -> Sampling:
    """Return how samples are made for a sink."""
    interval = round(delivery.interval * 1e6)
    return Sampling(context.polarity, interval, delivery.meters, bool(delivery.only_live))


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
