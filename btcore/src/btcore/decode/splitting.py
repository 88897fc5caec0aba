# SPDX-License-Identifier: GPL-3.0-or-later
"""Splitting a stream into its packets and the bytes between them, for a source that passes them on.

What is a packet is decided as everywhere (`framing.py`). Who is given which piece belongs to the source.
"""

from datetime import UTC, datetime

from btcore.classes import define, field
from btcore.decode.framing import Stream
from btcore.records import Packet, Piece

_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)


@define
class PacketSplitter:
    """The pieces of one stream. The beginning of a packet is held until the rest of it is there."""

    _stream: Stream
    _pieces: list[Piece] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        """Listen to the stream."""
        self._stream.on_piece = self._add

    @property
    def held(self) -> bytes:
        """The last bytes, which may be the beginning of a packet."""
        return self._stream.rest

    def feed(self, data: bytes) -> list[Piece]:
        """Take what came in; return the pieces that are known now, in order."""
        self._stream.feed(data, _ANY_TIME)
        return self._take()

    def close(self) -> list[Piece]:
        """Return the last pieces, as no more bytes will come."""
        self._stream.close()
        return self._take()

    def _add(self, data: bytes, packet: Packet | None) -> None:
        self._pieces.append(Piece(data, packet))

    def _take(self) -> list[Piece]:
        pieces, self._pieces = self._pieces, []
        return pieces
