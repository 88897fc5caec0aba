"""What the uploaders of this package share: requests go out one after another, each answer is judged by a table.

A service's module has its settings, its `replies`, and `requests`, which makes the requests of a batch. Which channels
go under which name is in `streams.py`. What is sent, and what an answer means, does not belong here.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from itertools import islice
from typing import Any, ClassVar, TypeVar

import attrs

from btcore import Batch, ChannelRef, Context, Duration, Problem, Sample, Secret, Stop, hookimpl, setting
from btcore.web import Answer, Client, Meaning, address_fault, judge, secret_fault, shown
from btmon_services.streams import has

T = TypeVar("T")


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

    def __str__(self) -> str:
        """Show method, address and body, as a dry run does; not the headers, which hold keys."""
        return shown(self.method, self.url, self.params, self.data if self.json is None else self.json)


@attrs.define(kw_only=True, eq=False, slots=False)
class Service(ABC):
    """Base of the plugin classes of this package."""

    title: ClassVar[str]
    """The service's name, as its users know it."""
    state: ClassVar[State]
    ended: ClassVar[str] = ""
    """When a service that is gone ended, and what became of it."""
    replies: ClassVar[Sequence[Meaning]] = ()
    """What this service's answers mean, where it is not what their HTTP codes usually mean."""

    url: str | Secret
    """Where the service is. One that is gone has no default but "": it needs the address of a successor."""
    timeout: Duration = setting(default=Duration(15), help="the longest wait for an answer")  # noqa: RUF009 - a field

    def check(self) -> Iterator[Problem]:
        """Tell what is wrong between the settings."""
        if self.state is State.GONE and not self.url:
            yield Problem(
                f"{self.title} {self.ended}: it works only with the url of something that speaks its protocol", "url"
            )
        elif fault := address_fault(self.address):
            yield Problem(fault, "url")
        if self.timeout <= 0:
            yield Problem("expected more than 0 s", "timeout")
        for field in attrs.fields(type(self)):
            faults = (secret_fault(secret) for secret in _within(Secret, getattr(self, field.name)))
            yield from (Problem(fault, field.name) for fault in faults if fault)

    @property
    def address(self) -> str:
        """Where the service is, also where that is a secret."""
        return self.url.reveal() if isinstance(self.url, Secret) else self.url

    @hookimpl
    def open(self, context: Context) -> None:
        """Prepare to send."""
        self._context = context
        self._met: set[str] = set()
        self._begun: list[tuple[str, int]] = []
        self._sent = 0
        self._client = Client(agent="btmon-services", timeout=self.timeout, secrets=self.secrets())
        usual = attrs.fields_dict(type(self))["url"].default
        if self.state is State.UNKNOWN and usual in (self.url, attrs.NOTHING):
            context.log.warning("%s is %s; readings wait here until it answers", self.title, self.state.value)

    @hookimpl
    def close(self) -> None:
        """Give the connection back."""
        if hasattr(self, "_client"):
            self._client.close()

    @hookimpl
    def process_batch(self, batch: Batch) -> None:
        """Send the requests of this batch, in order; when it comes again after a failure, go on where that was."""
        begun = [(sample.serial, sample.newer.key) for sample in batch.samples]
        if begun != self._begun:
            self._begun, self._sent = begun, 0
        for request in islice(self._made(batch), self._sent, None):
            self.send(request)
            self._sent += 1

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Tell what would be sent."""
        return (self._client.blanked(str(request)) for request in self._made(batch))

    @abstractmethod
    def requests(self, batch: Batch) -> Iterator[Request]:
        """Make the requests of a batch, oldest first; the same ones each time.

        A service that takes one reading a request has `batch_size=1`, so that each is known to be delivered.
        """

    def send(self, request: Request) -> None:
        """Send one request; return when it is delivered. Raises Retry, Reject or Stop."""
        self.judge(self.ask(request))

    def ask(self, request: Request) -> Answer:
        """Send one request; return the answer. Raises Retry when there is none."""
        return self._client.send(**attrs.asdict(request, recurse=False))

    def judge(self, answer: Answer) -> None:
        """Return when an answer says delivered. Raises Retry, Reject or Stop."""
        judge(answer, self.replies, self.title)

    def secrets(self) -> Iterator[Secret]:
        """Yield what no text may show: all secret settings; a service adds what else is secret."""
        return _within(Secret, self)

    def meet(self, sample: Sample) -> Iterator[str]:
        """Tell, of a meter's first sample, what the settings expect of the meter that it has not."""
        for channel in _within(ChannelRef, self):
            if channel.serial == sample.serial and not has(sample, channel.label):
                yield f"meter {channel.serial} has no {channel.label}: nothing of it is sent"

    def _made(self, batch: Batch) -> Iterator[Request]:
        for sample in batch.samples:
            if sample.serial not in self._met:
                self._met.add(sample.serial)
                for doubt in self.meet(sample):
                    self._context.log.warning("%s", doubt)
        return self.requests(batch)


def _within(kind: type[T], value: Any) -> Iterator[T]:  # noqa: ANN401 - whatever a setting may be
    """Yield everything of a kind in settings, also in tables within them."""
    if isinstance(value, kind):
        yield value
    elif attrs.has(type(value)):
        yield from (found for field in attrs.fields(type(value)) for found in _within(kind, getattr(value, field.name)))
    elif isinstance(value, dict):
        yield from (found for item in (*value, *value.values()) for found in _within(kind, item))


@attrs.define(kw_only=True, eq=False, slots=False)
class ServiceOfMeters(Service):
    """Base of those whose requests name the meter by its serial number."""

    full_serials: bool = setting(default=False, help="send whole serial numbers, not XXX and the last three digits")

    def shown(self, serial: str) -> str:
        """Return a meter's serial number as this service gets it.

        btmon shortened it to XXX and three digits. Raises Stop when two meters would become one.
        """
        if self.full_serials:
            return serial
        short = f"XXX{serial[-3:]}"
        meters = self.__dict__.setdefault("_shortened", {})
        if meters.setdefault(short, serial) != serial:
            raise Stop(f"meters {meters[short]} and {serial} would both be {short} there: set full_serials = true")
        return short
