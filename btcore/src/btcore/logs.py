"""The program's log: to stderr, one line an event, with every secret of the configuration blanked out."""

import base64
import html
import json
import logging
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from urllib.parse import quote, quote_plus

SHORTEST_SECRET = 4
"""A shorter text would blank out half of the log, and protects nothing."""


class Redaction(logging.Formatter):
    """Formats records, and replaces secrets in whatever comes out: message, arguments and traceback."""

    def __init__(self, form: str, secrets: Iterable[str]) -> None:
        """Blank out these texts, and what they look like in an address, in JSON or in a header; the longest first."""
        super().__init__(form)
        known = {way for text in secrets if len(text) >= SHORTEST_SECRET for way in _ways(text)}
        self._secrets = sorted(known, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without secrets; also where a message does not fit its arguments."""
        try:
            return self.redact(super().format(record))
        except Exception as error:  # noqa: BLE001 - a plugin's call; what logging itself would print shows secrets
            record.msg, record.args = f"{record.msg} (not formatted: {type(error).__name__})", ()
            return self.redact(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Return one line: what comes from outside can neither begin another nor steer a terminal."""
        return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", self.redact(super().formatMessage(record)))

    def redact(self, text: str) -> str:
        """Return a text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _ways(secret: str) -> Iterator[str]:
    """Yield how a secret may be written in a log."""
    yield secret
    yield from (quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret))
    yield from (repr(secret)[1:-1], json.dumps(secret)[1:-1])
    data = secret.encode()
    for before in range(3):  # as in a header that has the user's name before it: three ways to fall on base64's groups
        first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + data).decode()[first:last]


def set_up(*, verbose: bool = False, quiet: bool = False, secrets: Iterable[str] = ()) -> Redaction:
    """Send the log of the program and its plugins to stderr; return what blanks out secrets, for other texts."""
    form = Redaction("%(asctime)s %(levelname)-7s %(name)s: %(message)s", secrets)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(form)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    # what would go to stderr by itself goes through the log, so that it shows no secret either
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    return form


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is None or issubclass(kind, KeyboardInterrupt):
        return
    exc_info = (kind, error, trace)
    logging.getLogger("btcore").critical("unexpected failure: this is a fault of the program", exc_info=exc_info)
