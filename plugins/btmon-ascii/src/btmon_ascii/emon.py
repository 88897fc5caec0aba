# SPDX-License-Identifier: GPL-3.0-or-later
"""Emon (10): `{SN:01000010,SC:5959577,V:1144,E1:356116610095,P1:3031,…,T1:21.0,X:0}`.

Serial number, seconds counter, tenths of a volt; of each channel Ws in both directions, and W; temperatures.
"""

import re

from btmon_ascii.formats import COUNTER_BITS, ENERGY, SECONDS_BITS, SENSORS, WATTS, counting_format
from btmon_ascii.texts import NUMBER, Text, Values, counter, distinct, number, serial_number, tenths, unpack

_FIELD = rb",[A-Z]{1,4}+\d{0,2}+:(?:%b)?+" % NUMBER
_FIELDS = re.compile(rb"([A-Z]+\d*):([^,}]*)")
_BEGUN_HEAD = rb"\{(?:S(?:N(?::(?:\d{0,8}|\d{1,8},S?C?|\d{1,8},SC:\d{0,8}|"
_BEGUN_TAIL = rb"\d{1,8},SC:\d{1,8}(?:%b)*+-?\.?(?:,[A-Z]{0,4}\d{0,2})?))?)?)?" % _FIELD

LABELS = ("volts", "secs", *ENERGY, *WATTS, *SENSORS)
NAMES = {"P": "ch{}_watts", "T": "t{}"}


def read(raw: bytes) -> Values:
    """Return the numbers of a text. Raises ValueError for a counter out of its range."""
    fields = distinct(_FIELDS.findall(raw))
    values = {"secs": counter(fields["SC"], SECONDS_BITS), "volts": tenths(fields.get("V", ""))}
    for name, text in fields.items():
        kind, index = name[0], name[1:]
        if kind == "E" and index.isdecimal():
            values[f"ch{index}_aws"] = counter(text, COUNTER_BITS)
        elif kind in NAMES and index.isdecimal():
            values[NAMES[kind].format(index)] = number(text)
    return values


EMON = Text(
    header=b"{SN:",
    candidate=rb"\{SN:(?:\d{1,8},SC:|(?!.{13}))",
    packet=re.compile(rb"\{SN:(\d{1,8}+),SC:\d{1,8}+(?:%b)++\}" % _FIELD),
    begun=re.compile(_BEGUN_HEAD + _BEGUN_TAIL),
    serial=serial_number,
    raw=lambda found: found[0],
    read=read,
    format=counting_format("gememon", LABELS, unpack(read, LABELS), SECONDS_BITS),
)
