# SPDX-License-Identifier: GPL-3.0-or-later
"""The calculated values of a sample: a mapping by label, and below it a tuple, in which each label has its index.

The indexes are found once for each packet format. So nobody makes a dict of the 480 values of a GEM, which takes longer
than to calculate them, and whoever wants many of them (a row of a table) picks them by those.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from btcore.classes import field, frozen
from btcore.formats import Number

Picker = Callable[[Mapping[str, Number]], tuple[Any, ...]]
"""Returns some of the values of a sample."""


@frozen(eq=False)
class Indexes:
    """Where the values of each label are, in the order of the labels."""

    by_label: dict[str, int]
    in_order: Callable[[Sequence[Number]], Sequence[Number]] = field(init=False)
    """Returns numbers in the order of the labels."""

    @in_order.default
    def _in_order(self) -> Callable[[Sequence[Number]], Sequence[Number]]:
        indexes = tuple(self.by_label.values())
        return itemgetter(*indexes) if len(indexes) > 1 else tuple


class Calculated(Mapping[str, Number]):
    """Values by label, which never change."""

    __slots__ = ("index", "indexes", "numbers")

    indexes: Indexes
    index: dict[str, int]
    numbers: tuple[Number, ...]

    def __getitem__(self, label: str) -> Number:
        """Return a value. Raises KeyError for a label that there is not."""
        return self.numbers[self.index[label]]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the labels."""
        return iter(self.index)

    def __len__(self) -> int:
        """How many values there are."""
        return len(self.index)

    def copy(self) -> dict[str, Number]:
        """Return a dict of the values: 15 µs for 480 of a GEM; the one that is filled is large enough."""
        values: dict[str, Number] = {**self.index}
        values.update(zip(self.index, self.indexes.in_order(self.numbers), strict=True))
        return values


def calculated(indexes: Indexes, numbers: tuple[Number, ...]) -> Calculated:
    """Take the numbers, and where each label is: without an `__init__` in half of the time."""
    values = Calculated()
    values.indexes = indexes
    values.index = indexes.by_label
    values.numbers = numbers
    return values


def picker(labels: Sequence[str]) -> Picker:
    """Return what picks the values of at least two labels of samples. It raises KeyError where one is missing."""
    by_label, by_index = itemgetter(*labels), dict[Indexes, Any]()

    def pick(values: Mapping[str, Number]) -> tuple[Any, ...]:
        if not isinstance(values, Calculated):
            return by_label(values)  # type: ignore[no-any-return] # of several labels it is a tuple
        get = by_index.get(values.indexes)
        if get is None:
            get = by_index[values.indexes] = itemgetter(*map(values.index.__getitem__, labels))
        return get(values.numbers)  # type: ignore[no-any-return] # as above

    return pick
