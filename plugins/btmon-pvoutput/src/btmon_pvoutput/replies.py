"""What PVOutput's answers mean: the table, and reading an answer by it.

Pure: an answer goes in; nothing, the slots that were not stored, or one of `Retry`, `Reject` and `Stop` comes out.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import NoReturn

import attrs

from btcore import Reject, Retry, Stop

HOUR = 3600.0
"""Seconds over which PVOutput counts requests; nobody is waited for longer before asking again."""

SLOT = 300.0
"""Seconds of PVOutput's shortest status interval."""

MOST_WORDS = 200
"""Characters of an answer that are repeated to a person."""


class Verdict(Enum):
    """What is to become of the statuses of a request."""

    LATER = "later"
    WAIT = "when the hour is over"
    SET_ASIDE = "never, as they are"
    STOP = "not until a person acts"


@attrs.frozen
class Meaning:
    """One row of the table: an answer by its code and words (lower case; any, if empty), and what to do."""

    code: int
    words: str
    verdict: Verdict
    advice: str = ""


_KEY = "check api_key and system_id against the Settings page of pvoutput.org, and that API Access is enabled there"
_OLD = "PVOutput takes statuses of the last 14 days, of 90 in donation mode"
_AHEAD = "is this computer's clock right, and `zone` the time zone of the system on pvoutput.org?"
_SIZE = "is the system's size on pvoutput.org right?"

MEANINGS = (
    Meaning(400, "in the future", Verdict.LATER, _AHEAD),
    Meaning(400, "future date", Verdict.LATER, _AHEAD),
    Meaning(400, "too new", Verdict.LATER, _AHEAD),
    Meaning(400, "older than", Verdict.SET_ASIDE, _OLD),
    Meaning(400, "too far in the past", Verdict.SET_ASIDE, _OLD),
    Meaning(400, "too old", Verdict.SET_ASIDE, _OLD),
    Meaning(400, "moon powered", Verdict.SET_ASIDE, "no panel generates at night: is generation_direction right?"),
    Meaning(
        400, "lower than previously recorded", Verdict.SET_ASIDE, "a counter fell: did the meter restart that day?"
    ),
    Meaning(400, "too high", Verdict.SET_ASIDE, _SIZE),
    Meaning(400, "cannot exceed", Verdict.SET_ASIDE, _SIZE),
    Meaning(400, "no statuses added", Verdict.SET_ASIDE),
    Meaning(400, "", Verdict.SET_ASIDE),
    Meaning(401, "", Verdict.STOP, _KEY),
    Meaning(403, "exceeded", Verdict.WAIT),
    Meaning(403, "read only", Verdict.STOP, "this key may only read: take the other one from the Settings page"),
    Meaning(403, "donation", Verdict.STOP, "that needs donation mode"),
    Meaning(413, "", Verdict.SET_ASIDE),
)
"""The first row that fits counts. What fits none may have another cause each time, and is tried again later."""


@attrs.frozen
class Answer:
    """What came back: the code, the text as it is fit to be shown, headers by lower-case name."""

    code: int
    text: str
    headers: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def meant(self) -> int:
        """The code that the text names (`Bad request 400: ...`) where it is not the one that HTTP had."""
        named = re.match(r"[A-Za-z ]+ (\d{3}):", self.text)
        return int(named[1]) if named and self.code < 300 else self.code  # noqa: PLR2004 - HTTP: it went well

    @property
    def until_reset(self) -> float | None:
        """Seconds until requests are counted from zero again, by the service's own clock; None where it is silent."""
        reset, now = _number(self.headers.get("x-rate-limit-reset", "")), _moment(self.headers.get("date", ""))
        return None if reset is None or now is None else min(max(reset - now, 1.0), HOUR)

    @property
    def requests_left(self) -> int | None:
        """How many more requests are taken until the reset; None where it does not say."""
        left = _number(self.headers.get("x-rate-limit-remaining", ""))
        return None if left is None else int(left)

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the service wants to be asked again (RFC 9110: a number of them or a date)."""
        text = self.headers.get("retry-after", "")
        seconds = _number(text)
        if seconds is None:
            then, now = _moment(text), _moment(self.headers.get("date", ""))
            seconds = None if then is None or now is None else then - now
        return None if seconds is None else min(max(seconds, 1.0), HOUR)


def not_stored(answer: Answer) -> set[tuple[str, str]]:
    """Return the slots that PVOutput says it did not store: none of one status, perhaps some of several.

    Raises Retry, Reject or Stop where the request was not accepted.
    """
    if answer.meant != 200:  # noqa: PLR2004 - HTTP: OK
        _refuse(answer)
    if answer.text.upper().startswith("OK 200"):
        return set()
    results = re.findall(r"(?:^|;)(\d{8}),(\d{1,2}:\d{2}),(\d)", answer.text)
    if not results:
        raise Retry(f"{_told(answer)}; that is not how PVOutput answers: is `url` right?")
    return {(day, time.zfill(5)) for day, time, result in results if result == "0"}


def _refuse(answer: Answer) -> NoReturn:
    meaning = _meaning(answer)
    if meaning is None:
        raise Retry(f"{_told(answer)}{_elsewhere(answer)}", after=answer.retry_after)
    why = "; ".join(part for part in (_told(answer), meaning.advice) if part)
    match meaning.verdict:
        case Verdict.LATER:
            raise Retry(why, after=SLOT)
        case Verdict.WAIT:
            raise Retry(why, after=answer.until_reset or answer.retry_after)
        case Verdict.SET_ASIDE:
            raise Reject(why)
        case Verdict.STOP:
            raise Stop(why)


def _meaning(answer: Answer) -> Meaning | None:
    text = answer.text.lower()
    return next((row for row in MEANINGS if row.code == answer.meant and row.words in text), None)


def _told(answer: Answer) -> str:
    return f"PVOutput answered {answer.code}: {answer.text[:MOST_WORDS] or 'nothing'}"


def _elsewhere(answer: Answer) -> str:
    redirects = "location" in answer.headers
    return "; not followed, so that api_key goes nowhere else: is `url` right?" if redirects else ""


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,15}", text) else None


def _moment(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
