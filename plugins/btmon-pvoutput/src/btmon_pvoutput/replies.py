"""What PVOutput's answers mean: what is its own beside the usual meaning of HTTP, which is in `btcore.web`.

Pure: an answer goes in; nothing, the slots that were not stored, or one of `Retry`, `Reject` and `Stop` comes out.
`btcore.web` needs requests, so this module is imported only when a sink is opened.
"""

import re

import attrs

from btcore import Reject, Retry
from btcore.web import Answer, AnswerRule, Verdict, describe_answer, parse_date, parse_number, raise_for_answer

SERVICE = "PVOutput"

HOUR = 3600.0
"""Seconds over which PVOutput counts requests: no longer is it waited for."""

SLOT = 300.0
"""Seconds of PVOutput's shortest status interval."""

_AHEAD = "is `zone` the time zone of the system on pvoutput.org, and this computer's clock right?"
_SYSTEM = "check `system_id`, and that `api_key` is of the same account: see the Settings page of pvoutput.org"
_KEY = "check `api_key` and `system_id` against the Settings page of pvoutput.org, and that API Access is enabled there"

OLD = AnswerRule(
    400,
    "older than|too far in the past|too old",
    Verdict.REJECT,
    "PVOutput takes statuses of the last 14 days, of 90 in donation mode",
)

AHEAD = AnswerRule(400, "in the future|future date|too new", Verdict.RETRY, _AHEAD, after=SLOT)

NIGHT = AnswerRule(400, "moon powered", Verdict.REJECT)

HIGH = AnswerRule(400, "too high|cannot exceed", Verdict.REJECT)

MEANINGS = (
    AHEAD,
    OLD,
    NIGHT,
    AnswerRule(
        400,
        "lower than previously recorded",
        Verdict.REJECT,
        "a counter fell: was a channel or its direction changed in site.toml that day? The next day begins anew",
    ),
    HIGH,
    AnswerRule(400, "system ?id|api ?key", Verdict.STOP, _KEY),
    AnswerRule(401, "system", Verdict.STOP, _SYSTEM),
    AnswerRule(401, "", Verdict.STOP, _KEY),
    AnswerRule(403, "read only", Verdict.STOP, "this key may only read: take the other one from the Settings page"),
    AnswerRule(403, "donation", Verdict.STOP, "that needs donation mode"),
    # the hour is spent, or somebody on the way has forbidden it
    AnswerRule(403, "", Verdict.RETRY),
    # also while the service is being replaced by a newer version of itself
    AnswerRule(404, "", Verdict.RETRY, "is `url` right?"),
)


class TooOld(Reject):
    """A status is from before what PVOutput takes, as then is every older one."""


class TooNew(Retry):
    """A status is in the future, as PVOutput says."""


class Disbelieved(Reject):
    """PVOutput does not believe what a status says: it is too much, or at night."""


class AtNight(Disbelieved):
    """Generation at what is night by the system's zone."""


def not_stored(answer: Answer) -> set[tuple[str, str]]:
    """Return the slots that PVOutput says it did not store: none of one status, perhaps some of several.

    Raises Retry, of which TooNew is one, Reject, of which TooOld and Disbelieved are some, or Stop where it was not
    accepted.
    """
    answer = as_http(answer)
    try:
        raise_for_answer(answer, MEANINGS, SERVICE)
    except Reject as error:
        kinds = ((OLD, TooOld), (NIGHT, AtNight), (HIGH, Disbelieved))
        kind = next((kind for meaning, kind in kinds if meaning.fits(answer)), None)
        raise kind(str(error)) if kind else error from None
    except Retry as error:
        raise TooNew(str(error), after=error.after) if AHEAD.fits(answer) else error from None
    if answer.line.upper().startswith("OK 200"):
        return set()
    results = re.findall(r"(?:^|;)(\d{8}),(\d{1,2}:\d{2}),(\d)", answer.line)
    if not results:
        raise Retry(f"{describe_answer(answer, SERVICE)}; that is not how PVOutput answers: is `url` right?")
    return {(day, time.zfill(5)) for day, time, result in results if result == "0"}


def as_http(answer: Answer) -> Answer:
    """Say as HTTP does what PVOutput says in its own way: what went wrong, and for how long it takes no more.

    A text that names a code (`Bad request 400: ...`) may come with the code of success.
    """
    named = re.match(r"[A-Za-z ]+ (\d{3}):", answer.line)
    wait = closed_for(answer)
    return attrs.evolve(
        answer,
        code=int(named[1]) if named and answer.ok else answer.code,
        headers=answer.headers if wait is None else {**answer.headers, "retry-after": f"{wait:.0f}"},
    )


def requests_left(answer: Answer) -> int | None:
    """Return how many more requests are taken until they are counted from zero again; None where it is not said."""
    left = parse_number(answer.headers.get("x-rate-limit-remaining", ""))
    return None if left is None else int(left)


def closed_for(answer: Answer) -> float | None:
    """Return the seconds for which no more requests are taken, by the service's own clock.

    None where some are, or it is not said.
    """
    reset, now = parse_number(answer.headers.get("x-rate-limit-reset", "")), parse_date(answer.headers.get("date", ""))
    if requests_left(answer) != 0 or reset is None or now is None:
        return None
    return min(max(reset - now, 1.0), HOUR)
