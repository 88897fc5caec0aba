# SPDX-License-Identifier: GPL-3.0-or-later
"""Which meter on a line answers: for `btcore doctor`, where nothing comes in by itself. It changes nothing in a meter.

How one meter is asked for a packet is in `asking.py`.
"""

import re
import time
from collections.abc import Callable

from btcore.classes import frozen
from btcore.polling.asking import NoAnswer, Receive, Send, ask, poll_requests
from btcore.records import Packet

TIMEOUT = 2.0
"""Seconds that a meter has for each step of its answer."""

ECMS = ("fc", "fd", "fe", "ff")

MAX_BYTES = 1 << 13
"""Bytes in which a packet is looked for: several times the longest one."""

SERIAL_NUMBER = b"^^^RQSSRN"
"""The command that reads a GEM's serial number (CMD 10.0)."""

_NUMBER = re.compile(rb"(?<!\d)\d{5,8}\s*\r?\n")
_LINE_IDLE = 0.3


@frozen
class ProbedDevice:
    """A meter that answered: how it was asked (as in `devices`; "" for the only GEM), and its serial numbers."""

    device: str
    serials: tuple[str, ...]

    @property
    def settings(self) -> str:
        """The settings of a source with which this meter is asked, as a sentence has them."""
        return 'poll_interval = "10s"' + (f' and devices = ["{self.device}"]' if self.device else "")

    @property
    def polling(self) -> dict[str, object]:
        """The same settings as a site.toml has them."""
        return {"poll_interval": "10s", **({"devices": [self.device]} if self.device else {})}


def probe_devices(send: Send, receive: Receive, timeout: float = TIMEOUT) -> ProbedDevice | None:
    """Ask for a packet as a GEM is asked, then as each ECM is; return the first that answers, None if none does.

    An OSError of `send` or `receive` is passed on.
    """
    for request in (*poll_requests(), *poll_requests(ECMS)):
        try:
            exchange = ask(request, send, receive, timeout=timeout)
            while True:
                next(exchange)
        except StopIteration as ended:
            packets: list[Packet] = ended.value
            return ProbedDevice(request.device, tuple(dict.fromkeys(packet.serial for packet in packets)))
        except NoAnswer:
            continue
    return None


def sends_unasked(
    receive: Receive,
    seconds: float,
    find_packets: Callable[[bytes], tuple[str, ...]],
    clock: Callable[[], float] = time.monotonic,
) -> tuple[str, ...]:
    """Return the serial numbers of the meters that send a packet by themselves within so many seconds.

    `find_packets` returns those of the packets in some bytes. An OSError of `receive` is passed on.
    """
    data = b""
    until = clock() + seconds
    while (left := until - clock()) > 0:
        received = receive(min(left, _LINE_IDLE))
        data = (data + received)[-MAX_BYTES:]
        if received and (found := find_packets(data)):
            return found
    return ()


def answers_commands(
    send: Send, receive: Receive, timeout: float = TIMEOUT, clock: Callable[[], float] = time.monotonic
) -> bool:
    """Whether a GEM answers the command that reads its serial number. An OSError is passed on."""
    until = clock() + timeout
    while clock() < until and receive(_LINE_IDLE):
        pass  # a packet that is coming in
    send(SERIAL_NUMBER)
    until, answer = clock() + timeout, b""
    while (left := until - clock()) > 0:
        answer += receive(min(left, _LINE_IDLE))
        if _NUMBER.search(answer):
            return True
    return False
