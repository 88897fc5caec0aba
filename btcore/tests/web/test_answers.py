# SPDX-License-Identifier: GPL-3.0-or-later
"""What an answer of a service means: delivered, refused, to be tried again, or a matter for a person."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from helpers.property_tests import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import Reject, Retry, Stop
from btcore.web import MAX_WAIT, Answer, AnswerRule, Verdict, describe_answer, raise_for_answer


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (200, None),
        (202, None),
        (204, None),
        (301, Retry),
        (400, Reject),
        (401, Stop),
        (403, Stop),
        (404, Stop),
        (408, Retry),
        (410, Stop),
        (413, Reject),
        (418, Retry),
        (422, Reject),
        (429, Retry),
        (500, Retry),
        (503, Retry),
    ],
)
def test_codes_mean_what_they_usually_mean(code: int, error: type[Exception] | None) -> None:
    """Delivered, never as it is, not until a person acts; all else is tried again."""
    if error is None:
        raise_for_answer(Answer(code, "text"), (), "It")
        return
    with pytest.raises(error, match=f"^It answered {code}: text"):
        raise_for_answer(Answer(code, "text"), (), "It")


def test_a_service_s_own_table_goes_first_and_its_first_row_counts() -> None:
    """HTTP 200 may be an error, and 404 a success."""
    table = (
        AnswerRule(200, "^ok$", Verdict.DELIVERED),
        AnswerRule(200, "^$", Verdict.STOP, "check token"),
        AnswerRule(200, "bad|wrong", Verdict.REJECT),
        AnswerRule(None, "quota", Verdict.RETRY, "the account is full", after=3600.0),
        AnswerRule(200, "", Verdict.RETRY),
        AnswerRule(404, "", Verdict.DELIVERED),
    )
    raise_for_answer(Answer(200, "OK"), table, "It")
    raise_for_answer(Answer(404, "no"), table, "It")
    with pytest.raises(Stop, match=r"^It answered 200: nothing; check token$"):
        raise_for_answer(Answer(200, ""), table, "It")
    with pytest.raises(Reject, match=r"^It answered 200: a BAD row$"):
        raise_for_answer(Answer(200, "a BAD row"), table, "It")
    with pytest.raises(Retry, match=r"^It answered 403: quota; the account is full$") as error:
        raise_for_answer(Answer(403, "quota"), table, "It")
    assert error.value.after == 3600.0
    with pytest.raises(Retry):
        raise_for_answer(Answer(200, "not ok"), table, "It")


def _later(seconds: float) -> str:
    return format_datetime(datetime(2024, 6, 1, 12, tzinfo=UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120.0),
        ("0", 1.0),
        (_later(90), 90.0),
        (_later(-90), 1.0),
        ("9" * 15, MAX_WAIT),
        ("9" * 400, None),
        (_later(10**8), MAX_WAIT),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
    ],
)
def test_the_service_s_own_delay_is_kept_within_reason(said: str, seconds: float | None) -> None:
    """A number of seconds or a date, by the service's own clock; nonsense is no delay, and none is for ever."""
    answer = Answer(503, "", {"retry-after": said, "date": _later(0)})
    with pytest.raises(Retry) as error:
        raise_for_answer(answer, (), "It")
    assert error.value.after == seconds


def test_the_service_s_own_delay_goes_before_the_table_s() -> None:
    """The table's is for answers that name none."""
    table = (AnswerRule(429, "", Verdict.RETRY, after=15.0),)
    for headers, after in (({"retry-after": "40"}, 40.0), ({}, 15.0)):
        with pytest.raises(Retry) as error:
            raise_for_answer(Answer(429, "", headers), table, "It")
        assert error.value.after == after


def test_a_long_answer_is_told_in_part() -> None:
    """A page of HTML does not fill the log."""
    assert describe_answer(Answer(500, "x" * 1000), "It") == f"It answered 500: {'x' * 200}"


HEADERS = st.one_of(
    st.text(max_size=40), st.from_regex(r"[A-Z][a-z]{2}, ?[-+0-9]{1,6} ?[A-Z][a-z]{2} [-0-9: +A-Z]{0,30}")
)


@settings(max_examples=examples(60), deadline=None)
@given(said=HEADERS, date=HEADERS)
def test_whatever_a_service_says_of_a_delay_it_is_one_within_reason_or_none(said: str, date: str) -> None:
    """No text of a header raises, and none asks for longer than a day."""
    after = Answer(503, "", {"retry-after": said, "date": date}).retry_after
    assert after is None or 1.0 <= after <= MAX_WAIT


def test_a_table_s_own_delay_has_the_same_bound() -> None:
    """Whoever wrote it."""
    with pytest.raises(Retry) as error:
        raise_for_answer(Answer(429, ""), (AnswerRule(429, "", Verdict.RETRY, after=10**9),), "It")
    assert error.value.after == MAX_WAIT
