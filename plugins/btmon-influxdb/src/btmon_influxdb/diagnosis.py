# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the server takes what is written: a request without a point, by which nothing is stored.

A server looks at user, rights and database before it looks at the points. VictoriaMetrics and InfluxDB 1.x take an
empty request, 2.x and 3.x answer 400 to it: both mean that all is well.
"""

from collections.abc import Iterator
from contextlib import suppress

from btcore import Finding, Reject, Retry, Stop
from btcore.web import Answer, Client
from btmon_influxdb.writer import REFUSED, Target, create_database


def diagnose(target: Target, client: Client) -> Iterator[Finding]:
    """Yield what is wrong with the account, the database, or the way to the server."""
    try:
        yield from _diagnose(target, client)
    finally:
        client.close()


def _diagnose(target: Target, client: Client) -> Iterator[Finding]:
    code = "unreachable"
    try:
        answer = target.write(client, b"")
        code = "credentials" if answer.code in REFUSED else "sink-database"
        _check(target, answer)
    except Retry as error:
        advice = "Check `url`, and that the server runs and may be reached; readings wait meanwhile"
        yield Finding("unreachable", str(error), advice)
    except Stop as error:
        text, _, advice = str(error).rpartition("; ")
        yield Finding(code, text or str(error), f"{advice[:1].upper()}{advice[1:]}")


def create_if_missing(target: Target, client: Client) -> list[str]:
    """Create the database if it is missing; return what was created. Raises Retry or Stop."""
    if _check(target, target.write(client, b"")):
        return []
    create_database(target, client)
    return [f"created {target} at {target.url}"]


def _check(target: Target, answer: Answer) -> bool:
    """Return whether there is a database; one that is missing can be created. Raises Retry or Stop."""
    if target.lacks_database(answer):
        return False
    with suppress(Reject):  # of a request without a point
        target.raise_for_answer(answer)
    return True
