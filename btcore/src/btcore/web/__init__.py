# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP for plugins that upload to a hosted service: requests with a deadline, answers judged by a table of rules.

Public, as `btcore` itself: `from btcore.web import Client, AnswerRule, Verdict, raise_for_answer`. It needs the package
requests, which a plugin gets by depending on `btcore[web]`; nothing else of the core imports it. What is sent, and what
the answers of a service mean, belongs to the plugin.
"""

from btcore.web.addresses import is_public
from btcore.web.answers import (
    MAX_WAIT,
    STATUS_RULES,
    Answer,
    AnswerRule,
    Verdict,
    describe_answer,
    parse_date,
    parse_number,
    raise_for_answer,
)
from btcore.web.bodies import MAX_BODY_BYTES
from btcore.web.client import Client
from btcore.web.faults import secret_problem, url_problem
from btcore.web.settings import find_instances, setting_problems
from btcore.web.texts import format_request

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_WAIT",
    "STATUS_RULES",
    "Answer",
    "AnswerRule",
    "Client",
    "Verdict",
    "describe_answer",
    "find_instances",
    "format_request",
    "is_public",
    "parse_date",
    "parse_number",
    "raise_for_answer",
    "secret_problem",
    "setting_problems",
    "url_problem",
]
