# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP GET (3): `SN=01000010&SC=5956977&V=1149&c1=ABS,POL,AMP&…&PL=1,0,0,0&T=21.0,27.0,,,,,,&Resp=`.

Serial number, seconds counter, tenths of a volt; of each channel absolute and polarized Ws, and A where the meter is
set to include them; pulses and temperatures, empty where there is no sensor. All that a binary packet has.
"""

import re

from btcore import Number
from btmon_ascii.formats import BINARY, COUNTER_BITS, PULSE_BITS, SECONDS_BITS, http_get_format
from btmon_ascii.texts import (
    END,
    NEXT,
    NEXT_BEGUN,
    NUMBER,
    Text,
    Values,
    counter,
    distinct,
    number,
    tenths,
    unpack,
)

_CHANNEL = rb"c\d{1,2}+=\d{1,13}+(?:,\d{1,13}+)?+(?:,(?:%b)?+)?+" % NUMBER
_LIST = rb"(?:PL|T)=(?:%b)?+(?:,(?:%b)?+){0,15}+" % (NUMBER, NUMBER)
_FIELD = rb"&(?:%b|%b|Resp=\d{0,9}+)" % (_CHANNEL, _LIST)
_FIELDS = re.compile(rb"([A-Za-z]+\d*)=([^&]*)")
_MORE = rb"-?\.?(?:&(?:c\d{0,2}(?:=\d{0,13})?|[PTR][A-Za-z]{0,4}=?)?)?"
_LISTS = {"PL": "p{}", "T": "t{}"}


def read(raw: bytes) -> Values:
    """Return the numbers of a text. Raises ValueError for a counter out of its range."""
    fields = distinct(_FIELDS.findall(raw.strip()))
    values = {"secs": counter(fields["SC"], SECONDS_BITS), "volts": tenths(fields["V"])}
    for name, text in fields.items():
        if name[0] == "c":
            values |= _channel(f"ch{name[1:]}", text.split(","))
        elif name in _LISTS:
            values |= {_LISTS[name].format(index): _listed(name, one) for index, one in enumerate(text.split(","), 1)}
    return values


def _channel(name: str, parts: list[str]) -> Values:
    absolute, polarized, amps = (*parts, "", "")[:3]
    return {
        f"{name}_aws": counter(absolute, COUNTER_BITS),
        f"{name}_pws": counter(polarized, COUNTER_BITS),
        f"{name}_a": number(amps),
    }


def _listed(name: str, text: str) -> Number:
    return counter(text, PULSE_BITS) if name == "PL" else number(text)


HTTP_GET = Text(
    header=b"SN=",
    candidate=rb"SN=(?:\d{1,8}&SC=|(?!.{12}))",
    packet=re.compile(rb"(SN=(\d{1,8}+)&SC=\d{1,8}+&V=\d{1,5}+(?:%b)++)(?:%b|(?<=&Resp=)%b)" % (_FIELD, END, NEXT)),
    begun=re.compile(
        rb"S(?:N(?:=(?:\d{0,8}|\d{1,8}&S?C?|\d{1,8}&SC=\d{0,8}|\d{1,8}&SC=\d{1,8}&V?"
        rb"|\d{1,8}&SC=\d{1,8}&V=\d{0,5}(?:%b)*+%b%b))?)?" % (_FIELD, _MORE, NEXT_BEGUN)
    ),
    serial=lambda found: found[2].decode("ascii").zfill(8),
    raw=lambda found: found[1] + b"\n",
    read=read,
    format=http_get_format(unpack(read, BINARY.labels)),
)
