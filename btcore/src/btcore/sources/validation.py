# SPDX-License-Identifier: GPL-3.0-or-later
"""What a source yields is checked here, where it enters: after this, the core relies on it.

The records check themselves where they are made (`records.py`); what a decoder makes is checked in
`decode/decoders.py`.
"""

from collections.abc import Generator, Iterable, Sequence

from btcore.errors import InvalidPluginResult
from btcore.formats import describe_type
from btcore.records import Chunk, Reading, SourceCheckpoint

ITEMS = (Chunk, Reading, SourceCheckpoint)

EXPECTED = "expected a Chunk, a Reading or a SourceCheckpoint"


def checked_items(
    collected: object, plugin: str, formats: Sequence[str] = ()
) -> Generator[Chunk | Reading | SourceCheckpoint, None, None]:
    """Yield what a source's `collect` yields, each as it comes. Raises InvalidPluginResult for anything else.

    Readings of other formats than these, where there are any, are left out. The source's generator is closed as well.
    """
    if collected is None or isinstance(collected, str | bytes) or not isinstance(collected, Iterable):
        raise InvalidPluginResult(
            f'the plugin "{plugin}" returned {describe_type(collected)} from collect; expected an iterator'
        )
    items = iter(collected)
    try:
        for item in items:
            if not isinstance(item, ITEMS):
                raise InvalidPluginResult(f'the plugin "{plugin}" yielded {describe_type(item)}; {EXPECTED}')
            if not formats or not isinstance(item, Reading) or item.format.name in formats:
                yield item
    finally:
        close = getattr(items, "close", None)
        if callable(close):
            close()
