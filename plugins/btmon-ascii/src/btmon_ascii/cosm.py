# SPDX-License-Identifier: GPL-3.0-or-later
"""COSM (13): `PUT /v2/feeds/ID.csv`, with the lines `E1,36942`, `P1,3020`, …, `V,1144` as its body.

Of each channel W, and an energy whose unit is not documented, so it is not read; tenths of a volt. There is no serial
number: a meter is known by the ID of its feed. The headers of the request, with their key, are not kept.
"""

import re

from btmon_ascii.formats import SENSORS, WATTS, power_format
from btmon_ascii.texts import END, NUMBER, Text, Values, distinct, number, tenths, unpack

_LINE = rb"[A-Z]{1,4}+\d{0,2}+,(?:%b)?+\r?+\n" % NUMBER
_LINES = re.compile(rb"([A-Z]+\d*),([^\r\n]*)")
_CHARACTER = rb"(?:(?!/v2/feeds/)[ -~\t])"  # a second path begins another request
_HEADERS = rb"%b{0,256}+\r?+\n(?:%b{1,512}+\r?+\n){0,32}+\r?+\n" % (_CHARACTER, _CHARACTER)
_REQUEST_BEGUN = rb"\d{1,20}(?:(?!/v2/feeds/)[\t\r\n -~])*+"

LABELS = ("volts", *WATTS, *SENSORS)
NAMES = {"P": "ch{}_watts", "T": "t{}"}


def read(raw: bytes) -> Values:
    """Return the numbers of a text. Raises ValueError for one that two texts ran together in."""
    fields = distinct(_LINES.findall(raw.partition(b"\n\n")[2]))
    values = {"volts": tenths(fields["V"])}
    for name, text in fields.items():
        kind, index = name[0], name[1:]
        if kind in NAMES and index.isdecimal():
            values[NAMES[kind].format(index)] = number(text)
    return values


COSM = Text(
    header=b"/v2/feeds/",
    candidate=rb"/v2/feeds/",
    packet=re.compile(rb"/v2/feeds/(\d{1,20}+)%b((?:(?!V,)%b)*+V,\d{1,5}+)%b" % (_HEADERS, _LINE, END)),
    begun=re.compile(rb"/(?:v(?:2(?:/(?:f(?:e(?:e(?:d(?:s(?:/(?:%b)?)?)?)?)?)?)?)?)?)?" % _REQUEST_BEGUN),
    serial=lambda found: found[1].decode("ascii"),
    raw=lambda found: b"/v2/feeds/%b\n\n%b\n" % (found[1], found[2].replace(b"\r", b"")),
    read=read,
    format=power_format("gemcosm", LABELS, unpack(read, LABELS)),
)
