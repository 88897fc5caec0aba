# SPDX-License-Identifier: GPL-3.0-or-later
"""A message, as all rooms hand it on, and its size. What is in it, and how it is sent, belongs elsewhere."""

import attrs


@attrs.frozen
class Message:
    """A text for a topic; `retain`: the broker keeps it for those who subscribe later."""

    topic: str
    payload: str
    retain: bool = False

    def __str__(self) -> str:
        """Return topic and text, for a dry run."""
        return f"{self.topic} {self.payload}"


def packet_size(message: Message) -> int:
    """Return how many bytes the packet of a message has in MQTT 5, with qos 1 or 2 and without properties."""
    body = 2 + len(message.topic.encode()) + 2 + 1 + len(message.payload.encode())
    return 1 + sum(body >= 1 << bits for bits in (0, 7, 14, 21)) + body
