# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is given what comes from the meters: packets go to all, the rest to the reader whose turn it is.

A packet is passed on when it is complete, so packets of several meters never mix on a reader's connection. What is no
packet goes to all, as on the meter's own line, where nobody has the turn.
"""

from collections.abc import Callable
from threading import Lock

import attrs

from btcore import Chunk, MeterCommands, Splitter
from btmon_tee.readers import Readers
from btmon_tee.turns import Turns


@attrs.define
class _Line:
    """One stream. `revealed`: how many bytes of what is held a reader was given before it was known what they are."""

    splitter: Splitter
    revealed: int = 0
    has_packets: bool = False


class Router:
    """The streams of the meters' side."""

    def __init__(self, splitter: Callable[[], Splitter], readers: Readers, commands: MeterCommands) -> None:
        """Begin without a stream; `turns` is set by whoever has them."""
        self._make, self._readers, self._commands = splitter, readers, commands
        self._lock = Lock()
        self._lines: dict[str, _Line] = {}
        self.turns: Turns | None = None

    def streams(self) -> list[str]:
        """Return the streams on which there are meters; none if that is not known yet."""
        with self._lock:
            return [name for name, line in self._lines.items() if line.has_packets]

    def restart(self) -> None:
        """Begin anew, without what was left of a line that failed: it is not continued by what comes now."""
        with self._lock:
            self._lines.clear()

    def route(self, chunk: Chunk) -> None:
        """Pass on what has come in."""
        with self._lock:
            line = self._lines.get(chunk.stream)
            if line is None:
                line = self._lines[chunk.stream] = _Line(self._make())
            pieces = [*line.splitter.feed(chunk.data)]
            if chunk.end:
                pieces += line.splitter.close()
                del self._lines[chunk.stream]
            for piece in pieces:
                if piece.packet is not None:
                    line.has_packets, line.revealed = True, 0
                    self._packet(piece.data)
                else:
                    self._other(piece.data[line.revealed :])
                    line.revealed = max(0, line.revealed - len(piece.data))

    def settle(self) -> None:
        """Show what is held to whose turn it is: the line is quiet, so it may be the end of an answer."""
        with self._lock:
            for line in self._lines.values():
                held = line.splitter.held
                self._other(held[line.revealed :])
                line.revealed = len(held)

    def _packet(self, data: bytes) -> None:
        if self.turns is not None:
            self.turns.answered(by_packet=True)
        self._readers.pass_on(data)

    def _other(self, data: bytes) -> None:
        if not data or self.turns is None:
            return
        owner = self.turns.owner
        if owner is not None:
            self.turns.answered(by_packet=False)
            self._readers.pass_on(data, only=owner)
        elif not self._commands.is_busy:  # else it answers `btcore device`
            self._readers.pass_on(data)
