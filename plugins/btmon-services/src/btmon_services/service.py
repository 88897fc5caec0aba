# SPDX-License-Identifier: GPL-3.0-or-later
"""What all services of this package share: a request is sent, and a table of rules classifies the answer.

The module of a service has its settings, its `replies`, and `requests`, which makes the requests of a batch. The
numbers of a sample are in `selection.py`, warnings about settings that fit no meter in `channel_checker.py`. What is
sent to one service, and what its answers mean, does not belong here.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar
from urllib.parse import urlsplit

import attrs

from btcore import (
    Batch,
    ChannelRef,
    Context,
    DiagnosisContext,
    Duration,
    Finding,
    Problem,
    Reject,
    Retry,
    Sample,
    Secret,
    Stop,
    hookimpl,
    setting,
)
from btcore.web import (
    Answer,
    AnswerRule,
    Client,
    Verdict,
    describe_answer,
    find_instances,
    format_request,
    is_public,
    raise_for_answer,
    setting_problems,
)
from btmon_services.channel_checker import ChannelChecker, NamedChannel
from btmon_services.selection import OTHER, Direction, describe_opposite_flow

TOO_LARGE = 413
REFUSED = (401, 403)
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
"""Answers about the account, which refuse every request: the cause is a setting, not a reading."""

FUTURE = AnswerRule(None, r"in the future|future (date|time)|time\w* .{0,20}future", Verdict.REJECT)
"""Answers about a time in the future: to retry until that time would delay all later readings."""


class ServiceState(Enum):
    """Whether a service still takes readings, as far as is known; `docs/services.md` has the dates."""

    OPERATING = "operating"
    UNKNOWN = "not known to be operating"
    GONE = "gone"


@attrs.frozen(repr=False)
class Request:
    """One request, ready to be sent. Its repr shows no part of it, as any part may hold a key."""

    method: str
    url: str
    data: bytes | str | Mapping[str, str] | None = None
    json: object = None
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    auth: Any = None
    of: Collection[Sample] = attrs.field(default=(), eq=False)
    """The samples that the request contains something of."""

    def __str__(self) -> str:
        """Return method, address and body, for a dry run; without the headers, which hold keys."""
        return format_request(self.method, self.url, self.params, self.data if self.json is None else self.json)


@attrs.define(kw_only=True, eq=False, slots=False)
class Service(ABC):
    """Base of the plugin classes of this package."""

    title: ClassVar[str]
    """The service's name, as its users know it."""
    state: ClassVar[ServiceState]
    ended: ClassVar[str] = ""
    """How a service that is gone ended: a phrase that follows its name."""
    replies: ClassVar[Sequence[AnswerRule]] = ()
    """Rules for answers that mean something else than their HTTP status usually does."""
    account: ClassVar[str]
    """The settings of the account: what a person checks when the service refuses every request."""

    url: str | Secret
    """Where the service is. One that is gone has no default but "": it needs the address of a successor."""
    timeout: Duration = setting(default=Duration(15), help="longest wait for an answer")  # noqa: RUF009 - a field

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        is_missing = self.state is ServiceState.GONE and not self.url
        if is_missing:
            yield Problem(
                f"{self.title} {self.ended}: set `url` to the address of a service that speaks its protocol", "url"
            )
        yield from setting_problems(self, *(() if is_missing else ("url",)))
        yield from self._check_query()

    def _check_query(self) -> Iterator[Problem]:
        """Find a key in the address, which logs show: a key has a setting of its own."""
        names = (field.name for field in attrs.fields(type(self)))
        own = next((name for name in names if list(find_instances(Secret, getattr(self, name)))), "")
        if own != "url" and re.search(r"[?&]\w*(key|token|auth)\w*=", self.address, re.IGNORECASE):
            yield Problem(f"the address contains a key: move it to `{own}`, which no log shows", "url")

    @property
    def address(self) -> str:
        """Where the service is, also where that is a secret."""
        return self.url.reveal() if isinstance(self.url, Secret) else self.url

    @property
    def hosted(self) -> bool:
        """Whether it is a hosted service on the Internet, and not a server of one's own."""
        return is_public(self.address)

    @hookimpl
    def open(self, context: Context) -> None:
        """Prepare to send."""
        self._context = context
        self.channel_checker = ChannelChecker(context.log, self._named(), self.meet)
        self._client = Client(agent="btmon-services", timeout=self.timeout, secrets=self.secrets())
        usual = attrs.fields_dict(type(self))["url"].default
        if self.state is ServiceState.UNKNOWN and usual in (self.url, attrs.NOTHING):
            context.log.warning("%s is %s; readings wait here until it answers", self.title, self.state.value)

    @hookimpl
    def close(self) -> None:
        """Give the connection back."""
        if hasattr(self, "_client"):
            self.channel_checker.finish()
            self._client.close()

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Send what the settings select of this batch; return how many of its readings were used."""
        self.channel_checker.check(batch.samples)
        return count_readings(batch, self.deliver(batch))

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Yield the requests that would be sent."""
        self.channel_checker.check(batch.samples)
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

    def diagnose(self, _context: DiagnosisContext) -> Iterable[Finding]:
        """Find out whether the service is there; neither a key nor data is sent.

        Most services take a key with data alone, so whether it is right cannot be asked.
        """
        scheme, host, *_ = urlsplit(self.address.strip())
        found = self.diagnose_account(Request("HEAD", f"{scheme}://{host.rpartition('@')[2]}/"))
        return (one for one in found if one.code != "credentials")

    def diagnose_account(self, request: Request) -> Iterator[Finding]:
        """Send a request that stores nothing; yield what is wrong with the account, or the way to it."""
        self._client = Client(agent="btmon-services", timeout=self.timeout, secrets=self.secrets())
        try:
            answer = self.ask(request)
        except Retry as error:
            advice = "Check the connection to the service, and `url`; readings wait meanwhile"
            yield Finding("unreachable", str(error), advice)
        except Stop as error:
            yield Finding("unreachable", str(error), "Correct `url`")
        else:
            if answer.code in REFUSED:
                yield Finding("credentials", describe_answer(answer, self.title), f"Check {self.account}")
        finally:
            self._client.close()

    @property
    def usual(self) -> tuple[AnswerRule, ...]:
        """Rules for the HTTP statuses that refuse every request, each with the settings to check."""
        stops = {401: self.account, 403: self.account, 404: f"`url`, and then {self.account}", 405: "`url`"}
        return tuple(AnswerRule(code, "", Verdict.STOP, f"check {settings}") for code, settings in stops.items())

    def secrets(self) -> Iterator[Secret]:
        """Yield what no text may show: all secret settings, and what else a service knows as secret."""
        return find_instances(Secret, self)

    def check_direction(self, sample: Sample, channel: str, direction: Direction, advice: str) -> None:
        """Warn once where power flows opposite to the direction that is sent of a channel; `advice` says what to do."""
        text = describe_opposite_flow(sample, channel, direction, self._context.polarity)
        self.channel_checker.warn_of_direction(sample, channel, text, advice.format(other=OTHER[direction]))

    def meet(self, sample: Sample) -> Iterable[str]:  # noqa: ARG002 - what each service makes of it
        """Yield further warnings about the first sample of a meter, beside those about missing channels."""
        return ()

    def _named(self) -> Iterator[NamedChannel]:
        for field in attrs.fields(type(self)):
            yield from ((field.name, channel) for channel in find_instances(ChannelRef, getattr(self, field.name)))


