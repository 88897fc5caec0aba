# SPDX-License-Identifier: GPL-3.0-or-later
"""How a simulated GEM answers commands, as the vendor's GEM-CMD 10.0 and real meters have it."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from btcore.light import define, field
from btmon_simulator.meter import SimulatedMeter, family_of
from btmon_simulator.texts import NUMBERS

COMMAND = re.compile(
    rb"\^\^\^(?:NMB(?P<number>[0-9]{5}))?"
    rb"(?:(?P<word>SYS_ON|SYSOFF|SYSPDL|SYSPKT|SYSPKF|SYSIVL|SYSKAI|SYSDTM|RQS[A-Z0-9]{3}|APISPK)(?P<value>[0-9,]*)\r?"
    rb"|C(?P<channel>[0-9]{2})(?P<what>TYP|RNG)(?P<number_of_it>[0-9]{1,3}))"
)
DELAY = timedelta(seconds=15)
"""How long it sends no packet after SYSPDL."""

FORMATS_BY_NUMBER = {
    1: "ecm1240bin",
    4: "gem48ptbin",
    5: "gem48pbin",
    7: "gem48abin",
    8: "gem32pbin",
    9: "gem32abin",
    **NUMBERS,
}
CHANNELS = 48
SIZE = 512
MAX_UNREAD = 256
"""Bytes that are kept of what is not a command yet."""

MICRO_40 = (0xD3, 4)


@define(eq=False)
class SimulatedGem:
    """The command processor of one simulated GEM; `interval` is that of its schedule, in seconds."""

    meter: SimulatedMeter
    interval: int
    firmware: str = "4.63"
    secondary: int = 4
    keep_alive: int = 1
    ct_types: list[int] = field(factory=lambda: [MICRO_40[0]] * CHANNELS)
    ct_ranges: list[int] = field(factory=lambda: [MICRO_40[1]] * CHANNELS)
    _unread: bytes = b""

    def receive(self, data: bytes, now: datetime) -> bytes:
        """Take what was sent to it; return what it answers."""
        self._unread = (self._unread + data)[-MAX_UNREAD:]
        answer = b""
        while found := COMMAND.search(self._unread):
            self._unread = self._unread[found.end() :]
            if found["number"] in {None, self.meter.serial[-5:].encode()}:
                answer += self._answer(found, now)
        return answer

    def _answer(self, found: re.Match[bytes], now: datetime) -> bytes:
        if found["channel"]:
            return self._set_channel(int(found["channel"]) - 1, found["what"], int(found["number_of_it"]))
        word, value = found["word"].decode(), found["value"].decode()
        if word == "APISPK":
            return self.meter.packet(now)
        if word == "SYSPDL":
            self.meter.silent_until = now + DELAY
            return b""
        answer = self._query(word) if word.startswith("RQS") else self._set(word, value, now)
        return f"{answer}\r\n".encode() if answer else b""

    def _set(self, word: str, value: str, now: datetime) -> str:
        setters: Mapping[str, Callable[[], str]] = {
            "SYS_ON": lambda: self._switch(on=True),
            "SYSOFF": lambda: self._switch(on=False),
            "SYSPKT": lambda: self._set_format(int(value)),
            "SYSPKF": lambda: self._set_secondary(int(value)),
            "SYSIVL": lambda: self._set_interval(int(value)),
            "SYSKAI": lambda: self._set_keep_alive(int(value)),
            "SYSDTM": lambda: self._set_clock(value, now),
        }
        try:
            return setters[word]()
        except ValueError:  # a value that it cannot read
            return ""

    def _query(self, word: str) -> str:
        answers: Mapping[str, Callable[[], str]] = {
            "RQSSRN": lambda: self.meter.serial,
            "RQSVR1": lambda: self.firmware,
            "RQSRTL": lambda: "ON" if self.meter.real_time else "OFF",
            "RQSITV": lambda: f"{self._seconds:03}",
            "RQSRTF": lambda: f"{self._number:02}",
            "RQSALL": lambda: "ALL\r\n" + ",".join(f"{byte:02X}" for byte in self._settings()),
        }
        return answers[word]() if word in answers else ""

    @property
    def _seconds(self) -> int:
        return round(self.meter.interval.total_seconds()) if self.meter.interval else self.interval

    @property
    def _number(self) -> int:
        return next(number for number, name in FORMATS_BY_NUMBER.items() if name == self.meter.format)

    def _settings(self) -> bytes:
        data = bytearray(SIZE)
        data[1 : 1 + CHANNELS] = bytes(CHANNELS)
        data[1] = 0x80  # mains: its clamp was put on the wrong way round, and its polarity changed
        data[3 : 1 + CHANNELS] = bytes([0x40]) * (CHANNELS - 2)
        data[49 : 49 + CHANNELS] = bytes(self.ct_types)
        data[97:121] = bytes(self.ct_ranges[n] | self.ct_ranges[n + 1] << 4 for n in range(0, CHANNELS, 2))
        data[121:125] = bytes([0xBB, 3, self._number, min(self._seconds, 255)])
        data[130], data[249] = self.secondary, CHANNELS
        return bytes(data)

    def _switch(self, *, on: bool) -> str:
        self.meter.real_time = on
        return "_ON" if on else "OFF"

    def _set_format(self, number: int) -> str:
        if number not in FORMATS_BY_NUMBER:
            return ""
        self.meter.format = FORMATS_BY_NUMBER[number]
        return "PKT"

    def _set_secondary(self, number: int) -> str:
        self.secondary = number
        return "PKF"

    def _set_interval(self, seconds: int) -> str:
        if not seconds:
            return ""
        self.meter.interval = timedelta(seconds=seconds)
        return "IVL"

    def _set_keep_alive(self, number: int) -> str:
        self.keep_alive = number
        return "OK"

    def _set_clock(self, text: str, now: datetime) -> str:
        year, *rest = map(int, text.split(","))
        if len(rest) != 5:  # noqa: PLR2004 - month to second
            return ""
        self.meter.set_clock(datetime(2000 + year, *rest), now)  # type: ignore[arg-type]  # noqa: DTZ001 - no zone
        return "DTM"

    def _set_channel(self, index: int, what: bytes, number: int) -> bytes:
        if 0 <= index < CHANNELS:
            numbers, most = (self.ct_types, 0xFF) if what == b"TYP" else (self.ct_ranges, 0x0F)
            numbers[index] = min(number, most)
        return b""


def is_gem(meter: SimulatedMeter) -> bool:
    """Whether a meter is a GEM, by its format at the beginning."""
    return family_of(meter.format) == "gem"
