"""Talking to a hosted service over HTTP, for plugins that upload: bounded, timed, redacted, and classified by a table.

Public, as `btcore` itself: `from btcore.web import Client, Meaning, Verdict`. It needs the package requests, which a
plugin gets by depending on `btcore[web]`; nothing else of the core imports it. What is sent, and what a service's
answers mean, is the plugin's own.
"""

import logging
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.utils import formatdate, parsedate_to_datetime
from enum import Enum
from http import HTTPStatus
from json import dumps
from urllib.parse import quote, quote_plus, urlsplit
from xml.sax.saxutils import escape, quoteattr

import attrs
import requests
from requests.auth import AuthBase, HTTPBasicAuth
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema
from urllib3.exceptions import HTTPError

from btcore.errors import Reject, Retry, Stop
from btcore.settings import Secret
from btcore.version import __version__

# at debug level it logs whole addresses, with whatever key is in them
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)

MOST_BYTES = 65_536
"""Of an answer's body that is read; the longest that any service is known to send is a few kilobytes."""

MOST_WORDS = 200
"""Characters of an answer that are repeated to a person."""

LONGEST_WAIT = 86_400.0
"""Seconds: a service that asks for more is asked again after these."""


class Verdict(Enum):
    """What an answer says of what was sent."""

    DELIVERED = "delivered"
    LATER = "not now"
    REJECTED = "never, as it is"
    STOP = "not until a person acts"


@attrs.frozen
class Meaning:
    """One row of a service's table: an answer by its code and words, and what it says.

    `code` None fits every code. `words` is a regular expression that is looked for in the text, in either case: "" is
    in every answer, "^$" is an empty one. `advice` is for the person who reads the log. `after` is how many seconds the
    service wants to be left alone, where its answer does not say.
    """

    code: int | None
    words: str
    verdict: Verdict
    advice: str = ""
    after: float | None = None

    def fits(self, answer: "Answer") -> bool:
        """Whether the answer is this one."""
        return self.code in (None, answer.code) and re.search(self.words, answer.text, re.IGNORECASE) is not None


USUAL = (
    Meaning(HTTPStatus.UNAUTHORIZED, "", Verdict.STOP, "check the key, token or password in the sink's table"),
    Meaning(HTTPStatus.FORBIDDEN, "", Verdict.STOP, "check the key, token or password in the sink's table"),
    Meaning(HTTPStatus.BAD_REQUEST, "", Verdict.REJECTED),
    Meaning(HTTPStatus.NOT_FOUND, "", Verdict.STOP, "there is nothing at that address: check `url`"),
    Meaning(HTTPStatus.GONE, "", Verdict.STOP, "what was at that address is gone: check `url`"),
    Meaning(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "", Verdict.REJECTED),
    Meaning(HTTPStatus.UNPROCESSABLE_ENTITY, "", Verdict.REJECTED),
)
"""What HTTP's codes mean where a service's own table does not say. Whatever is in neither is tried again later."""


@attrs.frozen
class Answer:
    """What came back: the code, the text fit to be shown, and the headers by lower-case name."""

    code: int
    text: str
    headers: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the code says that it went well."""
        return HTTPStatus.OK <= self.code < HTTPStatus.MULTIPLE_CHOICES

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the service wants to be asked again (RFC 9110: a number, or a date); None: not said."""
        text = self.headers.get("retry-after", "")
        seconds = number(text)
        if seconds is None:
            then, now = moment(text), moment(self.headers.get("date", ""))
            seconds = None if then is None or now is None else then - now
        return None if seconds is None else min(max(seconds, 1.0), LONGEST_WAIT)


