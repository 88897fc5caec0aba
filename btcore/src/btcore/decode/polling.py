"""Asking a meter for a packet: what is sent, what has to come back, and when to give up.

The same over a serial line and over TCP, so there is no I/O here: a plugin hands in `send` and `receive`, and gets back
the bytes for the decoder. Reading a meter's settings, or changing them, does not belong here.
"""

import logging
import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime
from logging import Logger
from typing import Any

import attrs

from btcore.decode.brultech import HEADER, Brultech
from btcore.decode.decoders import Decoders
from btcore.decode.recognition import SAMPLE, recognize
from btcore.decode.respondents import Respondents
from btcore.errors import BtcoreError
from btcore.records import Incomplete, Packet

Send = Callable[[bytes], object]
"""Send all of these bytes. Raises OSError when the line is gone."""

Receive = Callable[[float], bytes]
"""Wait at most so many seconds for bytes and return what came in, b"" if nothing did. Raises OSError as `Send` does."""

ACKNOWLEDGE = 0xFC
LOOK = 0.5
"""Seconds of the longest single wait: how soon a caller can look whether it is to stop."""
QUIET = 0.3
"""Seconds of silence after a packet that end an answer: a GEM may answer with up to five ECM-1240 packets."""


class NoAnswer(BtcoreError):
    """A meter that was asked has sent no whole packet in time; the text says how far it came."""


@attrs.frozen
class Request:
    """What is sent to one meter for one packet: each word only after the one before was acknowledged, if they are."""

    device: str
    words: tuple[bytes, ...]
    acknowledged: bool


