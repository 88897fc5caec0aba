# SPDX-License-Identifier: GPL-3.0-or-later
"""What `process_batch` returns: of how many of a batch's readings something was sent or stored.

It is checked here, once, where it enters. What `process_batch` raises is handled in `calls.py`.
"""

from collections.abc import Iterable
from typing import Self

from btcore.classes import frozen
from btcore.errors import InvalidPluginResult
from btcore.formats import describe_type
from btcore.records import Batch


@frozen
class BatchResult:
    """How many readings of a batch were delivered, had no sample, and were not selected by the settings.

    `is_any_wanted`: the settings select something in it. `proves_settings`: it was accepted, so the settings work.
    """

    delivered: int
    without_sample: int = 0
    unwanted: int = 0
    is_any_wanted: bool = True
    proves_settings: bool = True

    @classmethod
    def all(cls, batch: Batch) -> Self:
        """Return the result of a batch that was delivered entirely. Without a sample, it proves no settings."""
        return cls(len(batch.readings), proves_settings=bool(batch.samples))


def check_stored(returned: object) -> frozenset[tuple[str, int]]:
    """Return the checked answer of `find_stored`. Raises InvalidPluginResult for anything but pairs."""
    pairs = list(returned) if isinstance(returned, Iterable) else None
    if pairs is None or not all(_is_identity(pair) for pair in pairs):
        raise InvalidPluginResult("find_stored: expected pairs of a serial number (text) and a key (a whole number)")
    return frozenset((serial, key) for serial, key in pairs)


def _is_identity(pair: object) -> bool:
    return isinstance(pair, tuple) and tuple(map(type, pair)) == (str, int)


def check_result(returned: object, batch: Batch) -> BatchResult:
    """Return the checked result of a batch; None means all of it. Raises PluginMistake for anything but a count."""
    if returned is None:
        return BatchResult.all(batch)
    count = len(batch.readings)
    if type(returned) is not int or not 0 <= returned <= count:
        found = str(returned) if type(returned) is int else describe_type(returned)
        raise InvalidPluginResult(
            f"process_batch returned {found}; expected None, or how many of its {count} readings it took"
        )
    without_sample = min(count - batch.sampled, count - returned)
    return BatchResult(
        returned,
        without_sample,
        count - returned - without_sample,
        is_any_wanted=returned > 0,
        proves_settings=returned > 0,
    )
