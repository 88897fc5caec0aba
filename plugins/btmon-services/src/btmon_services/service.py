"""What the uploaders of this package share: requests go out one after another, each answer is judged by a table.

A service's module has its settings, its `replies`, and `requests`, which makes the requests of a batch. Which channels
go under which name is in `streams.py`. What is sent, and what an answer means, does not belong here.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar

import attrs

from btcore import Batch, Context, Duration, Problem, Secret, Stop, hookimpl, setting
from btcore.web import Client, Meaning, judge


class State(Enum):
    """Whether a service still takes readings, as far as is known; `docs/services.md` says since when."""

    OPERATING = "operating"
    UNKNOWN = "not known to be operating"
    GONE = "gone"


@attrs.frozen
class Request:
    """One request, ready to be sent."""

    method: str
    url: str
    data: bytes | str | Mapping[str, str] | None = None
    json: object = None
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    auth: Any = None

    def __str__(self) -> str:
        """Show method, address and body, as a dry run does; not the headers, which hold keys."""
        parts = (self.method, self.url, self.params, self.data if self.json is None else self.json)
        return " ".join(part.decode() if isinstance(part, bytes) else str(part) for part in parts if part is not None)


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

    url: str = setting(default="", help="where the service is; one that is gone needs the address of a successor")
    timeout: Duration = setting(default=15.0, help="the longest wait for an answer")
    full_serials: bool = setting(default=False, help="send whole serial numbers, not XXX and the last three digits")

    def check(self) -> Iterator[Problem]:
        """Tell what is wrong between the settings."""
        if not self.url:
            yield Problem(
                f"{self.title} {self.ended}: it works only with the url of something that speaks its protocol", "url"
            )

    @hookimpl
    def open(self, context: Context) -> None:
        """Prepare to send."""
        self._context = context
        self._client = Client(agent="btmon-services", timeout=self.timeout, secrets=self._secrets())
        if self.state is State.UNKNOWN:
            context.log.warning("%s is %s; readings wait here until it answers", self.title, self.state.value)

    @hookimpl
    def close(self) -> None:
        """Give the connection back."""
        if hasattr(self, "_client"):
            self._client.close()

    @hookimpl
    def process_batch(self, batch: Batch) -> None:
        """Send the requests of this batch, in order."""
        for request in self.requests(batch):
            self.send(request)

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterable[str]:
        """Tell what would be sent."""
        return map(str, self.requests(batch))

    @abstractmethod
    def requests(self, batch: Batch) -> Iterator[Request]:
        """Make the requests of a batch, oldest first. A service that takes one reading a request has `batch_size=1`."""

    def send(self, request: Request) -> None:
        """Send one request; return when it is delivered. Raises Retry, Reject or Stop."""
        judge(self._client.send(**attrs.asdict(request, recurse=False)), self.replies, self.title)

    def _secrets(self) -> list[Secret]:
        values = (getattr(self, field.name) for field in attrs.fields(type(self)))
        return [value for value in values if isinstance(value, Secret)]

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
