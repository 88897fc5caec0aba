# SPDX-License-Identifier: GPL-3.0-or-later
"""Redaction: replaces secrets in texts, so that no log, error or screen shows a key or a password.

The forms in which a secret may appear are listed here once, for the log, the answers of services and the mistakes of a
configuration. Of the modules for these forms, `html` alone would take 350 kB for its table of letters.
"""

import binascii
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

REDACTED = "***"
"""What stands in place of a secret."""

MIN_SECRET_LENGTH = 4
"""The fewest characters of a secret that is redacted: a shorter one would make messages unreadable."""


class Redactor:
    """Replaces secrets in texts, in every form in which they may appear."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Take the secrets; those shorter than `MIN_SECRET_LENGTH` are not redacted."""
        self._forms: list[str] = []
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Take further secrets."""
        known = {form for text in secrets if len(text) >= MIN_SECRET_LENGTH for form in _forms(text)}
        # the longest first: of a key that begins with another key, the rest must not remain
        self._forms = sorted({*self._forms, *known}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return a text without the secrets."""
        for form in self._forms:
            text = text.replace(form, REDACTED)
        return text


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return a text without these secrets."""
    return Redactor(secrets)(text)


def _forms(secret: str) -> Iterator[str]:
    """Yield the forms of a secret: plain, in an address, a form, JSON, XML, a traceback or a header."""
    yield secret
    # a traceback's lines may be indented: each line of a secret is one
    yield from (line for line in re.split(r"[\r\n]+", secret) if len(line.strip()) >= MIN_SECRET_LENGTH)
    yield from (quote(secret, errors="replace"), quote(secret, safe="", errors="replace"))
    yield quote_plus(secret, errors="replace")
    text = secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    quoted = text.replace('"', "&quot;")
    yield from (text, quoted, quoted.replace("'", "&#x27;"))
    yield from (repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    data = secret.encode(errors="replace")
    for before in range(
        3
    ):  # as after a user's name in a header: base64 groups three bytes, so there are three alignments
        first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        encoded = binascii.b2a_base64(bytes(before) + data, newline=False).decode()[first:last]
        yield from (encoded, encoded.replace("+", "-").replace("/", "_"))
