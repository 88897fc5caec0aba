"""The service over HTTP: a request goes out, its answer comes in, within bounds of time and size.

What an answer means is in `replies.py`. This module imports requests, so it is imported only when a sink is opened.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import formatdate
from urllib.parse import urlsplit

import requests

from btcore import Retry, Secret, __version__
from btmon_pvoutput.replies import Answer, not_stored
from btmon_pvoutput.status import Status, request

MOST_BYTES = 16_384
"""Of an answer's body: a hundred statuses are answered with 1,800."""


class Service:
    """One system of PVOutput. `clock` counts the seconds of waiting for a new hour; it never goes back."""

    def __init__(
        self,
        base: str,
        *,
        api_key: Secret,
        system_id: str,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is sent. `base` is the address that the pages are below, `timeout` is seconds."""
        self.requests_left: int | None = None
        self._base = base
        self._host = urlsplit(base).netloc
        self._key = api_key.reveal().strip()
        self._timeout = timeout
        self._clock = clock
        self._opens_at = float("-inf")
        self._session = requests.Session()
        self._session.headers.update(
            {
                "User-Agent": f"btcore/{__version__} btmon-pvoutput",
                "Accept-Encoding": "identity",
                "X-Pvoutput-Apikey": self._key,
                "X-Pvoutput-SystemId": system_id.strip(),
                "X-Rate-Limit": "1",
            }
        )

    def add(self, statuses: Sequence[Status], lifetime: str) -> list[Status]:
        """Send statuses, as many as one request may carry; return those that were not stored.

        Raises Retry, Reject or Stop. Without asking, as long as the service has said that it takes no more requests.
        """
        self._respect_limit()
        page, form = request(statuses, lifetime)
        answer = self._post(f"{self._base}{page}", form)
        self._note_limit(answer)
        refused = not_stored(answer)
        return [status for status in statuses if status.slot in refused]

    def close(self) -> None:
        """Give the connection back."""
        self._session.close()

    def _respect_limit(self) -> None:
        wait = self._opens_at - self._clock()
        if wait > 0:
            raise Retry("PVOutput takes no more requests with this api_key until the hour is over", after=wait)

    def _note_limit(self, answer: Answer) -> None:
        self.requests_left = answer.requests_left
        if answer.requests_left == 0 and answer.until_reset is not None:
            self._opens_at = self._clock() + answer.until_reset

    def _post(self, url: str, form: Mapping[str, str]) -> Answer:
        # "from None": what requests raises holds the request, with the key in it
        try:
            with self._session.post(
                url, data=form, timeout=self._timeout, allow_redirects=False, stream=True
            ) as response:
                headers = {"date": formatdate(usegmt=True)}  # RFC 9110: an answer without a date is of now
                headers.update((name.lower(), value) for name, value in response.headers.items())
                return Answer(response.status_code, self._shown(self._body(response)), headers)
        except requests.Timeout:
            raise Retry(f"{self._host} did not answer within {self._timeout:g} s") from None
        except requests.RequestException as error:
            raise Retry(f"no answer from {self._host}: {_reason(error)}") from None

    def _body(self, response: requests.Response) -> bytes:
        """Read what one may expect. By the byte: a larger read would wait for as long as single bytes keep coming."""
        deadline = time.monotonic() + self._timeout
        body = bytearray()
        for byte in response.iter_content(1):
            body += byte
            if len(body) >= MOST_BYTES or time.monotonic() > deadline:
                break
        return bytes(body)

    def _shown(self, body: bytes) -> str:
        """Make an answer fit for a log: one line of plain characters, and never the key, which an answer may repeat."""
        text = body.decode(errors="replace").replace(self._key, "***")
        return re.sub(r"[^\x20-\x7e]+", " ", text).strip()


def _reason(error: BaseException) -> str:
    """Say in the system's own words why there was no connection: they are deep within the exception."""
    causes = list(_causes(error))
    told = (cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror)
    return next(told, type(causes[-1]).__name__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            return
        yield cause
        inner = [getattr(cause, "reason", None), *cause.args, cause.__cause__, cause.__context__]
        cause = next((found for found in inner if isinstance(found, BaseException)), None)
