# SPDX-License-Identifier: GPL-3.0-or-later
"""What PVOutput has of a day: the answer of getstatus.jsp, and whether a status is among it.

Pure. The day is asked for in `client.py`.
"""

import re
from collections.abc import Mapping

from btcore import Reject
from btcore.web import Answer, AnswerRule, Verdict, raise_for_answer
from btmon_pvoutput.answers import ANSWER_RULES, SERVICE, no_answer, normalize
from btmon_pvoutput.status import REQUIRED_FIELDS, Status

MAX_ROWS = 288
"""Statuses of a day that one answer can have: one in five minutes."""

NO_STATUS = AnswerRule(400, "no status", Verdict.REJECT)

Slot = tuple[str, str]

Day = Mapping[Slot, frozenset[str]]
"""The slots of a day that have a status, and which of the fields v1 to v4 are known of each."""

COLUMNS = {2: "v1", 4: "v2", 7: "v3", 8: "v4"}
"""Columns of a row of the history: Wh and W that were generated, and that were consumed."""

ROW = re.compile(r"\d{8},\d{1,2}:\d{2}(,[^,;]*){7,}")


def query(day: str) -> dict[str, str]:
    """Return the parameters that ask for all statuses of a day (yyyymmdd)."""
    return {"d": day, "h": "1", "asc": "1", "limit": str(MAX_ROWS)}


def read_day(answer: Answer) -> Day:
    """Return what PVOutput has of a day. Raises Retry, Reject or Stop."""
    answer = normalize(answer)
    try:
        raise_for_answer(answer, ANSWER_RULES, SERVICE)
    except Reject:
        if NO_STATUS.fits(answer):
            return {}
        raise
    rows = [row for row in answer.line.split(";") if row]
    if not all(ROW.fullmatch(row) for row in rows):
        raise no_answer(answer)
    return dict(_read_row(row.split(",")) for row in rows)


def _read_row(row: list[str]) -> tuple[Slot, frozenset[str]]:
    known = frozenset(name for at, name in COLUMNS.items() if _is_number(row[at]))
    return (row[0], row[1].zfill(5)), known


def _is_number(text: str) -> bool:
    """Whether a column is known: PVOutput writes NaN for what is not."""
    return bool(re.fullmatch(r"-?\d+(\.\d+)?", text))


def is_stored(status: Status, day: Day) -> bool:
    """Whether a day has a status, with all of its fields from v1 to v4."""
    return status.slot in day and status.values.keys() & REQUIRED_FIELDS <= day[status.slot]
