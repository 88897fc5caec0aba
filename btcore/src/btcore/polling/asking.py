# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking one meter for a packet: what is sent, what must come back, and when to give up.

It is the same over a serial line and over TCP, so there is no I/O here: a caller passes `send` and `receive`, and gets
the bytes for the decoder. When which device is asked is in `schedule.py`. Reading or changing the settings of a meter
does not belong here.
"""

import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime

from btcore.classes import define, field, frozen
from btcore.decode.brultech import HEADER, Brultech
from btcore.decode.decoders import Decoders
from btcore.decode.recognition import SAMPLE, recognize
from btcore.errors import BtcoreError
from btcore.records import Incomplete, Packet

Send = Callable[[bytes], object]
"""Send all of these bytes. Raises OSError when the line is gone."""

Receive = Callable[[float], bytes]
"""Wait at most so many seconds for bytes and return them, or b"" if none came in. Raises OSError as `Send` does."""

ACKNOWLEDGE = 0xFC
MAX_WAIT = 0.5
"""Seconds of the longest single wait, so that the caller can stop soon."""
QUIET = 0.3
"""Seconds of silence after a packet that end an answer: a GEM may answer with up to five ECM-1240 packets."""


class NoAnswer(BtcoreError):
    """A meter that was asked has sent no complete packet in time; the text says what came in."""


@frozen
class Request:
    """What is sent to one meter for one packet; `acknowledged`: the meter acknowledges each word before the next."""

    device: str
    words: tuple[bytes, ...]
    acknowledged: bool


def poll_requests(devices: Sequence[str] = ()) -> tuple[Request, ...]:
    """Return the request for each device, in order; without devices, the request for the only GEM on the line.

    `fc`, `fd`, `fe` and `ff` are ECMs; five digits are the end of a GEM's serial number, eight digits all of it. Raises
    ValueError for anything else.
    """
    return tuple(_request(device) for device in devices) or (Request("", (b"^^^APISPK",), acknowledged=False),)


def _request(device: str) -> Request:
    if device.lower() in {"fc", "fd", "fe", "ff"}:
        return Request(device, (bytes.fromhex(device), b"SPK"), acknowledged=True)
    if re.fullmatch(r"[0-9]{5}|[0-9]{8}", device):
        return Request(device, (f"^^^NMB{device[-5:]}APISPK".encode(),), acknowledged=False)
    raise ValueError(
        f'device {device!r}: expected "fc", "fd", "fe" or "ff" (an ECM), or the serial number of a GEM: '
        "all eight digits or the last five"
    )


@define
class Echo:
    """Whether what is sent on a line comes back, as on RS-485 with two wires.

    The echo of an ECM's device byte looks like its acknowledgement. So it is learned from the word after that.
    """

    is_heard: bool = False


def ask(
    request: Request,
    send: Send,
    receive: Receive,
    *,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    echo: Echo | None = None,
) -> Generator[bytes, None, list[Packet]]:
    """Ask one meter, and yield what comes in until its packet is complete: see `Poll.ask_all`. Raises NoAnswer.

    Returns the packets that came after it was asked. `echo` is what is known of the line.
    """
    line = _Line(request=request, receive=receive, timeout=timeout, clock=clock, echo=echo or Echo())
    try:
        for word in request.words:
            send(word)
            if request.acknowledged:
                yield from line.acknowledgement(word)
        yield from line.packet()
    except (NoAnswer, OSError):
        line.echo.is_heard = False  # or a line that never had one would stay silent
        yield line.unread  # an intact packet may be in what looked like the start of another one
        if not line.packets:  # a gateway may close the connection as soon as it has passed on the answer
            raise
    return line.packets


@define(kw_only=True)
class _Line:
    """What comes in during one request.

    `unread` are the bytes that may be the start of an incomplete packet, `has_header` says that one began. `packets`
    are those of the answer, `sample` is the beginning of what came in.
    """

    request: Request
    receive: Receive
    timeout: float
    clock: Callable[[], float]
    echo: Echo
    unread: bytes = b""
    has_header: bool = False
    total: int = 0
    sample: bytes = b""
    packets: list[Packet] = field(factory=list)

    def acknowledgement(self, word: bytes) -> Iterator[bytes]:
        """Wait for the byte that acknowledges. Within a packet of a meter in real-time mode, that byte is data."""
        deadline = self.clock() + self.timeout
        while self.echo.is_heard and word.startswith(self.unread) and self.unread != word:
            self._wait(MAX_WAIT, deadline)
            yield b""
        if self.echo.is_heard:
            self.unread = self.unread.removeprefix(word)
        while True:
            data, found = self._read_on()
            self._listen_for_echo(data)
            yield data
            if found:
                return
            if not self._wait(MAX_WAIT, deadline) and self.unread.endswith(bytes([ACKNOWLEDGE])):
                # the beginning of a packet that was never completed, then the acknowledgement
                data, self.unread = self.unread[:-1], b""
                yield data
                return

    def packet(self) -> Iterator[bytes]:
        """Wait for a complete packet, and then until the line is quiet."""
        deadline = self.clock() + self.timeout
        stream = _DECODERS.stream()  # as the core does: it undoes what a telnet port does
        while True:
            data, self.unread = self.unread, b""
            self._listen_for_echo(data)
            self.packets += [packet for packet, _ in stream.feed(data, _ANY_TIME)]
            yield data
            received = self._wait(QUIET if self.packets else MAX_WAIT, deadline)
            if self.packets and not received and not stream.is_waiting:
                return

    def _listen_for_echo(self, data: bytes) -> None:
        """Look for the last word in what comes before a packet: within one it may stand by chance."""
        before, header, _ = data.partition(HEADER)
        if self.request.acknowledged and not self.has_header and self.request.words[-1] in before:
            self.echo.is_heard = True
        self.has_header = self.has_header or bool(header) or data.endswith(HEADER[:1])

    def _wait(self, seconds: float, deadline: float) -> bool:
        """Receive once; return whether anything came in. Raises NoAnswer when the time is over."""
        left = deadline - self.clock()
        if left <= 0:
            raise NoAnswer(self._why())
        data = self.receive(min(seconds, left))
        self.unread += data
        self.total += len(data)
        self.sample += data[: SAMPLE - len(self.sample)]
        return bool(data)

    def _why(self) -> str:
        name = name_device(self.request.device)
        if self.total:
            came = f"{self.total} byte{'s' * (self.total > 1)} came in{self._seen()}"
            return f"{name} was asked, but sent no complete packet within {self.timeout:g} s ({came})."
        hint = (
            "its power, its line and its name here"
            if self.request.device
            else 'its power; is it an ECM? ["fc"] asks one'
        )
        return f"{name} was asked, but sent nothing within {self.timeout:g} s: check {hint}."

    def _seen(self) -> str:
        """Describe what came in, with advice, unless the advice would be to ask the meter."""
        kind = recognize(self.sample)
        return f": {kind.seen}" if kind.is_silence else f": {kind.seen}. {kind.advice}"

    def _read_on(self) -> tuple[bytes, bool]:
        """Read `unread` up to an incomplete packet, or up to and with an acknowledgement.

        Return the bytes for the decoder, and whether an acknowledgement ended them.
        """
        view = memoryview(self.unread)
        index = 0
        found = False
        while (index := self._next(index)) < len(view):
            seen = _DECODER.decode_packet(view[index:])
            found = not isinstance(seen, Packet | Incomplete) and view[index] == ACKNOWLEDGE
            if found or isinstance(seen, Incomplete):
                break
            index += seen.size if isinstance(seen, Packet) else 1
        data, self.unread = self.unread[:index], self.unread[index + found :]
        return data, found

    def _next(self, index: int) -> int:
        """Return the next index at which a packet may start or an acknowledgement stands, or may with more bytes."""
        found = _OF_INTEREST.search(self.unread, index)
        return found.start() if found else max(index, len(self.unread) - len(HEADER))


def name_device(device: str) -> str:
    """Return what a message calls a device; "" is the only GEM on the line."""
    return f"meter {device}" if device else "the GEM"


_DECODER = Brultech()
_DECODERS = Decoders([_DECODER])

_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)

_OF_INTEREST = re.compile(b"(?s:%b)|%b" % (_DECODER.candidate, re.escape(bytes([ACKNOWLEDGE]))))
