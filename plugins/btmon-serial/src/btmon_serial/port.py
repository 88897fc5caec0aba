# SPDX-License-Identifier: GPL-3.0-or-later
"""One open serial port: bytes in, bytes out, every wait and every buffer bounded.

What the bytes mean, when to ask for them and what to do about a port that fails is not here.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import serial

READ_TIMEOUT = 0.1
"""Seconds that one read of the port waits: the most by which `receive` is late to give up."""

WRITE_TIMEOUT = 1.0
"""Seconds until a write that the line does not take is given up."""

MAX_READ = 4096
"""Bytes that are returned at once at most: a line that never pauses must not keep its reader from all else."""


class Port:
    """A serial port that is open. Everything that fails raises OSError."""

    def __init__(self, url: str, baud: int) -> None:
        """Open a device path or a pyserial URL, 8N1, locked against other programs where the platform can do that.

        Raises ValueError for a URL or a speed that can never work.
        """
        import serial  # noqa: PLC0415 - a configuration without a serial line does not pay for it

        self._line: serial.Serial = serial.serial_for_url(
            url,
            baudrate=baud,
            timeout=READ_TIMEOUT,
            # rfc2217:// refuses to be given one; its socket has its own
            write_timeout=None if url.lower().startswith("rfc2217:") else WRITE_TIMEOUT,
            exclusive=True,
        )

    def receive(self, seconds: float) -> bytes:
        """Wait at most so many seconds for bytes, and return what has come in, up to MAX_READ; empty if nothing did."""
        deadline = time.monotonic() + seconds
        while not (data := self._read()) and time.monotonic() < deadline:
            pass
        return data

    def _read(self) -> bytes:
        data = bytearray(self._line.read(1))
        with suppress(OSError):  # what came in before a failure is kept: the next read fails again
            # again until none is left: socket:// never counts more than one byte
            while data and len(data) < MAX_READ and (waiting := self._line.in_waiting):
                data += self._line.read(min(waiting, MAX_READ - len(data)))
        return bytes(data)

    def send(self, data: bytes) -> None:
        """Send all of these bytes to the meter."""
        self._line.write(data)

    def close(self) -> None:
        """Give the port back."""
        self._line.close()
