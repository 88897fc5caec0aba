# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking a meter for a packet: what is sent, what must come back, and when to give up.

It is the same over a serial line and over TCP, so there is no I/O here: a plugin passes `send` and `receive`, and gets
the bytes for the decoder. Reading or changing the settings of a meter does not belong here.
"""

import logging
import math
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from logging import Logger
from typing import Any

import attrs

from btcore.decode.brultech import HEADER, Brultech
from btcore.decode.decoders import Decoders
from btcore.decode.recognition import SAMPLE, recognize
from btcore.decode.respondents import Respondents
from btcore.errors import BtcoreError, Problem
from btcore.records import Incomplete, Packet

Send = Callable[[bytes], object]
"""Send all of these bytes. Raises OSError when the line is gone."""

Receive = Callable[[float], bytes]
"""Wait at most so many seconds for bytes and return them, or b"" if none came in. Raises OSError as `Send` does."""

ACKNOWLEDGE = 0xFC
MAX_WAIT = 0.5
"""Seconds of the longest single wait, so that the caller can stop soon."""
EARLY = 0.2
"""Seconds before its time at which a device may be asked, so that several that are due together are asked together."""
QUIET = 0.3
"""Seconds of silence after a packet that end an answer: a GEM may answer with up to five ECM-1240 packets."""


class NoAnswer(BtcoreError):
    """A meter that was asked has sent no complete packet in time; the text says what came in."""


@attrs.frozen
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


def validate_devices(_instance: object, _attribute: Any, value: Sequence[str]) -> None:  # noqa: ANN401 - attrs' own type
    """Validate a setting `devices`. Raises ValueError as `poll_requests` does, and for a device that is named twice."""
    names = [request.words for request in poll_requests(value)]
    twice = [device for device, words in zip(value, names, strict=False) if names.count(words) > 1]
    if twice:
        raise ValueError(f"expected each device once, but {', '.join(map(repr, twice))} are the same")


@attrs.define
class Echo:
    """Whether what is sent on a line comes back, as on RS-485 with two wires.

    The echo of an ECM's device byte looks like its acknowledgement. So it is learned from the word after that.
    """

    is_heard: bool = False


def check_polling(
    devices: Sequence[str], poll_interval: float, poll_intervals: Mapping[str, float]
) -> Iterator[Problem]:
    """Find devices that would never be asked, and intervals of devices that there are not."""
    if devices and not poll_interval:
        yield Problem(
            'devices has an effect only with poll_interval: add poll_interval = "10s", or remove devices',
            key="devices",
        )
    for device in poll_intervals:
        if device not in devices:
            known = ", ".join(devices) or "none"
            yield Problem(f'device "{device}" is none of those in `devices` ({known})', key="poll_intervals")


def next_due(due: float, interval: float, now: float) -> float:
    """Return the next time of a steady schedule after `now`: times that have passed are left out, not caught up."""
    return due + interval * (math.floor((now - due) / interval) + 1)


@attrs.define(kw_only=True)
class Poll:
    """Asks devices in turn, again and again.

    A device that does not answer is skipped; the log says so once, and once more when it answers again. The same holds
    for a device for which another meter answers; the packets of that meter are kept.

    `timeout` is how many seconds a meter has for each step of its answer. `interval` is how often a device is asked, in
    seconds, `intervals` the same for those that have their own. A device that answered before and does not now is
    asked again up to `retries` times, after all others: so one that never answers delays them by its time-out at most.
    """

    devices: Sequence[str] = attrs.field(validator=validate_devices)
    timeout: float
    log: Logger
    clock: Callable[[], float] = time.monotonic
    interval: float = 0.0
    intervals: Mapping[str, float] = attrs.field(factory=dict)
    retries: int = 0
    _due: dict[str, float] = attrs.field(factory=dict, init=False)
    _echo: Echo = attrs.field(factory=Echo, init=False)
    _silent: set[str] = attrs.field(factory=set, init=False)
    _respondents: Respondents = attrs.field(factory=Respondents, init=False)

    def ask_all(self, send: Send, receive: Receive) -> Iterator[bytes]:
        """Ask every device once and yield all bytes that come in, except the acknowledgements.

        Yields at least every half second, b"" if nothing came in, so that the caller can stop. An OSError of `send` or
        `receive` is passed on.
        """
        yield from self._ask(poll_requests(self.devices), send, receive)

    def ask_due(self, send: Send, receive: Receive) -> Iterator[bytes]:
        """Do the same with the devices that are due, each by its own interval; at first all are."""
        now = self.clock()
        due = [request for request in poll_requests(self.devices) if self._due.get(request.device, now) <= now + EARLY]
        for request in due:
            interval = self.intervals.get(request.device, self.interval)
            began = self._due.get(request.device, now)
            self._due[request.device] = next_due(began, interval, now + EARLY) if interval else now
        yield from self._ask(due, send, receive)

    @property
    def next_due(self) -> float:
        """When a device is to be asked next, by `clock`; now, if none was asked yet."""
        return min(self._due.values(), default=self.clock())

    def _ask(self, requests: Sequence[Request], send: Send, receive: Receive) -> Iterator[bytes]:
        for retries_left in range(self.retries, -1, -1):
            again = []
            for request in requests:
                try:
                    packets = yield from ask(
                        request, send, receive, timeout=self.timeout, clock=self.clock, echo=self._echo
                    )
                except NoAnswer as failure:
                    if retries_left and request.device not in self._silent:
                        again.append(request)
                    else:
                        self._failed(request.device, failure)
                else:
                    self._answered(request.device, packets)
            if not again:
                return
            requests = again

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


@attrs.define(kw_only=True)
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
    packets: list[Packet] = attrs.field(factory=list)

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
        name = _name(self.request.device)
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


def _name(device: str) -> str:
    return f"meter {device}" if device else "the GEM"


_DECODER = Brultech()
_DECODERS = Decoders([_DECODER])

_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)

_OF_INTEREST = re.compile(b"(?s:%b)|%b" % (_DECODER.candidate, re.escape(bytes([ACKNOWLEDGE]))))
