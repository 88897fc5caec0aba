# SPDX-License-Identifier: GPL-3.0-or-later
"""What the answers of a service mean: rules by code and text, and the exception for each verdict.

Pure: no request is made here.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum
from http import HTTPStatus

from btcore.classes import field, frozen
from btcore.errors import Reject, Retry, Stop

MAX_ANSWER_TEXT = 200
"""The most characters of an answer that a message shows."""

MAX_WAIT = 86_400.0
"""The most seconds that a service can ask to wait."""


class Verdict(Enum):
    """What an answer means for the data that was sent."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REJECT = "reject"
    STOP = "stop"


_BLANKS = re.compile(r"[\s\x00-\x1f\x7f\ufeff]+")
"""Spaces and line breaks of every kind, control characters, and the byte order mark of some servers."""


@frozen
class AnswerRule:
    """One rule of a service: what an answer with this code and text means.

    `code` None fits every code. `pattern` is a regular expression that is searched for in the body, without regard to
    case and with every run of spaces and line breaks as one space: "" fits every answer, "^$" an empty one. `advice`
    is for the person who reads the log. `after` is the wait in seconds if the answer does not give one.
    """

    code: int | None
    pattern: str
    verdict: Verdict
    advice: str = ""
    after: float | None = None

    def fits(self, answer: "Answer") -> bool:
        """Whether the rule fits an answer."""
        return self.code in (None, answer.code) and re.search(self.pattern, answer.line, re.IGNORECASE) is not None


STATUS_RULES = (
    AnswerRule(HTTPStatus.UNAUTHORIZED, "", Verdict.STOP, "check the key, token or password in the sink's table"),
    AnswerRule(HTTPStatus.FORBIDDEN, "", Verdict.STOP, "check the key, token or password in the sink's table"),
    AnswerRule(HTTPStatus.BAD_REQUEST, "", Verdict.REJECT),
    AnswerRule(HTTPStatus.NOT_FOUND, "", Verdict.STOP, "no such address: check `url`"),
    AnswerRule(HTTPStatus.GONE, "", Verdict.STOP, "the address no longer exists: check `url`"),
    AnswerRule(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "", Verdict.REJECT),
    AnswerRule(HTTPStatus.UNPROCESSABLE_ENTITY, "", Verdict.REJECT),
)
"""What HTTP's codes mean if no rule of the service fits. An answer that no rule fits means RETRY."""


@frozen
class Answer:
    """An answer: the code, the text to show, the headers by lower-case name, and the body as it was received.

    `text` is shown, `body` is judged: redacting a secret may change what a text means. Body and headers may repeat
    what was sent, keys too, so they are never shown, not even in a repr.
    """

    code: int
    text: str
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: str = field(repr=False, kw_only=True)

    @body.default
    def _text(self) -> str:
        return self.text

    @property
    def line(self) -> str:
        """The body as one line, for judging: every run of spaces and line breaks is one space."""
        return _BLANKS.sub(" ", self.body).strip()

    @property
    def ok(self) -> bool:
        """Whether the code is one of success."""
        return HTTPStatus.OK <= self.code < HTTPStatus.MULTIPLE_CHOICES

    @property
    def retry_after(self) -> float | None:
        """The seconds that the service asks to wait (RFC 9110: a number, or a date); None if it does not."""
        text = self.headers.get("retry-after", "")
        seconds = parse_number(text)
        if seconds is None:
            then, now = parse_date(text), parse_date(self.headers.get("date", ""))
            seconds = None if then is None or now is None else then - now
        return None if seconds is None else _bounded(seconds)


def raise_for_answer(answer: Answer, table: Sequence[AnswerRule], service: str) -> None:
    """Return if the answer means delivered, by the service's rules, else by those of HTTP.

    Otherwise raises Retry, with the delay that the service asks for, Reject or Stop.
    """
    rule = next((rule for rule in (*table, *STATUS_RULES) if rule.fits(answer)), None)
    verdict = rule.verdict if rule else Verdict.DELIVERED if answer.ok else Verdict.RETRY
    if verdict is Verdict.DELIVERED:
        return
    why = "; ".join(
        part for part in (describe_answer(answer, service), rule.advice if rule else _redirect_advice(answer)) if part
    )
    if verdict is Verdict.REJECT:
        raise Reject(why)
    if verdict is Verdict.STOP:
        raise Stop(why)
    usual = rule.after if rule else None
    raise Retry(why, after=answer.retry_after or (None if usual is None else _bounded(usual)))


def describe_answer(answer: Answer, service: str) -> str:
    """Return the answer of a service as a person reads it."""
    return f"{service} answered {answer.code}: {answer.text[:MAX_ANSWER_TEXT] or 'nothing'}"


def parse_number(text: str) -> float | None:
    """Read a whole number of a header; None if it is not one."""
    return float(text) if re.fullmatch(r"[0-9]{1,15}", text) else None


def parse_date(text: str) -> float | None:
    """Read an HTTP date as seconds since 1970; None if it is not one."""
    try:
        found = parsedate_to_datetime(text)
        # an HTTP date is in GMT; "-0000" says that no zone is known
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):  # what the parser cannot read is not a date
        return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 1.0), MAX_WAIT)


def _redirect_advice(answer: Answer) -> str:
    return "it redirects to another address, which is not followed: check `url`" if "location" in answer.headers else ""
