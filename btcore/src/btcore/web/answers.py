"""What an answer of a service means: a table of codes and words, and the exception that each verdict is.

Pure: no request is made here.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum
from http import HTTPStatus

import attrs

from btcore.errors import Reject, Retry, Stop

MAX_ANSWER_TEXT = 200
"""Characters of an answer that are repeated to a person."""

MAX_WAIT = 86_400.0
"""Seconds: a service that asks for more is asked again after these."""


class Verdict(Enum):
    """What an answer says of what was sent."""

    DELIVERED = "delivered"
    RETRY = "not now"
    REJECT = "never, as it is"
    STOP = "not until a person acts"


_BLANKS = re.compile(r"[\s\x00-\x1f\x7f\ufeff]+")
"""Shown and line breaks of every kind, control characters, and the mark that some servers put before UTF-8."""


@attrs.frozen
class AnswerRule:
    """One row of a service's table: an answer by its code and words, and what it says.

    `code` None fits every code. `words` is a regular expression that is looked for in the answer's body, in either
    case, where all blanks and line breaks between two words are one blank: "" is in every answer, "^$" is an empty one.
    `advice` is for the person who reads the log. `after` is how many seconds the service wants to be left alone, where
    its answer does not say.
    """

    code: int | None
    words: str
    verdict: Verdict
    advice: str = ""
    after: float | None = None

    def fits(self, answer: "Answer") -> bool:
        """Whether the answer is this one."""
        return self.code in (None, answer.code) and re.search(self.words, answer.line, re.IGNORECASE) is not None


STATUS_RULES = (
    AnswerRule(HTTPStatus.UNAUTHORIZED, "", Verdict.STOP, "check the key, token or password in the sink's table"),
    AnswerRule(HTTPStatus.FORBIDDEN, "", Verdict.STOP, "check the key, token or password in the sink's table"),
    AnswerRule(HTTPStatus.BAD_REQUEST, "", Verdict.REJECT),
    AnswerRule(HTTPStatus.NOT_FOUND, "", Verdict.STOP, "there is nothing at that address: check `url`"),
    AnswerRule(HTTPStatus.GONE, "", Verdict.STOP, "what was at that address is gone: check `url`"),
    AnswerRule(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "", Verdict.REJECT),
    AnswerRule(HTTPStatus.UNPROCESSABLE_ENTITY, "", Verdict.REJECT),
)
"""What HTTP's codes mean where a service's own table does not say. Whatever is in neither is tried again later."""


@attrs.frozen
class Answer:
    """What came back: the code, the text fit to be shown, the headers by lower-case name, and the body as it came.

    `text` is shown, `body` is judged: a secret that is redacted out of a text would change what it says. Body and
    headers may repeat what was sent, keys too: neither is shown, in no repr either.
    """

    code: int
    text: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: str = attrs.field(default=attrs.Factory(lambda self: self.text, takes_self=True), repr=False, kw_only=True)

    @property
    def line(self) -> str:
        """The body as one line, for judging: what is between two words, and is not seen, is one blank."""
        return _BLANKS.sub(" ", self.body).strip()

    @property
    def ok(self) -> bool:
        """Whether the code says that it went well."""
        return HTTPStatus.OK <= self.code < HTTPStatus.MULTIPLE_CHOICES

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the service wants to be asked again (RFC 9110: a parse_number, or a date); None: not said."""
        text = self.headers.get("retry-after", "")
        seconds = parse_number(text)
        if seconds is None:
            then, now = parse_date(text), parse_date(self.headers.get("date", ""))
            seconds = None if then is None or now is None else then - now
        return None if seconds is None else _bounded(seconds)


def raise_for_answer(answer: Answer, table: Sequence[AnswerRule], service: str) -> None:
    """Return when the answer says delivered, by the service's table, then by the usual meaning of its code.

    Otherwise raises Retry, with the service's own delay where it names one, Reject or Stop.
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
    """Tell a person what a service answered."""
    return f"{service} answered {answer.code}: {answer.text[:MAX_ANSWER_TEXT] or 'nothing'}"


def parse_number(text: str) -> float | None:
    """Read a whole parse_number of a header; None if it is none."""
    return float(text) if re.fullmatch(r"[0-9]{1,15}", text) else None


def parse_date(text: str) -> float | None:
    """Read an HTTP date as seconds since 1970; None if it is none."""
    try:
        found = parsedate_to_datetime(text)
        # an HTTP date is in GMT; "-0000" says that no zone is known
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):  # whatever that parser stumbles over is no date
        return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 1.0), MAX_WAIT)


def _redirect_advice(answer: Answer) -> str:
    return "it points to another address, which is not followed: check `url`" if "location" in answer.headers else ""
