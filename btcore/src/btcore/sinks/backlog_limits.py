# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a backlog is above the limits of its sink: too old, or too many bytes.

The journal says how much waits; only what is above the limits is looked at one by one. Nothing here takes long, so
nobody waits for it. Moving the checkpoint over it does not belong here.
"""

from collections.abc import Iterator

from btcore.journal import EntrySize, Journal, Offset

PORTION = 1000
"""Entries that are asked for at once."""


def find_excess(journal: Journal, after: Offset, max_bytes: int, oldest: int) -> tuple[Offset, int]:
    """Return the offset up to which entries after an offset are above the limits, and how many they are.

    `max_bytes` is of packets, 0 for any number; `oldest` is a key, 0 for any age. Raises Unavailable.
    """
    lag = journal.lag(after)
    surplus = lag.size - max_bytes if max_bytes else 0
    limit, count = after, 0
    if surplus <= 0 and lag.oldest >= oldest:
        return limit, count
    is_old = True
    for entry in _sizes(journal, after):
        is_old = is_old and entry.key < oldest
        if surplus <= 0 and not is_old:
            break
        limit, count, surplus = entry.offset, count + 1, surplus - entry.size
    return limit, count


def _sizes(journal: Journal, after: Offset) -> Iterator[EntrySize]:
    while some := journal.sizes(after, PORTION):
        yield from some
        after = some[-1].offset
