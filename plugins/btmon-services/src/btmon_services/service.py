"""What the uploaders of this package share: a request goes out, its answer is judged by a table.

A service's module has its settings, its `replies`, and `requests`, which makes the requests of a batch. Which channels
go under which name is in `streams.py`, what of the settings fits no meter in `doubts.py`. What is sent, and what an
answer means, does not belong here.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, TypeVar

import attrs

from btcore import Batch, ChannelRef, Context, Duration, Problem, Reject, Retry, Sample, Secret, Stop, hookimpl, setting
from btcore.web import (
    Answer,
    AnswerRule,
    Client,
    Verdict,
    format_request,
    is_public,
    raise_for_answer,
    secret_problem,
    url_problem,
)
from btmon_services.doubts import Doubts, Named
from btmon_services.streams import OTHER, Direction, against

T = TypeVar("T")

LONGEST = 600.0
"""Seconds that a request may be given."""

TOO_LARGE = 413
SERVER_ERROR = 500

WHOSE = r"(api|write|auth\w*|access)?.?(key|token)|user|account|node|feed|sensor|meter|device|hub|gateway|channel|home"
WRONG = r"invalid|unknown|unrecogni.ed|unauthori.ed|no such|not (found|registered|authori.ed|valid|recogni.ed)"
NO_READING = "(?! (reading|value|data|time|date))"
SETTING = AnswerRule(
    None,
    rf"\b({WRONG})\W+(\w+\W+)?({WHOSE})(_id)?\b{NO_READING}"
    rf"|\b({WHOSE})(_id)?\b{NO_READING}.{{0,40}}\b({WRONG}|does(n't| not) exist)\b",
    Verdict.STOP,
)
"""What refuses all that is sent, as it is about whose readings they are: the settings say that, not the readings."""

FUTURE = AnswerRule(None, r"in the future|future (date|time)|time\w* .{0,20}future", Verdict.REJECT)
"""What a date says that is wrong: to send it again until it is past would hold up all that is right."""


class State(Enum):
    """Whether a service still takes readings, as far as is known; `docs/services.md` says since when."""

    OPERATING = "operating"
    UNKNOWN = "not known to be operating"
    GONE = "gone"


@attrs.frozen(repr=False)
class Request:
    """One request, ready to be sent. It has no repr of its own: any part of it may hold a key."""

    method: str
    url: str
    data: bytes | str | Mapping[str, str] | None = None
    json: object = None
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    auth: Any = None
    of: Collection[Sample] = attrs.field(default=(), eq=False)
    """The samples that it has something of."""

    def __str__(self) -> str:
        """Show method, address and body, as a dry run does; not the headers, which hold keys."""
        return format_request(self.method, self.url, self.params, self.data if self.json is None else self.json)


@attrs.define(kw_only=True, eq=False, slots=False)
class Service(ABC):
    """Base of the plugin classes of this package."""

    title: ClassVar[str]
    """The service's name, as its users know it."""
    state: ClassVar[State]
    ended: ClassVar[str] = ""
    """When a service that is gone ended, and what became of it."""
    replies: ClassVar[Sequence[AnswerRule]] = ()
    """What this service's answers mean, where it is not what their HTTP codes usually mean."""
    account: ClassVar[str]
    """The settings that say whose readings they are: what a person checks when the service refuses them all."""

    url: str | Secret
    """Where the service is. One that is gone has no default but "": it needs the address of a successor."""
    timeout: Duration = setting(default=Duration(15), help="the longest wait for an answer")  # noqa: RUF009 - a field

    def check(self) -> Iterator[Problem]:
        """Tell what is wrong between the settings."""
        if self.state is State.GONE and not self.url:
            yield Problem(
                f"{self.title} {self.ended}: it works only with the url of something that speaks its protocol", "url"
            )
        elif fault := url_problem(self.address):
            yield Problem(fault, "url")
        if not 0 < self.timeout <= LONGEST:
            yield Problem("expected more than 0 s, and at most 10 min", "timeout")
        yield from self._check_query()
        for field in attrs.fields(type(self)):
            faults = (secret_problem(secret) for secret in within(Secret, getattr(self, field.name)))
            yield from (Problem(fault, field.name) for fault in faults if fault)

    def _check_query(self) -> Iterator[Problem]:
        """Find a key in the address, where everybody sees it: it has a setting of its own."""
        names = (field.name for field in attrs.fields(type(self)))
        own = next((name for name in names if list(within(Secret, getattr(self, name)))), "")
        if own != "url" and re.search(r"[?&]\w*(key|token|auth)\w*=", self.address, re.IGNORECASE):
            yield Problem(f"there is a key in it, which belongs in `{own}`, where no log shows it", "url")

    @property
    def address(self) -> str:
        """Where the service is, also where that is a secret."""
        return self.url.reveal() if isinstance(self.url, Secret) else self.url

    @property
    def hosted(self) -> bool:
        """Whether it is somebody's service on the Internet, and no server of one's own."""
        return is_public(self.address)

    @hookimpl
    def open(self, context: Context) -> None:
        """Prepare to send."""
        self._context = context
        self.doubts = Doubts(context.log, self._named(), self.meet)
        self._client = Client(agent="btmon-services", timeout=self.timeout, secrets=self.secrets())
        usual = attrs.fields_dict(type(self))["url"].default
        if self.state is State.UNKNOWN and usual in (self.url, attrs.NOTHING):
            context.log.warning("%s is %s; readings wait here until it answers", self.title, self.state.value)

    @hookimpl
    def close(self) -> None:
        """Give the connection back."""
        if hasattr(self, "_client"):
            self.doubts.conclude()
            self._client.close()

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Send what the settings want of this batch; return of how many of its readings that is something."""
        self.doubts.look(batch.samples)
        return readings_of(batch, self.deliver(batch))

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Tell what would be sent."""
        self.doubts.look(batch.samples)
        return (self._client.redact(str(request)) for request in self.requests(batch))

    @abstractmethod
    def requests(self, batch: Batch) -> Iterator[Request]:
        """Make the request of a batch, oldest reading first; none where it has nothing of what is sent.

        One, as a batch has one outcome: a service that takes one reading a request is a `ServiceOfEntries`, one with
        several accounts or streams is split.
        """

    def deliver(self, batch: Batch) -> Iterator[Sample]:
        """Send what the settings want of a batch; yield the samples of which something was sent, perhaps repeatedly.

        Raises Retry, Reject or Stop.
        """
        for request in self.requests(batch):
            self.send(request)
            yield from request.of

    def send(self, request: Request) -> None:
        """Send one request; return when it is delivered. Raises Retry, Reject or Stop."""
        self.raise_for_answer(self.ask(request))

    def ask(self, request: Request) -> Answer:
        """Send one request; return the answer. Raises Retry when there is none."""
        return self._client.send(**attrs.asdict(request, recurse=False, filter=attrs.filters.exclude("of")))

    def raise_for_answer(self, answer: Answer) -> None:
        """Return when an answer says delivered. Raises Retry, Reject or Stop."""
        try:
            raise_for_answer(answer, (*self.replies, *self.usual), self.title)
        except Reject as error:
            if answer.code != TOO_LARGE and SETTING.fits(answer):
                raise Stop(f"{error}; check {self.account}") from None
            raise
        except Retry as error:
            if answer.code < SERVER_ERROR and FUTURE.fits(answer):
                raise Reject(f"{error}; are the clocks of the meter and of this computer right?") from None
            raise

    @property
    def usual(self) -> tuple[AnswerRule, ...]:
        """What refuses all that is sent, with the settings that it is about."""
        stops = {401: self.account, 403: self.account, 404: f"`url`, and then {self.account}", 405: "`url`"}
        return tuple(AnswerRule(code, "", Verdict.STOP, f"check {settings}") for code, settings in stops.items())

    def secrets(self) -> Iterator[Secret]:
        """Yield what no text may show: all secret settings; a service adds what else is secret."""
        return within(Secret, self)

    def compare(self, sample: Sample, channel: str, direction: Direction, how: str) -> None:
        """Tell once where what is sent of a channel stands still while power flows the other way; `how` to mend it."""
        text = against(sample, channel, direction, self._context.polarity)
        self.doubts.compare(sample, channel, text, how.format(other=OTHER[direction]))

    def meet(self, sample: Sample) -> Iterable[str]:  # noqa: ARG002 - what each service makes of it
        """Tell, of a meter's first sample, what of it does not fit the settings, beside channels that it has not."""
        return ()

    def _named(self) -> Iterator[Named]:
        for field in attrs.fields(type(self)):
            yield from ((field.name, channel) for channel in within(ChannelRef, getattr(self, field.name)))


