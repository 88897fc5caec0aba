# SPDX-License-Identifier: GPL-3.0-or-later
"""ASCII with Wh (2): `n=01000010&m=4&wh_1=223.19&p_1=3065&a_1=28.28&…&t_1=21.0&c_1=…&v=114.4`.

Serial number, elapsed minutes; of each channel Wh, W and A; temperatures, pulses, volts. The minutes are too coarse to
measure an interval by.
"""

import re

from btmon_ascii.formats import AMPS, COUNTER_BITS, ENERGY, PULSE_BITS, SENSORS, WATTS, counting_format
from btmon_ascii.texts import (
    END,
    NEXT,
    NEXT_BEGUN,
    NUMBER,
    WS_PER_WH,
    Text,
    Values,
    counter,
    distinct,
    number,
    serial_number,
    unpack,
)

_KEY = rb"[a-mo-z][a-z]{0,7}+(?:_\d{1,2}+)?+"  # not `n`, with which the next text begins
_FIELD = rb"&%b=(?:%b)?+" % (_KEY, NUMBER)
_FIELDS = re.compile(rb"&(%b)=([^&]*)" % _KEY)
_LAST = rb"(?:(?<=&v=\d{3}\.\d)|(?<=&v=\d\d\.\d))"
_MORE = rb"-?\.?(?:&[a-z]{0,8}(?:_\d{0,2})?)?"

LABELS = ("volts", *ENERGY, *WATTS, *AMPS, *SENSORS)
NAMES = {"p": "ch{}_watts", "a": "ch{}_a", "t": "t{}"}


def read(raw: bytes) -> Values:
    """Return the numbers of a text. Raises ValueError for one that two texts ran together in."""
    fields = distinct(_FIELDS.findall(raw.strip()))
    values = {"volts": number(fields.get("v", ""))}
    for name, text in fields.items():
        kind, _, index = name.partition("_")
        if kind == "wh":
            values[f"ch{index}_aws"] = counter(text, COUNTER_BITS, WS_PER_WH)
        elif kind == "c" and index:
            values[f"p{index}"] = counter(text, PULSE_BITS)
        elif kind in NAMES:
            values[NAMES[kind].format(index)] = number(text)
    return values


ASCII_WH = Text(
    header=b"n=",
    candidate=rb"n=(?:\d{8}&m=|(?!.{11}))",
    packet=re.compile(rb"n=(\d{8})(&m=(?:%b)?+(?:%b)++)(?:%b|%b(?:%b|(?=n=\d)))" % (NUMBER, _FIELD, END, _LAST, NEXT)),
    begun=re.compile(rb"n(?:=(?:\d{0,7}|\d{8}(?:%b)*+%b%b(?:n=?)?)?)?" % (_FIELD, _MORE, NEXT_BEGUN)),
    serial=serial_number,
    raw=lambda found: b"n=%b%b\n" % (found[1], found[2]),
    read=read,
    format=counting_format("gemascii", LABELS, unpack(read, LABELS), 0),
)