class Client:
    """One service over HTTP. One connection is kept; redirects are not followed, so that a key goes nowhere else."""

    def __init__(
        self, *, agent: str, timeout: float, secrets: Iterable[Secret] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        """Prepare; nothing is sent. `agent` names the plugin, `timeout` is seconds, `headers` go with every request.

        `secrets` are blanked out of every text that comes back, as an answer may repeat what it was sent.
        """
        self._timeout = timeout
        self._secrets = sorted({form for secret in secrets for form in _forms(secret.reveal())}, key=len, reverse=True)
        self._session = requests.Session()
        self._session.auth = _unchanged  # else requests sends what ~/.netrc has for the host
        usual = {"User-Agent": f"btcore/{__version__} {agent}", "Accept-Encoding": "identity"}
        self._session.headers.update(_written({**usual, **(headers or {})}))

    def send(
        self,
        method: str,
        url: str,
        *,
        data: bytes | str | Mapping[str, str] | None = None,
        json: object = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: AuthBase | tuple[str, str] | None = None,
    ) -> Answer:
        """Send one request; return the answer, whatever its code. Raises Retry when none came in time."""
        host = urlsplit(url).netloc.rpartition("@")[2]
        # "from None": what requests raises holds the request, with the key in it
        try:
            with self._session.request(
                method,
                url,
                data=data.encode() if isinstance(data, str) else data,
                json=json,
                params=params,
                headers=_written(headers),
                auth=HTTPBasicAuth(*(text.encode() for text in auth)) if isinstance(auth, tuple) else auth,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                found = {"date": formatdate(usegmt=True)}  # RFC 9110: an answer without a date is of now
                found.update((name.lower(), value) for name, value in response.headers.items())
                text = self._body(response).decode(errors="replace")
                return Answer(response.status_code, self.blanked(text, _credentials(response.request)), found)
        except requests.Timeout:
            raise Retry(f"{host} did not answer within {self._timeout:g} s") from None
        except (InvalidURL, InvalidSchema, MissingSchema):
            raise Stop(f"nothing can be sent to {host or 'an address without a host'}: check `url`") from None
        except (requests.RequestException, HTTPError) as error:
            raise Retry(f"no answer from {host}: {_reason(error)}") from None

    def close(self) -> None:
        """Give the connection back."""
        self._session.close()

    def _body(self, response: requests.Response) -> bytes:
        """Read what one may expect, in time: a server that sends single bytes for ever must not hold the sink."""
        deadline = time.monotonic() + self._timeout
        body = bytearray()
        for byte in response.iter_content(1):  # a larger read would wait until it is full
            body += byte
            if len(body) >= MOST_BYTES or time.monotonic() > deadline:
                break
        return bytes(body)

    def blanked(self, text: str, credentials: str = "") -> str:
        """Make a text fit for a log or a screen: one line of plain characters, without any secret."""
        forms = (*([credentials] if credentials else []), *self._secrets)
        # the second time for what looks like a secret only once other characters are gone
        return _blank(re.sub(r"[^\x20-\x7e]+", " ", _blank(text, forms)).strip(), forms)


def _blank(text: str, forms: Iterable[str]) -> str:
    for form in forms:
        text = text.replace(form, "***")
    return text


def judge(answer: Answer, table: Sequence[Meaning], service: str) -> None:
    """Return when the answer says delivered, by the service's table, then by the usual meaning of its code.

    Otherwise raises Retry, with the service's own delay where it names one, Reject or Stop.
    """
    meaning = next((row for row in (*table, *USUAL) if row.fits(answer)), None)
    verdict = meaning.verdict if meaning else Verdict.DELIVERED if answer.ok else Verdict.LATER
    if verdict is Verdict.DELIVERED:
        return
    why = "; ".join(part for part in (told(answer, service), meaning.advice if meaning else _elsewhere(answer)) if part)
    if verdict is Verdict.REJECTED:
        raise Reject(why)
    if verdict is Verdict.STOP:
        raise Stop(why)
    raise Retry(why, after=answer.retry_after or (meaning.after if meaning else None))


def told(answer: Answer, service: str) -> str:
    """Tell a person what a service answered."""
    return f"{service} answered {answer.code}: {answer.text[:MOST_WORDS] or 'nothing'}"


def number(text: str) -> float | None:
    """Read a whole number of a header; None if it is none."""
    return float(text) if re.fullmatch(r"\d{1,15}", text) else None


def moment(text: str) -> float | None:
    """Read an HTTP date as seconds since 1970; None if it is none."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def shown(method: str, url: str, params: Mapping[str, str] | None = None, body: object = None) -> str:
    """Show a request as a person reads it, one line; secrets are still in it."""
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    elif isinstance(body, Mapping) and all(isinstance(value, str) for value in body.values()):
        body = "&".join(f"{name}={value}" for name, value in body.items())
    elif body is not None and not isinstance(body, str):
        body = dumps(body)
    query = "&".join(f"{name}={value}" for name, value in (params or {}).items())
    return " ".join(part for part in (method, f"{url}?{query}" if query else url, body) if part)


def address_fault(url: str) -> str:
    """Tell what is wrong with the address of a service, "" when nothing is."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port == 0 or parts.scheme not in ("http", "https") or re.search(r"[^!-~]", url):
        return "expected an address such as https://example.com/path"
    return "expected an address without a name and password in it" if "@" in parts.netloc else ""


def secret_fault(secret: Secret) -> str:
    """Tell what is wrong with a key, token or password, "" when nothing is; never what it is."""
    text = secret.reveal()
    if not text.strip():
        return "is empty"
    return (
        "" if text.isprintable() and text == text.strip() else "expected no blanks around it, and no line breaks in it"
    )


def _written(headers: Mapping[str, str] | None) -> dict[str, bytes]:
    """Write headers in UTF-8: left to itself, requests takes Latin-1, and fails at letters that it lacks."""
    return {name: text.encode() for name, text in (headers or {}).items()}


def _credentials(sent: requests.PreparedRequest) -> str:
    """Return name and password as they were sent: in a form that anybody can read."""
    header = sent.headers.get("Authorization")
    return header.rpartition(" ")[2] if isinstance(header, str) else ""


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _forms(secret: str) -> Iterator[str]:
    """Yield how a secret may look in an address, a form, JSON or XML."""
    if secret:
        yield from (secret, quote(secret, safe=""), quote_plus(secret), escape(secret), quoteattr(secret)[1:-1])
        yield from (dumps(secret)[1:-1], dumps(secret, ensure_ascii=False)[1:-1])


def _elsewhere(answer: Answer) -> str:
    return "it points to another address, which is not followed: check `url`" if "location" in answer.headers else ""


def _reason(error: BaseException) -> str:
    """Say in the system's own words why there was no connection: they are deep within the exception."""
    causes = list(_causes(error))
    words = (cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror)
    return next(words, type(causes[-1]).__name__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            return
        yield cause
        inner = [getattr(cause, "reason", None), *cause.args, cause.__cause__, cause.__context__]
        cause = next((found for found in inner if isinstance(found, BaseException)), None)