@attrs.define(kw_only=True, eq=False, slots=False)
class ServiceOfEntries(Service):
    """Base of the services that take one reading a request: `batch_size=1` gives each its own outcome.

    With a larger batch size, what was delivered of a batch is not sent again when the rest is retried.
    """

    @hookimpl
    def open(self, context: Context) -> None:
        """Prepare to send."""
        super().open(context)
        self._delivered: set[tuple[str, int, int]] = set()

    def deliver(self, batch: Batch) -> Iterator[Sample]:
        """Send what was not delivered yet, oldest first; yield also the samples that were delivered before."""
        numbers = {number for number, _ in self._numbered(batch)}
        if numbers and self._delivered.isdisjoint(numbers):
            self._delivered.clear()  # another batch, and no part of the last one
        for number, request in self._numbered(batch):
            if number not in self._delivered:
                self.send(request)
                self._delivered.add(number)
            yield from request.of

    def requests(self, batch: Batch) -> Iterator[Request]:
        """Make the requests of a batch, oldest first."""
        return (request for _, request in self._numbered(batch))

    @abstractmethod
    def entries(self, sample: Sample) -> Iterator[Request]:
        """Make the requests of a sample, the same ones each time."""

    def _numbered(self, batch: Batch) -> Iterator[tuple[tuple[str, int, int], Request]]:
        for sample in batch.samples:
            for index, request in enumerate(self.entries(sample)):
                yield (sample.serial, sample.newer.key, index), attrs.evolve(request, of=(sample,))


def count_readings(batch: Batch, sent: Iterable[Sample]) -> int:
    """Return how many readings of a batch end a sample of which something was sent."""
    ends = {(sample.serial, sample.newer.key) for sample in sent}
    return min(len(ends), len(batch.readings))
