"""What `process_batch` check_result: of how many of a batch's readings something was sent or stored.

Checked here, once, where it comes in. What it raises is `worker.py`'s.
"""

from typing import Self

import attrs

from btcore.errors import InvalidPluginResult
from btcore.formats import describe_type
from btcore.records import Batch


@attrs.frozen
class BatchResult:
    """How many readings of a batch were delivered, had no sample to be sent, and were not wanted by the settings.

    `is_wanted`: something of the batch was wanted. `is_proof`: it was taken, so the settings work.
    """

    delivered: int
    unsampled: int = 0
    unwanted: int = 0
    is_wanted: bool = True
    is_proof: bool = True

    @classmethod
    def all(cls, batch: Batch) -> Self:
        """Say that everything was wanted. Without a sample perhaps nothing was sent, so it proves nothing."""
        return cls(len(batch.readings), is_proof=bool(batch.samples))


def check_result(said: object, batch: Batch) -> BatchResult:
    """Return what a plugin said of a batch: None, all of it. Raises InvalidPluginResult for nonsense."""
    if said is None:
        return BatchResult.all(batch)
    count = len(batch.readings)
    if type(said) is not int or not 0 <= said <= count:
        found = str(said) if type(said) is int else describe_type(said)
        raise InvalidPluginResult(
            f"process_batch returned {found}; expected None, or how many of its {count} readings it took"
        )
    unsampled = min(count - batch.sampled, count - said)
    return BatchResult(said, unsampled, count - said - unsampled, is_wanted=said > 0, is_proof=said > 0)
