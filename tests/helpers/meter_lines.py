# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines to meters for tests of conversations: time stands still until somebody waits; the far end answers at once."""

from collections.abc import Callable

import attrs

from btcore.testing import Clock

FarEnd = Callable[[bytes], bytes]
"""What is at the far end: it is given what is sent, and returns what it answers."""


@attrs.define
class MeterLine:
    """A line whose far end answers what is sent to it. `sent` is what was; `unread` is what comes in next."""

    far_end: FarEnd
    clock: Clock = attrs.field(factory=Clock)
    sent: list[bytes] = attrs.field(factory=list)
    unread: bytes = b""

    def send(self, data: bytes) -> None:
        """Send to the far end."""
        self.sent.append(data)
        self.unread += self.far_end(data)

    def receive(self, seconds: float) -> bytes:
        """Return what has come in; if nothing has, let the time pass."""
        received, self.unread = self.unread, b""
        if not received:
            self.clock.now += seconds
        return received

    def drain(self, seconds: float) -> bytes:
        """Return what has come in, and let the time pass."""
        received, self.unread = self.unread, b""
        self.clock.now += seconds
        return received
