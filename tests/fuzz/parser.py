# SPDX-License-Identifier: GPL-3.0-or-later
"""A parser that is fuzzed: what must hold of it whatever bytes it is given, and examples of what it is made for.

The rooms are by what brings the bytes: `incoming.py` (lines and connections), `files.py`, `texts.py` (what people and
other programs write). How the bytes are made is in `run.py`.
"""

from collections.abc import Callable, Iterator, Sequence

import attrs


@attrs.frozen
class Parser:
    """`check` raises where something does not hold; `seeds` are what the parser understands."""

    check: Callable[[bytes], None]
    seeds: Sequence[bytes]

    def __call__(self, data: bytes) -> None:
        """Check what becomes of some bytes."""
        self.check(self.seeded(data))

    def seeded(self, data: bytes) -> bytes:
        """Put bytes into a seed, in place of some or before the rest; or take them as they are.

        The first byte says which seed and which way, the next two where and how much of it is replaced.
        """
        if len(data) < 3:
            return data
        choice, at, replaced = data[0], data[1], data[2]
        index, way = divmod(choice, 3)
        if index >= len(self.seeds):
            return data[1:]
        seed = self.seeds[index]
        cut = at * len(seed) // 255
        rest = (b"", seed[cut:], seed[cut + replaced % (len(data) + 1) :])[way]
        return seed[:cut] + data[3:] + rest


def pieces(data: bytes) -> Iterator[bytes]:
    """Split bytes at sizes that their first byte says."""
    size = 1 + (data[0] if data else 0)
    for at in range(1, len(data), size):
        yield data[at : at + size]
