# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules for PVOutput's answers, beside those for HTTP in general, which are in `btcore.web`.

Pure: an answer goes in; nothing, the slots that were not stored, or one of `Retry`, `Reject` and `Stop` comes out.
`btcore.web` needs requests, so this module is imported only when a sink is opened.
"""

import re

from btcore import Reject, Retry
from btcore.light import evolve
from btcore.web import Answer, AnswerRule, Verdict, describe_answer, parse_date, parse_number, raise_for_answer

SERVICE = "PVOutput"

HOUR = 3600.0
"""Seconds over which PVOutput counts requests, and so the longest wait for more."""

SHORTEST_INTERVAL = 300.0
"""Seconds of PVOutput's shortest status interval."""

_FUTURE_ADVICE = "is `zone` the time zone of the system on pvoutput.org, and this computer's clock right?"
_SYSTEM_ADVICE = "check `system_id`, and that `api_key` is of the same account: see the Settings page of pvoutput.org"
_KEY_ADVICE = (
    "check `api_key` and `system_id` against the Settings page of pvoutput.org, and that API Access is enabled there"
)

TOO_OLD = AnswerRule(
    400,
    "older than|too far in the past|too old",
    Verdict.REJECT,
    "PVOutput takes statuses of the last 14 days, of 90 in donation mode",
)

IN_FUTURE = AnswerRule(400, "in the future|future date|too new", Verdict.RETRY, _FUTURE_ADVICE, after=SHORTEST_INTERVAL)

MOON_POWERED = AnswerRule(400, "moon powered", Verdict.REJECT)

TOO_HIGH = AnswerRule(400, "too high|cannot exceed", Verdict.REJECT)

ANSWER_RULES = (
    IN_FUTURE,
    TOO_OLD,
    MOON_POWERED,
    AnswerRule(
        400,
        "lower than previously recorded",
        Verdict.REJECT,
        "a counter fell: was a channel or its direction changed in site.toml that day? The next day begins anew",
    ),
    TOO_HIGH,
    AnswerRule(400, "system ?id|api ?key", Verdict.STOP, _KEY_ADVICE),
    AnswerRule(401, "system", Verdict.STOP, _SYSTEM_ADVICE),
    AnswerRule(401, "", Verdict.STOP, _KEY_ADVICE),
    AnswerRule(403, "read only", Verdict.STOP, "this key may only read: take the other one from the Settings page"),
    AnswerRule(403, "donation", Verdict.STOP, "that needs donation mode"),
    # the requests of the hour are used up, or a proxy refuses
    AnswerRule(403, "", Verdict.RETRY),
    # also while the service is being replaced by a newer version of itself
    AnswerRule(404, "", Verdict.RETRY, "is `url` right?"),
)


class TooOld(Reject):
    """A status is older than PVOutput accepts, and so is every older one."""


class TooNew(Retry):
    """A status is in the future, as PVOutput says."""


class Implausible(Reject):
    """PVOutput refuses a status as implausible: too high, or generated at night."""


class NightGeneration(Implausible):
    """Generation at night, by the zone of the system."""


def refused_slots(answer: Answer) -> set[tuple[str, str]]:
    """Return the slots that PVOutput did not store: none for one status, perhaps some of several.

    Raises Retry (TooNew), Reject (TooOld, Implausible) or Stop where the request was refused.
    """
    answer = normalize(answer)
    try:
        raise_for_answer(answer, ANSWER_RULES, SERVICE)
    except Reject as error:
        kinds = ((TOO_OLD, TooOld), (MOON_POWERED, NightGeneration), (TOO_HIGH, Implausible))
        kind = next((kind for meaning, kind in kinds if meaning.fits(answer)), None)
        raise kind(str(error)) if kind else error from None
    except Retry as error:
        raise TooNew(str(error), after=error.after) if IN_FUTURE.fits(answer) else error from None
    if answer.line.upper().startswith("OK 200"):
        return set()
    results = re.findall(r"(?:^|;)(\d{8}),(\d{1,2}:\d{2}),(\d)", answer.line)
    if not results:
        raise no_answer(answer)
    return {(day, time.zfill(5)) for day, time, result in results if result == "0"}


def no_answer(answer: Answer) -> Retry:
    """Return the error of an answer that is none of PVOutput's."""
    return Retry(f"{describe_answer(answer, SERVICE)}; this is no answer of PVOutput: is `url` right?")


def normalize(answer: Answer) -> Answer:
    """Translate PVOutput's own forms of status and rate limit into those of HTTP.

    A text that names a code (`Bad request 400: ...`) may come with the code of success.
    """
    named = re.match(r"[A-Za-z ]+ (\d{3}):", answer.line)
    wait = seconds_until_reset(answer)
    return evolve(
        answer,
        code=int(named[1]) if named and answer.ok else answer.code,
        headers=answer.headers if wait is None else {**answer.headers, "retry-after": f"{wait:.0f}"},
    )


def requests_left(answer: Answer) -> int | None:
    """Return how many more requests are accepted in this hour; None where the answer does not say."""
    left = parse_number(answer.headers.get("x-rate-limit-remaining", ""))
    return None if left is None else int(left)


def seconds_until_reset(answer: Answer) -> float | None:
    """Return the seconds until requests are accepted again, by the service's own clock.

    None where they are accepted now, or the answer does not say.
    """
    reset, now = parse_number(answer.headers.get("x-rate-limit-reset", "")), parse_date(answer.headers.get("date", ""))
    if requests_left(answer) != 0 or reset is None or now is None:
        return None
    return min(max(reset - now, 1.0), HOUR)
