# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between the servers: addresses, names of parameters, how a token is sent, what their answers mean.

Facts: the servers' own documentation, and what InfluxDB 1.6 and VictoriaMetrics 1.79 answered.
"""

import json
import re
from collections.abc import Mapping
from typing import Literal

import attrs

from btcore.web import Answer, AnswerRule, Verdict

Kind = Literal["influxdb-1", "influxdb-2", "influxdb-3", "victoriametrics"]

LASTING = (
    AnswerRule(
        None,
        "field type conflict|invalid column type",
        Verdict.STOP,
        "another program has written this measurement with other types: set another `measurement`",
    ),
    AnswerRule(
        None,
        "max-series-per-database|max-values-per-tag",
        Verdict.STOP,
        "the server takes no more series: raise this limit in its configuration, or write to another database",
    ),
)
"""Reasons to drop a point that are true of all later points as well."""

ANSWERS = (
    *LASTING,
    AnswerRule(200, r"\S", Verdict.RETRY, "that is no answer of a database: is `url` right?"),
    AnswerRule(404, "bucket", Verdict.STOP, "create the bucket, or correct `bucket`"),
    AnswerRule(404, "organi[sz]ation", Verdict.STOP, "correct `org`"),
    AnswerRule(404, "", Verdict.STOP, "there is no such page: check `url` and `server`"),
    AnswerRule(405, "", Verdict.STOP, "there is no such page: check `url` and `server`"),
    AnswerRule(400, "https server|to https port", Verdict.STOP, "`url` has to begin with https"),
    AnswerRule(400, "unsupported path", Verdict.STOP, 'check `server`: VictoriaMetrics is "victoriametrics"'),
)
"""What an answer to a write means, where it is not HTTP's usual meaning."""

TLS_FAULTS = {
    "CERTIFICATE_VERIFY_FAILED": "name the server as its certificate does, and as `ssl_ca` who vouches for that",
    "WRONG_VERSION_NUMBER": "it speaks no https: is `url` right?",
}
"""What to do where there is no connection for one of these reasons."""

NO_DATABASE = AnswerRule(404, "database not found", Verdict.STOP)

PARTIAL = re.compile(r"partial write: (?!unable to parse)(?P<why>.+?) dropped=(?P<dropped>\d+)")
"""What InfluxDB 1.x and 2.x say of a request of which they have stored a part: that part is not to be sent again."""


@attrs.frozen
class Server:
    """One kind of server. `page` takes what is written, `target` names the parameter that says into what."""

    title: str
    page: str
    precision: str
    target: str
    scheme: str
    account: str
    """The settings to check where it refuses the user."""
    more: Mapping[str, str] = attrs.field(factory=dict)
    """Further parameters of a write."""
    has_influxql: bool = True
    tells_losses: bool = True
    """Whether it says what it does not store."""
    makes_database: bool = False
    """Whether a database has to be created before the first write, and can be by a statement."""

    def authorization(self, token: str) -> Mapping[str, str]:
        """Return the header that a token is sent in."""
        return {"Authorization": f"{self.scheme} {token}"} if token else {}

    @property
    def answers(self) -> tuple[AnswerRule, ...]:
        """What its answers mean."""
        refused = (AnswerRule(code, "", Verdict.STOP, f"check {self.account}") for code in (401, 403))
        return (*ANSWERS, *refused)


SERVERS: Mapping[str, Server] = {
    "influxdb-1": Server(
        *("InfluxDB", "/write", "u", "db", "Token", "`user` and `password`, and that the user may write to `database`"),
        makes_database=True,
    ),
    "influxdb-2": Server(
        *("InfluxDB", "/api/v2/write", "us", "bucket", "Token", "`token`, and that it may write to `bucket`")
    ),
    "influxdb-3": Server(
        *("InfluxDB", "/api/v3/write_lp", "microsecond", "db", "Bearer", "`token`"),
        more={"accept_partial": "false"},  # it names no more than some of the points that it would drop
    ),
    "victoriametrics": Server(
        *("VictoriaMetrics", "/api/v2/write", "us", "db", "Bearer", "`user` and `password`, or `token`"),
        has_influxql=False,
        tells_losses=False,
    ),
}


@attrs.frozen
class Dropped:
    """How many points of a request were not stored, while the others were, and why."""

    points: int
    why: str


def dropped_points(answer: Answer) -> Dropped | None:
    """Return what was dropped of a request of which the rest is stored; None where the answer does not say that.

    None too where the reason is true of all later points: then it is for a person to act.
    """
    if any(rule.fits(answer) for rule in LASTING):
        return None
    found = PARTIAL.search(answer.line)
    return Dropped(int(found["dropped"]), found["why"]) if found else None


def own_words(text: str) -> str:
    """Return what an answer says, without the JSON around it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    words = (found.get("message") or found.get("error")) if isinstance(found, dict) and "data" not in found else None
    return words if isinstance(words, str) else text
