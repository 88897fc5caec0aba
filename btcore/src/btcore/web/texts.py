# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts for people: on one line, without secrets, in the system's own words.

An answer, and an exception of a library, may repeat what was sent, and contain control characters.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from json import dumps
from urllib.parse import urlsplit

from btcore.redaction import Redactor

MAX_HOST = 100
"""The most characters of a host's name, or of a cause, that a message shows."""


class Sanitizer:
    """Makes texts fit for a log or a screen: one line of plain characters, with secrets redacted."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Take the secrets."""
        self._redact = Redactor(secrets)

    def __call__(self, text: str, credentials: str = "") -> str:
        """Return a text that may be shown; `credentials` are the secrets of this request only."""
        redact = Redactor([credentials]) if credentials else str
        # redacted again: without the other characters, more may equal a secret
        return self._redact(redact(re.sub(r"[^\x20-\x7e]+", " ", self._redact(redact(text))).strip()))


def format_request(method: str, url: str, params: Mapping[str, str] | None = None, body: object = None) -> str:
    """Return a request as one line for people; secrets are not redacted."""
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    elif isinstance(body, Mapping) and all(isinstance(value, str) for value in body.values()):
        body = "&".join(f"{name}={value}" for name, value in body.items())
    elif body is not None and not isinstance(body, str):
        body = dumps(body)
    query = "&".join(f"{name}={value}" for name, value in (params or {}).items())
    return " ".join(part for part in (method, f"{url}?{query}" if query else url, body) if part)


def host_of(url: str) -> str:
    """Return host and port of an address, without the user name and password."""
    try:
        host = urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    return re.sub(r"[^!-~]", "?", host)[:MAX_HOST]


def describe_cause(error: BaseException, sanitize: Sanitizer) -> str:
    """Return why there was no connection, in the system's words, which are deep inside the exception."""
    causes = list(_causes(error))
    words = (cause.strerror or _own_words(cause) for cause in causes if isinstance(cause, OSError))
    return sanitize(next((text for text in words if text), type(causes[-1]).__name__))[:MAX_HOST]


def _own_words(error: OSError) -> str:
    """Return the text of an error that has no number, such as `Tunnel connection failed: 407 ...` of a proxy."""
    # only of OSError itself: subclasses in libraries may contain the request, with the key in it
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
