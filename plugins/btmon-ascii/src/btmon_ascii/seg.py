# SPDX-License-Identifier: GPL-3.0-or-later
"""SEG (6) and new SEG (14): `(site TOKEN (node NAME ? (e_1 278.23)(p_1 3155)(a_1 29.10)…(voltage 114.2)))`.

Of each channel W and A, and with 14 Wh; temperatures, volts. There is no serial number: a meter is known by the name of
its node. The token is not kept.
"""

import re

from btmon_ascii.formats import AMPS, COUNTER_BITS, ENERGY, SENSORS, WATTS, counting_format
from btmon_ascii.texts import NUMBER, WS_PER_WH, Text, Values, counter, distinct, number, unpack

_WORD = rb"[!-'*-~]{1,64}+"
_NAME = rb"[a-z]{1,16}+(?:_\d{1,2}+)?+"
_FIELD = rb"\(%b[ ]++(?:%b)?+\)\s{0,2}+" % (_NAME, NUMBER)
_FIELDS = re.compile(rb"\((%b)[ ]+([^()]*)\)" % _NAME)
_FIELD_BEGUN = rb"(?:\([a-z]{0,16}(?:_\d{0,2})?(?:[ ]++(?:%b)?+-?\.?)?)?" % NUMBER

LABELS = ("volts", *ENERGY, *WATTS, *AMPS, *SENSORS)
NAMES = {"p": "ch{}_watts", "a": "ch{}_a", "temperature": "t{}"}


def read(raw: bytes) -> Values:
    """Return the numbers of a text. Raises ValueError for one that two texts ran together in."""
    fields = distinct(_FIELDS.findall(raw))
    values = {"volts": number(fields.get("voltage", ""))}
    for name, text in fields.items():
        kind, _, index = name.partition("_")
        if kind == "e" and index:
            values[f"ch{index}_aws"] = counter(text, COUNTER_BITS, WS_PER_WH)
        elif kind in NAMES and index:
            values[NAMES[kind].format(index)] = number(text)
    return values


def _begun() -> bytes:
    """Return the expression for the beginning of a text, word by word."""
    words = (rb"\(site", rb"[!-'*-~]{0,64}", rb"\(?n?o?d?e?", rb"[!-'*-~]{0,64}", rb"[!-'*-~]{0,64}")
    begun = b""
    for word in reversed(words[1:]):
        begun = rb"(?:%b(?:[ ]%b)?)" % (word, begun or rb"(?:%b)*+%b\)?" % (_FIELD, _FIELD_BEGUN))
    return rb"\((?:s(?:i(?:t(?:e(?:[ ]%b)?)?)?)?)?" % begun


SEG = Text(
    header=b"(site ",
    candidate=rb"\(site ",
    packet=re.compile(rb"\(site %b (\(node (%b) %b (?:%b)++\)\))" % (_WORD, _WORD, _WORD, _FIELD)),
    begun=re.compile(_begun()),
    serial=lambda found: found[2].decode("ascii"),
    raw=lambda found: b"(site - " + found[1],
    read=read,
    format=counting_format("gemseg", LABELS, unpack(read, LABELS), 0),
)
