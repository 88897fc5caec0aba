# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of btmon-serial share: recorded packets, serial lines, and what the core does with a source."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Condition, Event, Thread

import pytest
from servers.serial_line import Meters, Wire

from btcore import Context, Packet
from btcore.decode.brultech import Brultech
from btmon_serial.line import SerialLine

LONG = 10.0
"""Seconds after which what is waited for will not come."""


Packets = Callable[[bytes], list[bytes]]


def decoded(data: bytes) -> list[bytes]:
    """Return the packets that the core decodes from a stream."""
    decoder, place, found = Brultech(), 0, []
    while place < len(data):
        answer = decoder.decode_packet(memoryview(data)[place:])
        if isinstance(answer, Packet):
            found.append(answer.raw)
        place += answer.size if isinstance(answer, Packet) else 1
    return found


class Ear:
    """What the core does with a source: opens it, collects in a thread until it is stopped or fails, closes it."""

    def __init__(self, source: SerialLine) -> None:
        """Open it and begin to collect."""
        self.data = b""
        self.sizes: list[int] = []
        self.failure = ""
        self._source, self._stop, self._news = source, Event(), Condition()
        source.open(Context(name="source.test", log=logging.getLogger("test")))
        self._thread = Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            for chunk in self._source.collect(self._stop):
                self._add(chunk.data)
        except Exception as error:  # noqa: BLE001 - the core takes any
            self.failure = f"{type(error).__name__}: {error}"
        finally:
            self._source.close()
            self._add(b"")

    def _add(self, data: bytes) -> None:
        with self._news:
            self.data += data
            self.sizes.append(len(data))
            self._news.notify_all()

    def until(self, done: Callable[[], object]) -> None:
        """Wait until it is done; fails when it takes too long."""
        with self._news:
            assert self._news.wait_for(done, LONG), f"{len(self.data)} bytes came in, then: {self.failure}"

    def pause(self) -> None:
        """Let a moment pass, less if something comes in."""
        with self._news:
            self._news.wait(0.05)

    def fails(self) -> str:
        """Return the failure that ended it, once it is closed."""
        self._thread.join(LONG)
        return self.failure

    def hears(self, data: bytes) -> bytes:
        """Return all that came in, as soon as it is as long as this."""
        self.until(lambda: len(self.data) >= len(data))
        return self.data

    def stop(self) -> float:
        """Stop it; return how many seconds that took."""
        begin = time.monotonic()
        self._stop.set()
        self._thread.join(LONG)
        return time.monotonic() - begin


@pytest.fixture
def packets_in() -> Packets:
    """Give what decodes the packets of a stream."""
    return decoded


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    """Plug a line in."""
    made = Wire(tmp_path / "pci-0000:00:14.0-usb-0:2:1.0-port0")
    yield made
    made.unplug()


@pytest.fixture
def meters(wire: Wire) -> Iterator[Callable[..., Meters]]:
    """Give the maker of the meters at the far end of the line, which are switched off in the end."""
    made: list[Meters] = []

    def make(packets: Mapping[str, list[bytes]], noise: bytes = b"", *, echoes: bool = False) -> Meters:
        made.append(Meters(wire, packets, noise, echoes=echoes))
        return made[-1]

    yield make
    for each in made:
        each.switch_off()


@pytest.fixture
def listen() -> Iterator[Callable[[SerialLine], Ear]]:
    """Give the maker of ears, which are stopped in the end."""
    made: list[Ear] = []

    def make(source: SerialLine) -> Ear:
        made.append(Ear(source))
        return made[-1]

    yield make
    for each in made:
        each.stop()
