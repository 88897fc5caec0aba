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

    from btmon_pvoutput.sink import PVOutput


def diagnose(sink: PVOutput) -> Iterator[Finding]:
    """Yield what is wrong with the account, or the way to it."""
    try:
        _describe_system(sink)
    except Retry as error:
        advice = "Check the connection to the Internet, and `url`; readings wait meanwhile"
        yield Finding("unreachable", str(error), advice)
    except Stop as error:
        text, _, advice = str(error).rpartition("; ")
        yield Finding("credentials", text or str(error), f"{advice[:1].upper()}{advice[1:]}")
    except Reject:
        return  # it is about this page, which the sink does not need


def _describe_system(sink: PVOutput) -> None:
    """Ask for the description of the system. Raises Retry, Reject or Stop."""
    key = sink.api_key.reveal().strip()
    headers = {"X-Pvoutput-Apikey": key, "X-Pvoutput-SystemId": sink.system_id.strip()}
    client = Client(agent="btmon-pvoutput", timeout=sink.timeout, secrets=[Secret(key)], headers=headers)
    try:
        answer = client.send("GET", f"{address.base_url(sink.url)}getsystem.jsp")
    finally:
        client.close()
    raise_for_answer(normalize(answer), ANSWER_RULES, SERVICE)
