# SPDX-License-Identifier: GPL-3.0-or-later
"""A stranger's decoder whose packets are three bytes from `*` on: `*`, the seconds, and a level."""

from collections.abc import Callable
from typing import Any

from btcore import Format, Incomplete, Packet, hookimpl, plugin, setting
from btcore.journal import Entry, Journal
from helpers.times import START


def acme(name: str = "acme", **changed: Any) -> Format:  # noqa: ANN401 - of any kind
    """Make the format of a meter that sends `*`, its seconds, and a byte more."""
    made = {"labels": ("secs", "level"), "channels": (), "unpack": lambda raw: (raw[1], raw[2])}
    return Format(name, **{**made, **changed})


def failing(raw: bytes) -> tuple[int, int]:
    """Unpack but for a level of 13."""
    if raw[2] == 13:
        raise RuntimeError("13 is no level")
    return raw[1], raw[2]


@plugin(api=1)
class Acme:
    """Decodes three bytes from `*` on; what it makes of them may be anything."""

    make: Callable[[bytes], Any] = setting(help="makes the answer")

    @hookimpl
    def decode_packet(self, buffer: memoryview) -> Any:  # noqa: ANN401 - of any kind
        """Look at the first byte."""
        if bytes(buffer[:1]) != b"*":
            return None
        return self.make(bytes(buffer[:3])) if len(buffer) >= 3 else Incomplete()


def making(form: Format, **changed: Any) -> Acme:  # noqa: ANN401 - of any kind
    """Make a decoder of one format, with something else in its packets."""
    return Acme(make=lambda raw: Packet(**{"size": 3, "format": form, "serial": "7", "raw": raw, **changed}))


def levels(journal: Journal) -> list[int]:
    """Return the third byte of each packet that is kept."""
    return [entry.raw[2] for entry in journal.read(0, 100)]


def entry(n: int, level: int = 0, name: str = "acme") -> Entry:
    """Make the entry of a packet."""
    return Entry(START + n * 1_000_000, "panel", "7", name, b"*" + bytes([n, level]))


FINE = acme("fine")
OTHER = acme("other")