@attrs.define(kw_only=True, eq=False, slots=False)
class ServiceOfEntries(Service):
    """Base of those that take one reading a request: they have `batch_size=1`, so that each has its own outcome.

    Where somebody sets more, what was taken of a batch is not sent again when the rest of it comes again.
    """

    @hookimpl
    def open(self, context: Context) -> None:
        """Prepare to send."""
        super().open(context)
        self._taken: set[tuple[str, int, int]] = set()

    def deliver(self, batch: Batch) -> Iterator[Sample]:
        """Send what was not taken yet, oldest first; what was taken before counts as well."""
        numbers = {number for number, _ in self._numbered(batch)}
        if numbers and self._taken.isdisjoint(numbers):
            self._taken.clear()  # another batch, and no part of the last one
        for number, request in self._numbered(batch):
            if number not in self._taken:
                self.send(request)
                self._taken.add(number)
            yield from request.of

    def requests(self, batch: Batch) -> Iterator[Request]:
        """Make the requests of a batch, oldest first."""
        return (request for _, request in self._numbered(batch))

    @abstractmethod
    def entries(self, sample: Sample) -> Iterator[Request]:
        """Make the requests of a sample, the same ones each time."""

    def _numbered(self, batch: Batch) -> Iterator[tuple[tuple[str, int, int], Request]]:
        for sample in batch.samples:
            for place, request in enumerate(self.entries(sample)):
                yield (sample.serial, sample.newer.key, place), attrs.evolve(request, of=(sample,))


def readings_of(batch: Batch, sent: Iterable[Sample]) -> int:
    """Return how many readings of a batch end a sample that something of was sent."""
    ends = {(sample.serial, sample.newer.key) for sample in sent}
    return min(len(ends), len(batch.readings))


def within(kind: type[T], value: Any) -> Iterator[T]:  # noqa: ANN401 - whatever a setting may be
    """Yield everything of a kind in settings, also in tables within them."""
    if isinstance(value, kind):
        yield value
    elif attrs.has(type(value)):
        yield from (found for field in attrs.fields(type(value)) for found in within(kind, getattr(value, field.name)))
    elif isinstance(value, dict):
        yield from (found for item in (*value, *value.values()) for found in within(kind, item))
    elif isinstance(value, list | tuple):
        yield from (found for item in value for found in within(kind, item))
