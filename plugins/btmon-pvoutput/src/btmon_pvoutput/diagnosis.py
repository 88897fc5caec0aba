# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether PVOutput takes the credentials: one request, in which no data is sent.

The page getsystem.jsp describes the system; the request counts among those of the hour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from btcore import Finding, Reject, Retry, Secret, Stop
from btcore.web import Client, raise_for_answer
from btmon_pvoutput import address
from btmon_pvoutput.answers import ANSWER_RULES, SERVICE, normalize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from btcore.web import Answer
    from btmon_pvoutput.sink import PVOutput

USED_UP = 403
"""With a reason that is none of the account's: the requests of this hour are used up."""


def diagnose(sink: PVOutput) -> Iterator[Finding]:
    """Yield what is wrong with the account, or the way to it."""
    try:
        _raise_for_system(_ask_for_system(sink))
    except Retry as error:
        advice = "Check the connection to the Internet, and `url`; readings wait meanwhile"
        yield Finding("unreachable", str(error), advice)
    except Stop as error:
        text, _, advice = str(error).rpartition("; ")
        yield Finding("credentials", text or str(error), f"{advice[:1].upper()}{advice[1:]}")


def _ask_for_system(sink: PVOutput) -> Answer:
    """Ask for the description of the system. Raises Retry or Stop where there is no answer."""
    key = sink.api_key.reveal().strip()
    headers = {"X-Pvoutput-Apikey": key, "X-Pvoutput-SystemId": sink.system_id.strip()}
    client = Client(agent="btmon-pvoutput", timeout=sink.timeout, secrets=[Secret(key)], headers=headers)
    try:
        return client.send("GET", f"{address.base_url(sink.url)}getsystem.jsp")
    finally:
        client.close()


def _raise_for_system(answer: Answer) -> None:
    """Raise Retry for an answer that is none of PVOutput's, Stop for one that refuses the account."""
    answer = normalize(answer)
    try:
        raise_for_answer(answer, ANSWER_RULES, SERVICE)
    except Reject:
        return  # it is about this page, which the sink does not need
    except Retry:
        if answer.code != USED_UP:
            raise
