"""Talking to a hosted service over HTTP, for plugins that upload: bounded, timed, redacted, and classified by a table.

Public, as `btcore` itself: `from btcore.web import Client, Meaning, Verdict, judge`. It needs the package requests,
which a plugin gets by depending on `btcore[web]`; nothing else of the core imports it. What is sent, and what a
service's answers mean, is the plugin's own.
"""

from btcore.web.addresses import is_public
from btcore.web.answers import LONGEST_WAIT, USUAL, Answer, Meaning, Verdict, judge, moment, number, told
from btcore.web.bodies import MOST_BYTES
from btcore.web.client import Client
from btcore.web.faults import address_fault, secret_fault
from btcore.web.texts import shown

__all__ = [
    "LONGEST_WAIT",
    "MOST_BYTES",
    "USUAL",
    "Answer",
    "Client",
    "Meaning",
    "Verdict",
    "address_fault",
    "is_public",
    "judge",
    "moment",
    "number",
    "secret_fault",
    "shown",
    "told",
]
