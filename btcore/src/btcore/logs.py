"""The program's log: to stderr, one line an event, with every secret of the configuration blanked out."""

import logging
import sys
from collections.abc import Iterable

SHORTEST_SECRET = 4
"""A shorter text would blank out half of the log, and protects nothing."""


class Redaction(logging.Formatter):
    """Formats records, and replaces secrets in whatever comes out: message, arguments and traceback."""

    def __init__(self, form: str, secrets: Iterable[str]) -> None:
        """Blank out these texts, the longest first."""
        super().__init__(form)
        self._secrets = sorted({s for s in secrets if len(s) >= SHORTEST_SECRET}, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without secrets."""
        return self.redact(super().format(record))

    def redact(self, text: str) -> str:
        """Return a text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def set_up(*, verbose: bool = False, quiet: bool = False, secrets: Iterable[str] = ()) -> Redaction:
    """Send the log of the program and its plugins to stderr; return what blanks out secrets, for other texts."""
    form = Redaction("%(asctime)s %(levelname)-7s %(name)s: %(message)s", secrets)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(form)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    return form
