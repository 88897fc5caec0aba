# SPDX-License-Identifier: GPL-3.0-or-later
"""A line to meters that are asked, without waiting: what each answers is said beforehand."""

import logging
from collections.abc import Callable, Iterator

import attrs

from btcore import Poll, pack
from btcore.polling.asking import ask, poll_requests

ACK = b"\xfc"
ECM = pack("ecm1240bin", "312345", {"volts": 120.1, "secs": 77})
GEM = pack("gem48ptbin", "01021234", {"volts": 121.3, "secs": 5000})
SPK = b"SPK"

Answers = dict[bytes, list[bytes]]


@attrs.define
class Line:
    """A line to meters that answer each word with pieces, one a receive; time passes only where nothing comes."""

    answers: Answers
    sent: list[bytes] = attrs.field(factory=list)
    pieces: list[bytes] = attrs.field(factory=list)
    time: float = 0.0
    waits: list[float] = attrs.field(factory=list)

    def send(self, data: bytes) -> None:
        """Send a word to all meters."""
        self.sent.append(data)
        self.pieces += self.answers.get(data, [])

    def receive(self, seconds: float) -> bytes:
        """Receive the next piece."""
        self.waits.append(seconds)
        if self.pieces and (piece := self.pieces.pop(0)):
            return piece
        self.time += seconds
        return b""

    def now(self) -> float:
        """Tell the time."""
        return self.time

    def ask(self, device: str = "fc") -> Iterator[bytes]:
        """Ask one meter; no name means the GEM."""
        request = poll_requests([device] if device else [])[0]
        return ask(request, self.send, self.receive, timeout=5, clock=self.now)


class TwoWires(Line):
    """A line on which what is sent comes back before the answer."""

    def send(self, data: bytes) -> None:
        """Send a word, which comes back."""
        self.pieces.append(data)
        super().send(data)


class Drop(Line):
    """A line with several ECMs: what answers depends on who was asked last."""

    def __init__(self, packets: dict[bytes, list[bytes]]) -> None:
        """Take what comes when each device byte is asked."""
        super().__init__({})
        self.packets = packets

    def send(self, data: bytes) -> None:
        """Answer a device byte, or send the packets of the one that was asked."""
        self.sent.append(data)
        asked = [word for word in self.sent if len(word) == 1][-1]
        self.pieces += [ACK] if data != SPK else [ACK, *self.packets[asked]]


def poll_of(line: Line, devices: list[str]) -> Callable[[], bytes]:
    """Make what polls the devices once."""
    poll = Poll(devices=devices, timeout=5, log=logging.getLogger("test"), clock=line.now)
    return lambda: b"".join(poll.ask_all(line.send, line.receive))
