# SPDX-License-Identifier: GPL-3.0-or-later
"""A serial line, and the meters at the far end of it: a real pty, and answers as those of an ECM or a GEM.

    wire = Wire(tmp_path / "ttyUSB0")
    meters = Meters(wire, {"fc": [packet, packet], "21234": [packet]})

Whatever opens `wire.path` asks them as it would ask real ones. They understand what clients of this project send.
"""

import os
import re
import select
import time
import tty
from collections.abc import Mapping
from pathlib import Path
from threading import Event, Thread

ACKNOWLEDGE = b"\xfc"
WORD = re.compile(rb"[\xfc-\xff]|SPK|\^\^\^(?:NMB([0-9]{5}))?APISPK")


class Wire:
    """A serial line: a pty under a name that stays when another takes its place, as udev's names do."""

    def __init__(self, name: Path) -> None:
        """Plug a new line in under this name."""
        self.path = str(name)
        self._name = name
        self.plug()

    def plug(self) -> None:
        """Plug in, as a new adapter is."""
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        self._name.symlink_to(os.ttyname(self._near))

    def unplug(self) -> None:
        """Take the adapter out."""
        if self._name.is_symlink():
            self._name.unlink()
            os.close(self._far)
            os.close(self._near)

    def send(self, data: bytes) -> None:
        """Send from the meter's end."""
        while data:
            data = data[os.write(self._far, data) :]

    def hear(self) -> bytes:
        """Return what was sent to the meter, if anything was just now."""
        return os.read(self._far, 4096) if select.select([self._far], [], [], 0.02)[0] else b""


class Meters:
    """The meters on a line, by device byte or the end of a serial number: each that is named here answers as it should.

    `noise` comes before every packet that is sent. `asked` tells who was asked for a packet, and when. On a line of two
    wires (RS-485) what is sent to them comes back: `echoes`.
    """

    def __init__(
        self, wire: Wire, packets: Mapping[str, list[bytes]], noise: bytes = b"", *, echoes: bool = False
    ) -> None:
        """Switch them on; each has so many packets to send, and is silent then."""
        self._echoes = echoes
        self.asked: list[tuple[str, float]] = []
        self._wire, self._noise = wire, noise
        self._packets = {name: iter(each) for name, each in packets.items()}
        self._chosen = ""
        self._off = Event()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def switch_off(self) -> None:
        """Switch all of them off."""
        self._off.set()
        self._thread.join()

    def _run(self) -> None:
        heard = b""
        while not self._off.is_set():
            new = self._wire.hear()
            if self._echoes and new:
                self._wire.send(new)
            heard += new
            while word := WORD.search(heard):
                heard = heard[word.end() :]
                self._wire.send(self._answer(word))

    def _answer(self, word: re.Match[bytes]) -> bytes:
        if len(word[0]) == 1:
            self._chosen = word[0].hex()
            return ACKNOWLEDGE if self._chosen in self._packets else b""
        if word[0] == b"SPK":
            return ACKNOWLEDGE + self._packet(self._chosen)
        return self._packet((word[1] or b"").decode())

    def _packet(self, name: str) -> bytes:
        self.asked.append((name, time.monotonic()))
        packet = next(self._packets.get(name, iter(())), b"")
        return self._noise + packet if packet else b""
