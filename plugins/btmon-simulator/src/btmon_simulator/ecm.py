# SPDX-License-Identifier: GPL-3.0-or-later
"""How a simulated ECM-1220 or ECM-1240 answers commands: word for word, each acknowledged by `fc`."""

from datetime import datetime, timedelta

from btcore.light import define, field
from btmon_simulator.meter import SimulatedMeter

ACKNOWLEDGE = b"\xfc"
DEVICES = b"\xfc\xfd\xfe\xff"
"""The device bytes of the meters of one line, in order."""

WORDS = (b"SPK", b"SET", b"RCV", b"IV2", b"CT1", b"CT2", b"TYP", b"RNG")
WORD_SIZE = 3
FIRMWARE = 1024
BLOCK = 32
"""Bytes of the settings, without the checksum."""


@define(eq=False)
class SimulatedEcm:
    """The command processor of one simulated ECM; `interval` is that of its schedule, in seconds."""

    meter: SimulatedMeter
    interval: int
    device: int = DEVICES[0]
    channels: list[list[int]] = field(factory=lambda: [[144, 2], [146, 3]])
    """Type and range of each current transformer."""
    _is_chosen: bool = False
    _word: bytes = b""
    _channel: int = 0
    _unread: bytes = b""

    def receive(self, data: bytes, now: datetime) -> bytes:
        """Take what was sent to it; return what it answers."""
        answer = b""
        for byte in data:
            answer += self._take(byte, now)
        return answer

    def _take(self, byte: int, now: datetime) -> bytes:
        if self._word in {b"IV2", b"TYP", b"RNG"}:
            return self._value(byte)
        if byte in DEVICES:
            self._is_chosen, self._unread = byte == self.device, b""
            return ACKNOWLEDGE if self._is_chosen else b""
        if not self._is_chosen:
            return b""
        self._unread = (self._unread + bytes([byte]))[-WORD_SIZE:]
        if self._unread not in WORDS:
            return b""
        word, self._unread = self._unread, b""
        return ACKNOWLEDGE + self._do(word, now)

    def _do(self, word: bytes, now: datetime) -> bytes:
        if word == b"SPK":
            return self.meter.packet(now)
        if word == b"RCV":
            return self._settings()
        if word.startswith(b"CT"):
            self._channel = word[2] - ord("1")
        elif word != b"SET":
            self._word = word  # its value is the next byte
        return b""

    def _value(self, byte: int) -> bytes:
        if self._word == b"IV2":
            self.meter.interval = timedelta(seconds=max(byte, 1))
        else:
            self.channels[self._channel][self._word == b"RNG"] = byte
        self._word = b""
        return ACKNOWLEDGE

    def _settings(self) -> bytes:
        interval = round(self.meter.interval.total_seconds()) if self.meter.interval else self.interval
        data = bytes([*self.channels[0], *self.channels[1], 187, 3, min(interval, 255), 0])
        data += FIRMWARE.to_bytes(2) + bytes([int(self.meter.serial[0])]) + int(self.meter.serial[1:]).to_bytes(2)
        data += bytes(BLOCK - len(data))
        return data + bytes([sum(data) & 0xFF])
