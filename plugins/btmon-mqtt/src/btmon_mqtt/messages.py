# SPDX-License-Identifier: GPL-3.0-or-later
"""A message, as all rooms hand it on. What is in it, and how it is sent, belongs elsewhere."""

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
