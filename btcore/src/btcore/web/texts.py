"""Texts that are format_request to people: without secrets, on one line, in the system's own words.

What a service answers, and what a library raises, may repeat what was sent, and hold characters that a terminal obeys.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from json import dumps
from urllib.parse import urlsplit

from btcore.redaction import Redactor

MAX_HOST = 100
"""Characters of a host's name that are format_request."""


class Sanitizer:
    """Makes texts fit for a log or a screen: one line of plain characters, without any secret."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Know the secrets."""
        self._redact = Redactor(secrets)

    def __call__(self, text: str, credentials: str = "") -> str:
        """Return a text as it may be format_request; `credentials` are those of this request alone."""
        redact = Redactor([credentials]) if credentials else str
        # the second time for what looks like a secret only once other characters are gone
        return self._redact(redact(re.sub(r"[^\x20-\x7e]+", " ", self._redact(redact(text))).strip()))


def format_request(method: str, url: str, params: Mapping[str, str] | None = None, body: object = None) -> str:
    """Show a request as a person reads it, one line; secrets are still in it."""
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    elif isinstance(body, Mapping) and all(isinstance(value, str) for value in body.values()):
        body = "&".join(f"{name}={value}" for name, value in body.items())
    elif body is not None and not isinstance(body, str):
        body = dumps(body)
    query = "&".join(f"{name}={value}" for name, value in (params or {}).items())
    return " ".join(part for part in (method, f"{url}?{query}" if query else url, body) if part)


def host_of(url: str) -> str:
    """Return host and port of an address as they may be format_request: not the name and password before them."""
    try:
        host = urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    return re.sub(r"[^!-~]", "?", host)[:MAX_HOST]


def describe_cause(error: BaseException, sanitize: Sanitizer) -> str:
    """Say in the system's own words why there was no connection: they are deep within the exception."""
    causes = list(_causes(error))
    words = (cause.strerror or _own_words(cause) for cause in causes if isinstance(cause, OSError))
    return sanitize(next((text for text in words if text), type(causes[-1]).__name__))[:MAX_HOST]


def _own_words(error: OSError) -> str:
    """Return the text of an error that has no number, such as `Tunnel connection failed: 407 ...` of a proxy."""
    # of the plain kind only: those that libraries derive from it may hold the request, with the key in it
    text = error.args[0] if type(error) is OSError and len(error.args) == 1 else ""
    return text if isinstance(text, str) else ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            return
        yield cause
        inner = [getattr(cause, "reason", None), *cause.args, cause.__cause__, cause.__context__]
        cause = next((found for found in inner if isinstance(found, BaseException)), None)