def poll_requests(devices: Sequence[str] = ()) -> tuple[Request, ...]:
    """Return the request of each device, in order; for no devices, that of the one GEM on the line.

    `fc`, `fd`, `fe` and `ff` are ECMs; five digits are the end of a GEM's serial number, eight the whole of it. Raises
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


def validate_devices(_instance: object, _attribute: Any, value: Sequence[str]) -> None:  # noqa: ANN401 - attrs' own type
    """Validate a setting `devices`. Raises ValueError as `poll_requests` does, and for a device that is named twice."""
    names = [request.words for request in poll_requests(value)]
    twice = [device for device, words in zip(value, names, strict=False) if names.count(words) > 1]
    if twice:
        raise ValueError(f"expected each device once, but {', '.join(map(repr, twice))} are the same")


@attrs.define(kw_only=True)
class Poll:
    """Asks devices in turn, time after time. One that does not answer is skipped, and logged when that begins and ends.

    So is one for which another meter answers; what that sends is as good as any.

    `timeout` is how many seconds a meter has for each step of its answer.
    """

    devices: Sequence[str] = attrs.field(validator=validate_devices)
    timeout: float
    log: Logger
    clock: Callable[[], float] = time.monotonic
    _silent: set[str] = attrs.field(factory=set, init=False)
    _respondents: Respondents = attrs.field(factory=Respondents, init=False)

    def ask_all(self, send: Send, receive: Receive) -> Iterator[bytes]:
        """Ask every device once and yield all bytes that come in, but for the acknowledgements.

        Yields b"" where nothing came, at least every half second, so that the caller can look whether it is to stop.
        An OSError of `send` or `receive` is passed on.
        """
        for request in poll_requests(self.devices):
            try:
                packets = yield from ask(request, send, receive, timeout=self.timeout, clock=self.clock)
            except NoAnswer as failure:
                self._failed(request.device, failure)
            else:
                self._answered(request.device, packets)

    def _failed(self, device: str, failure: NoAnswer) -> None:
        if device not in self._silent:
            self._silent.add(device)
            self.log.warning("%s It is asked again each time; that is logged when it answers.", failure)

    def _answered(self, device: str, packets: Sequence[Packet]) -> None:
        if device in self._silent:
            self._silent.remove(device)
            self.log.info("%s answers again", _name(device))
        if remark := self._respondents.answered(device, packets):
            self.log.log(logging.INFO if remark.is_good else logging.WARNING, "%s", remark.text)


def ask(
    request: Request,
    send: Send,
    receive: Receive,
    *,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[bytes, None, list[Packet]]:
    """Ask one meter, and yield what comes in until its packet is whole: see `Poll.ask_all`. Raises NoAnswer.

    Returns the packets that came once it had been asked.
    """
    line = _Line(request=request, receive=receive, timeout=timeout, clock=clock)
    try:
        for word in request.words:
            send(word)
            if request.acknowledged:
                yield from line.acknowledgement()
        yield from line.packet()
    except (NoAnswer, OSError):
        yield line.unread  # what looked like the start of a packet may hide a whole one
        if not line.packets:  # a gateway may hang up as soon as it has passed the answer on
            raise
    return line.packets


@attrs.define(kw_only=True)
class _Line:
    """What comes in during one request. `unread` has come in but may be the start of a packet that is not complete.

    `packets` are those of the answer, `sample` is the beginning of what came in.
    """

    request: Request
    receive: Receive
    timeout: float
    clock: Callable[[], float]
    unread: bytes = b""
    total: int = 0
    sample: bytes = b""
    packets: list[Packet] = attrs.field(factory=list)

    def acknowledgement(self) -> Iterator[bytes]:
        """Wait for the byte that acknowledges; inside a packet of a meter in real-time mode, it is data."""
        deadline = self.clock() + self.timeout
        while True:
            data, found = self._read_on()
            yield data
            if found:
                return
            if not self._wait(LOOK, deadline) and self.unread.endswith(bytes([ACKNOWLEDGE])):
                # the beginning of a packet that never came to its end, then the answer
                data, self.unread = self.unread[:-1], b""
                yield data
                return

    def packet(self) -> Iterator[bytes]:
        """Wait for a whole packet, and then until the line is quiet."""
        deadline = self.clock() + self.timeout
        stream = _DECODERS.stream()  # as the core's own: it undoes what a telnet port does
        while True:
            data, self.unread = self.unread, b""
            self.packets += [packet for packet, _ in stream.feed(data, _ANY_TIME)]
            yield data
            came = self._wait(QUIET if self.packets else LOOK, deadline)
            if self.packets and not came and not stream.is_waiting:
                return

    def _wait(self, seconds: float, deadline: float) -> bool:
        """Receive once; answer whether anything came. Raises NoAnswer when the time is over."""
        left = deadline - self.clock()
        if left <= 0:
            raise NoAnswer(self._why())
        data = self.receive(min(seconds, left))
        self.unread += data
        self.total += len(data)
        self.sample += data[: SAMPLE - len(self.sample)]
        return bool(data)

    def _why(self) -> str:
        name = _name(self.request.device)
        if self.total:
            came = f"{self.total} byte{'s' * (self.total > 1)} came in{self._seen()}"
            return f"{name} was asked, but sent no whole packet within {self.timeout:g} s ({came})."
        hint = (
            "its power, its line and its name here"
            if self.request.device
            else 'its power; is it an ECM? ["fc"] asks one'
        )
        return f"{name} was asked, but sent nothing within {self.timeout:g} s: check {hint}."

    def _seen(self) -> str:
        """Say what came in; what to do about it, where being asked is not what its advice would be."""
        kind = recognize(self.sample)
        return f": {kind.seen}" if kind.is_silence else f": {kind.seen}. {kind.advice}"

    def _read_on(self) -> tuple[bytes, bool]:
        """Read `unread` up to a packet that is not complete, or past an acknowledgement.

        Return the bytes for the decoder, and whether an acknowledgement ended them.
        """
        view = memoryview(self.unread)
        place = 0
        found = False
        while (place := self._next(place)) < len(view):
            seen = _DECODER.decode_packet(view[place:])
            found = not isinstance(seen, Packet | Incomplete) and view[place] == ACKNOWLEDGE
            if found or isinstance(seen, Incomplete):
                break
            place += seen.size if isinstance(seen, Packet) else 1
        data, self.unread = self.unread[:place], self.unread[place + found :]
        return data, found

    def _next(self, place: int) -> int:
        """Return the next place where a packet may start, or an acknowledgement is, or may when more has come."""
        found = _OF_INTEREST.search(self.unread, place)
        return found.start() if found else max(place, len(self.unread) - len(HEADER))


def _name(device: str) -> str:
    return f"meter {device}" if device else "the GEM"


_DECODER = Brultech()
_DECODERS = Decoders([_DECODER])

_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)

_OF_INTEREST = re.compile(b"(?s:%b)|%b" % (_DECODER.candidate, re.escape(bytes([ACKNOWLEDGE]))))
