# SPDX-License-Identifier: GPL-3.0-or-later
"""A journal that several programs deliver from at once: it has partitions, and each is worked by one of them at a time.

Which program works which partition is agreed by the programs, in the journal's own way. A journal of one computer has
no partitions, and is not asked about any.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol, cast

from btcore.journal import Journal


class Share(NamedTuple):
    """One partition of a sink, from 0 on: what one worker delivers."""

    sink: str
    partition: int

    def __str__(self) -> str:
        """Return what its worker is called."""
        return f"{self.sink} partition {self.partition}"


class PartitionedJournal(Journal, Protocol):
    """A journal with partitions. All readings of a meter are in one of them, in their order."""

    def partition(self, number: int) -> Journal:
        """Return one partition, from 0 on, as a journal with checkpoints of its own; the same one each time.

        Its dead letters are those of the meters in it. It is closed with the journal.
        """

    @property
    def partitions(self) -> int:
        """How many partitions there are."""

    def hold(self, sinks: Sequence[str], working: Collection[Share], unfit: Collection[str] = ()) -> Collection[Share]:
        """Return which shares of these sinks are this program's now; called about every second, it asks nobody.

        `working` are those that it works on still: none of them is given to another before it has left them, unless
        this program is not heard of for some seconds. Then a worker's next commit raises Superseded. `unfit` are sinks
        that this program cannot deliver to now: their shares are left to programs that can, where there are any.
        """


def replay_name(sink: str) -> str:
    """Return the name under which a journal keeps what is to be delivered to a sink again."""
    return f"{sink} (replay)"


def partitioned(journal: Journal) -> PartitionedJournal | None:
    """Return a journal as one with partitions; None where it has none."""
    return cast("PartitionedJournal", journal) if hasattr(journal, "partitions") else None


def parts_of(journal: Journal) -> list[Journal]:
    """Return what has the checkpoints of a journal's sinks: its partitions, or the journal."""
    with_parts = partitioned(journal)
    return [with_parts.partition(number) for number in range(with_parts.partitions)] if with_parts else [journal]
