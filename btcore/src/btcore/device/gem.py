# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of a GEM (GEM-CMD 10.0), and what its answers mean. Pure: text and bytes only.

A command is `^^^`, a group and what to do; an answer is a line that ends in CR LF. One GEM of several on a line is
addressed by `NMB` and the last five digits of its serial number.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from btcore.classes import frozen
from btcore.device.settings import FORMAT_NUMBERS, Change, ChannelSettings, format_name

PREFIX = "^^^"
END = b"\r\n"

DELAY = "SYSPDL"
"""No packet for 15 seconds, so that no answer is mixed into one. It has no answer."""

CENTURY = 2000
LAST_YEAR = 2099

SETTINGS_SIZE = 512
"""Bytes that RQSALL answers, each as two hexadecimal digits."""

CHANNELS = 48
OPTIONS, CT_TYPES, CT_RANGES = 1, 49, 97
PT_TYPE, PT_RANGE, FORMAT, INTERVAL, SECONDARY_FORMAT, CHANNEL_COUNT = 121, 122, 123, 124, 130, 249
"""Where each setting is in them."""

STANDARD_METERING, REVERSED = 0x40, 0x80
"""Bits of a channel's options: no net metering; polarity changed."""

KEEP_ALIVE = re.compile(rb"(?:\$|Alive)+")


def command(words: str, number: str = "") -> bytes:
    """Return the bytes of a command, for the only GEM, or for the one whose serial number ends in these five digits."""
    address = f"NMB{number[-5:]}" if number else ""
    return f"{PREFIX}{address}{words}".encode("ascii")


@frozen
class Order:
    """A command that changes something: its words, and the line that acknowledges it ("": the meter sends none)."""

    words: str
    answer: str


ORDERS: Mapping[str, Callable[[Any], Order]] = {
    "interval": lambda value: Order(f"SYSIVL{value:03}", "IVL"),
    "format": lambda value: Order(f"SYSPKT{FORMAT_NUMBERS[value]:02}", "PKT"),
    "secondary_format": lambda value: Order(f"SYSPKF{FORMAT_NUMBERS[value]:02}", "PKF"),
    "real_time": lambda value: Order("SYS_ON", "_ON") if value else Order("SYSOFF", "OFF"),
    "keep_alive": lambda value: Order(f"SYSKAI{value}", "OK"),
    "clock": lambda value: Order(f"SYSDTM{encode_time(value)}\r", "DTM"),
}
"""The command that sets each setting of the whole meter."""

CHANNEL_WORDS = {"ct_type": "TYP", "ct_range": "RNG"}


def order(change: Change, now: datetime) -> Order:
    """Return the command of a change; `now` is the time that `clock=now` sets, in the zone of the meter's clock.

    Raises ValueError for a time that the meter's clock cannot show.
    """
    if change.channel:
        return Order(f"C{int(change.channel[2:]):02}{CHANNEL_WORDS[change.key]}{change.value}", "")
    return ORDERS[change.key](now if change.value == "now" else change.value)


def encode_time(time: datetime) -> str:
    """Return a time as SYSDTM has it: `yy,mm,dd,hh,mm,ss`. Raises ValueError for a year that it cannot have."""
    if not CENTURY <= time.year <= LAST_YEAR:
        raise ValueError(f"expected a year from {CENTURY} to {LAST_YEAR}, found {time.year}")
    parts = (time.year - CENTURY, time.month, time.day, time.hour, time.minute, time.second)
    return ",".join(f"{part:02}" for part in parts)


def decode_time(text: str) -> datetime:
    """Read a time as SYSDTM has it. Raises ValueError."""
    parts = text.split(",")
    if len(parts) != 6 or not all(re.fullmatch("[0-9]{2}", part) for part in parts):  # noqa: PLR2004 - year to second
        raise ValueError(f"expected yy,mm,dd,hh,mm,ss, found {text!r:.60}")
    year, *rest = map(int, parts)
    return datetime(CENTURY + year, *rest)  # type: ignore[arg-type]  # noqa: DTZ001 - the meter's clock has no zone


def answer_lines(data: bytes) -> list[str]:
    """Return the complete lines of an answer, without the keep-alive that may stand in front of them."""
    lines = data.split(END)[:-1]
    return [text for line in lines if (text := KEEP_ALIVE.sub(b"", line, count=1).decode("latin-1").strip())]


def parse_serial(text: str) -> str:
    """Read the answer to RQSSRN: the serial number, of at most eight digits. Raises ValueError."""
    digits = text.removeprefix("SRN").strip()
    if not re.fullmatch("[0-9]{1,8}", digits):
        raise ValueError("a serial number")
    return digits.zfill(8)


def parse_firmware(text: str) -> str:
    """Read the answer to RQSVR1: a short text. Raises ValueError."""
    if not text.isascii() or not text.isprintable() or not any(letter.isdigit() for letter in text) or len(text) > 40:  # noqa: PLR2004 - a version is shorter
        raise ValueError("a version")
    return text.removeprefix("VR1").strip()


def parse_real_time(text: str) -> bool:
    """Read the answer to RQSRTL: ON or OFF. Raises ValueError."""
    if text not in {"ON", "OFF", "_ON"}:
        raise ValueError("ON or OFF")
    return text != "OFF"


def parse_number(text: str) -> int:
    """Read the answer to RQSITV or RQSRTF: a number of at most three digits. Raises ValueError."""
    if not re.fullmatch("(?:ITV|RTF)?[0-9]{1,3}", text):
        raise ValueError("a number")
    return int(text[-3:].lstrip("ITVRF"))


@frozen
class AllSettings:
    """What RQSALL answers, as far as its meaning is known."""

    format: str
    secondary_format: str
    interval: int
    pt_type: int
    pt_range: int
    channels: tuple[ChannelSettings, ...]


def parse_settings(text: str) -> AllSettings:
    """Read the line after `ALL`, the answer to RQSALL. Raises ValueError."""
    try:
        data = bytes.fromhex(text.replace(",", " "))
    except ValueError:
        raise ValueError("hexadecimal bytes") from None
    if len(data) != SETTINGS_SIZE:
        raise ValueError(f"{SETTINGS_SIZE} hexadecimal bytes (there were {len(data)})")
    count = data[CHANNEL_COUNT] if 1 <= data[CHANNEL_COUNT] <= CHANNELS else CHANNELS
    return AllSettings(
        format_name(data[FORMAT]),
        format_name(data[SECONDARY_FORMAT]),
        data[INTERVAL],
        data[PT_TYPE],
        data[PT_RANGE],
        tuple(_channel(data, index) for index in range(count)),
    )


def _channel(data: bytes, index: int) -> ChannelSettings:
    options = data[OPTIONS + index]
    ranges = data[CT_RANGES + index // 2]
    return ChannelSettings(
        f"ch{index + 1}",
        data[CT_TYPES + index],
        ranges >> 4 if index % 2 else ranges & 0x0F,
        net_metering=not options & STANDARD_METERING,
        is_reversed=bool(options & REVERSED),
    )


def encode_settings(data: Sequence[int]) -> bytes:
    """Return what a GEM answers to RQSALL, of these bytes."""
    return b"ALL\r\n" + ",".join(f"{byte:02X}" for byte in data).encode() + END
